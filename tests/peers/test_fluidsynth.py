"""FluidSynth as the sound module at the other end of our virtual port, on JACK."""

import re
import shutil
import socket
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest

from bridge.messages.stage import (
    AskStatus,
    Chunk,
    Connections,
    Left,
    OutputSetup,
    Play,
    PlayerSetup,
    Setup,
    StageStatus,
)
from bridge.testing import StageProcess
from engines.music import Note
from engines.notes.roles import ROLES

pytestmark = [pytest.mark.jack, pytest.mark.peer]

BAR = 3840
BARS = 32
NOTES_A_BAR = 64
PATIENCE_S = 30.0
PROGRAM = r"prog\s+(\d+)\s+(\d+)\s+(\d+)"
FONTS = ("/usr/share/sounds/sf2/TimGM6mb.sf2", "/usr/share/sounds/sf2/default-GM.sf2")


@pytest.fixture
def fluidsynth(server):
    """A running FluidSynth; what it returns has a line for each note it was sent, once the function is called.

    It writes these lines from its audio thread: into a pipe that is emptied at once, as a file may make it wait. No
    effects and few voices, for a machine that is busy.
    """
    font = next((font for font in FONTS if Path(font).exists()), None)
    if not shutil.which("fluidsynth") or not font:
        pytest.skip("no fluidsynth with a sound font here (sudo apt install fluidsynth timgm6mb-soundfont)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["synth.polyphony=16", "synth.reverb.active=0", "synth.chorus.active=0"]
    options += ["audio.jack.autoconnect=0", "midi.jack.id=module", f"shell.port={port}"]
    command = ["fluidsynth", "-i", "-s", "-v", "-a", "jack", "-m", "jack", "-r", "48000"]
    command += [part for option in options for part in ("-o", option)]
    process = subprocess.Popen(
        [*command, font], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    written = []
    reader = threading.Thread(target=lambda: written.extend(process.stdout))
    reader.start()

    def log():
        process.terminate()
        reader.join(PATIENCE_S)
        return b"".join(written).decode(errors="replace")

    yield log
    log()
    process.stdin.close()
    process.stdout.close()
    process.wait()


def test_two_thousand_notes_through_the_virtual_port_and_none_lost(fluidsynth):
    player = PlayerSetup("drums", (OutputSetup("midi"),))
    wires = {"sidemantest:drums": ("module:midi_00",)}
    stage = StageProcess(Setup("sidemantest", (player,), 960_000, reconnect=wires))
    stage.wait_for(Connections, lambda told: told.ports["sidemantest:drums"] == ("module:midi_00",))
    stage.tell(Play(1, 0, 500))
    step = BAR // NOTES_A_BAR
    notes = tuple(Note(i * step, 35 + i % 40, 1 + i, step) for i in range(NOTES_A_BAR))
    for bar in range(BARS):
        stage.tell(Chunk("drums", 1, bar, bar + 1, bar * BAR, BAR, "hit", notes))
    stage.wait_for(Left, lambda left: left.events[-1].song_tick == BARS * BAR)
    stage.tell(AskStatus())
    status = stage.wait_for(StageStatus)
    print(
        f"dispatch: p50 {status.late_p50_us:.0f} us, p99 {status.late_p99_us:.0f} us, max {status.late_max_us:.0f} us"
    )
    assert stage.close() == 0
    log = fluidsynth()
    voices = re.findall(r"noteon\s+9\s+(\d+)\s+(\d+)\s+(\d+)", log)  # several to a note, numbered by it
    heard = {number: (int(pitch), int(velocity)) for pitch, velocity, number in voices}
    assert len(heard) == BARS * NOTES_A_BAR == 2_048
    assert Counter(heard.values()) == Counter((note.pitch, note.velocity) for note in notes for _ in range(BARS))
    assert len(set(re.findall(r"noteoff\s+9\s+\d+\s+0\s+(\d+)", log))) == 2_048


def test_a_band_is_heard_seat_by_seat_with_the_programs_of_general_midi(fluidsynth):
    programs = {role.channel: role.program for role in ROLES if role.programs}
    told = {part: role.program for part, role in enumerate(ROLES, 1) if role.programs}
    player = PlayerSetup("band", (OutputSetup("midi"),), channel=1, programs=told)
    wires = {"sidemantest:band": ("module:midi_00",)}
    stage = StageProcess(Setup("sidemantest", (player,), 240_000, reconnect=wires))
    stage.wait_for(Connections, lambda told: told.ports["sidemantest:band"] == ("module:midi_00",))
    stage.tell(Play(1, 0, 500))
    notes = tuple(Note(part * 200, 40 + part, 100, 150, part) for part in range(1, 17))
    stage.tell(Chunk("band", 1, 0, 1, 0, BAR, "hit", notes))
    stage.wait_for(Left, lambda left: left.events[-1].song_tick == 16 * 200 + 150)
    assert stage.close() == 0
    log = fluidsynth()
    heard = {(int(channel) + 1, int(pitch)) for channel, pitch in re.findall(r"noteon\s+(\d+)\s+(\d+)\s", log)}
    assert heard == {(role.channel, 40 + part) for part, role in enumerate(ROLES, 1)}
    changes = [(int(channel) + 1, int(program)) for channel, _, program in re.findall(PROGRAM, log)]
    assert dict(changes[-len(programs) :]) == programs
