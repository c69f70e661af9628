"""The way of sound on a real JACK server: clicks on their ticks, and what happens when a part of it is killed."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from bridge.messages.message import Trouble
from bridge.messages.sound import SoundStatus
from bridge.messages.stage import Connections, Event, Piece, PlayerSetup, PortChanged
from bridge.stage.outputs.audio import AudioOutput
from bridge.stage.outputs.target import Target
from bridge.stage.rack import Rack
from bridge.testing import until
from engines.errors import SidemanError
from engines.music import LoopFile

jack = pytest.importorskip("jack", reason="the JACK library is not here", exc_type=OSError)
bench_clicks = pytest.importorskip("bridge.commands.bench_clicks")
soundfile = pytest.importorskip("soundfile")
pytestmark = pytest.mark.jack

FONTS = ("/usr/share/sounds/sf2/TimGM6mb.sf2", "/usr/share/sounds/sf2/default-GM.sf2")


@pytest.fixture
def audio(server):
    """Makes open audio outputs, and closes them."""
    made, racks = [], []

    def make(target="jack", rack=None, player="keys"):
        rack = rack or Rack("sound test")
        output = AudioOutput(PlayerSetup(player, ()), target, rack)
        racks.append(rack)
        made.append(output)
        output.open()
        output.settle()
        output.timeline(Piece(0, time.perf_counter_ns(), 120_000))
        return output

    yield make
    for output in made:
        output.close()
        output.close()
    for rack in racks:
        rack.close()


@pytest.fixture
def ear(server):
    """Makes ears for ports of ours, and closes them."""
    made = []

    def listen(*ports):
        found = bench_clicks.Ear(len(ports), server.RATE, 30)
        made.append(found)
        found.start(list(ports))
        return found

    yield listen
    for found in made:
        found.close()


def note(output, pitch, velocity=100, channel=1, in_s=0.0):
    at_ns = time.perf_counter_ns() + output.lead_ns + round(in_s * 1e9)
    output.send(Event("keys", 0, 0, pitch, velocity, channel, at_ns, 0))
    return at_ns


def wait_for(output, condition):
    """Poll an output until something it says, or is heard, fulfils a condition."""
    said = []

    def there():
        said.extend(output.poll(time.perf_counter_ns()))
        return condition(said)

    return until(there, said)


def loud(found, index=0, least=0.02):
    """The last frame so far at which something was loud; None while nothing was."""
    at = np.flatnonzero(np.abs(found.heard[:, index]) > least)
    return int(at[-1]) if len(at) else None


def test_clicks_of_loops_of_two_rates_are_each_within_a_sample_of_their_ticks_though_the_tempo_turns(server):
    results = bench_clicks.hear_clicks(4.0, {1: 131_000})
    for clicks in results:
        assert clicks.found >= clicks.expected - 2  # a busy machine may lose a block
        assert clicks.worst_frames <= 1.0
        assert clicks.clock_us[1] < 1_000


def test_a_note_sounds_at_its_moment_and_mute_and_pan_are_heard(audio, ear):
    output = audio()
    found = ear("sound test sound:keys_left", "sound test sound:keys_right")
    at_ns = note(output, 57, in_s=0.3)
    wait_for(output, lambda _: loud(found, 1))
    first = int(np.argmax(np.abs(found.heard[:, 1]) > 0.001))
    assert abs(found.ns_of(np.array([first + found.first]))[0] - at_ns) < 2_000_000
    output.mix(0.0, -1.0)
    before = loud(found)
    wait_for(output, lambda _: loud(found) > before + 3 * 2048)
    assert loud(found) > loud(found, 1, 0.001)
    output.mute(True)
    wait_for(
        output, lambda _: found.heard[:, 0].size and loud(found, 0, 0.001) < found.cycles[-1][0] - found.first - 9_000
    )


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGSTOP])
def test_a_renderer_that_is_killed_or_hangs_is_replaced_and_plays_the_loop_on(audio, ear, tmp_path, ended_by):
    output = audio()
    tone = 0.3 * np.sin(2 * np.pi * 400 * np.arange(96_000) / 48_000)
    soundfile.write(tmp_path / "tone.wav", tone.astype(np.float32), 48_000, subtype="FLOAT")
    loop = LoopFile(str(tmp_path / "tone.wav"), 48_000, 96_000, 1, 3840, 120_000)
    found = ear("sound test sound:keys_left")
    output.loop_starts(loop, 0, 60 * 3840)
    wait_for(output, lambda _: loud(found))
    os.kill(output._process.pid, ended_by)
    ended = found.cycles[-1][0]
    until(lambda: found.cycles[-1][0] > ended + 0.3 * 48_000, "JACK's cycles")
    silent = found.cycles[-1][0] - found.first
    wait_for(output, lambda _: loud(found) > silent + 20_000)
    status = wait_for(output, lambda said: [one for one in said if isinstance(one, SoundStatus) and one.starvations])[0]
    assert status.player == "keys"
    assert status.load_p99_percent <= 60  # of a busy machine; `sideman bench` holds it against 20


def test_a_server_that_is_killed_and_started_again_is_played_on_and_wires_return(audio, ear, server):
    output = audio()
    wait_for(output, lambda said: [one for one in said if isinstance(one, Connections) and any(one.ports.values())])
    server.stop(kill=True)
    gone = wait_for(output, lambda said: [one for one in said if isinstance(one, PortChanged)])[0]
    assert (gone.present, gone.text) == (False, "sound device JACK is gone; waiting for it")
    server.start()
    back = wait_for(output, lambda said: [one for one in said if isinstance(one, PortChanged)])[0]
    assert (back.present, back.text) == (True, "sound device JACK is back")
    wires = wait_for(
        output, lambda said: [one for one in said if isinstance(one, Connections) and any(one.ports.values())]
    )
    assert wires[0].ports["sound test sound:keys_left"] == ("system:playback_1",)
    found = ear("sound test sound:keys_left")
    wait_for(output, lambda _: note(output, 57) and loud(found))


def test_two_players_have_a_pair_of_ports_each_and_share_a_client(audio, server):
    rack = Rack("sound test")
    audio(rack=rack, player="drums")
    audio(rack=rack, player="keys")
    client = jack.Client("look", no_start_server=True)
    until(lambda: len(client.get_ports("sound test sound:")) >= 4, "ports")
    names = sorted(port.name for port in client.get_ports("sound test sound:"))
    client.close()
    assert names == [f"sound test sound:{player}_{side}" for player in ("drums", "keys") for side in ("left", "right")]


def test_a_loop_that_cannot_be_played_is_one_line_of_trouble(audio):
    output = audio()
    output.cue(LoopFile("/nowhere/x.wav", 48_000, 10, 1, 3840, 120_000))
    trouble = wait_for(output, lambda said: [one for one in said if isinstance(one, Trouble)])
    assert re.fullmatch(r"/nowhere/x\.wav cannot be played: [^\n]+", trouble[0].text)


def test_a_sound_font_is_played_at_the_note_s_moment(audio, ear):
    font = next((font for font in FONTS if Path(font).exists()), None)
    if not font or subprocess.run(["which", "fluidsynth"], capture_output=True, check=False).returncode:
        pytest.skip("no FluidSynth with a sound font here (sudo apt install fluidsynth timgm6mb-soundfont)")
    output = audio(f"jack+font:{font}")
    found = ear("sound test sound:keys_left")
    at_ns = note(output, 60, 127, in_s=0.8)
    wait_for(output, lambda _: loud(found))
    first = int(np.argmax(np.abs(found.heard[:, 0]) > 0.005))
    assert abs(found.ns_of(np.array([first + found.first]))[0] - at_ns - output._later_ns) < 15_000_000


def test_targets():
    assert Target.parse("") == Target()
    assert Target.parse("jack+finish") == Target("jack", finish=True)
    assert Target.parse("unheard") == Target(unheard=True)
    with pytest.raises(SidemanError, match="no sound font"):
        Target.parse("font:/nowhere/x.sf2")
    with pytest.raises(SidemanError, match="means nothing"):
        Target.parse("USB Audio+loud")
