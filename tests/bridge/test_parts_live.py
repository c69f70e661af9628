"""A band of several parts beside another player, live, with real processes: what each plays, hears, and cuts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import mido
import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.daemon import Daemon, LiveOptions
from bridge.files.setread import parse_set
from bridge.testing import RecordingView

BAR, BEAT = 3840, 960

ENGINES = """
from engines.music import Note, Phrase
from engines.notes.roles import ROLE_NAMED
from engines.parameter import Parameter


class Click:
    parameters = ()

    @classmethod
    def load(cls, bundle, runtime="auto"):
        return cls()

    def start(self, seed):
        return 0

    def prime(self, history, seed):
        return len(history)

    def generate(self, request, state):
        return Phrase(request.length_ticks, tuple(Note(tick, 37, 100, 100) for tick in range(0, 3840, 960))), state


class Combo(Click):
    '''Bass and piano on each beat, as high as so many notes were heard; a beat takes it so many bars.'''

    parameters = (Parameter(name="slow", kind="float", default=0.0, high=4.0),)

    def generate(self, request, state):
        beat_s = request.parameters["slow"] * request.length_ticks / 960 * 60 / request.tempo_bpm
        beats = min(4, int(request.time_left_s / beat_s)) if beat_s else 4
        bass, piano = ROLE_NAMED["bass"] + 1, ROLE_NAMED["piano"] + 1
        notes = [Note(beat * 960, 40, 90, 1500, bass) for beat in range(beats)]
        notes += [Note(beat * 960, 60 + len(request.band), 90, 1500, piano) for beat in range(beats)]
        return Phrase(request.length_ticks, tuple(sorted(notes)), None, None if beats == 4 else beats * 960), state + 1
"""

SET = """
tempo = 240
seed = 1
osc_port = 0
[players.click]
engine = "click"
outputs = ["osc"]
[players.keys]
engine = "combo"
outputs = ["osc"]
channel = 1
channels = { bass = 2 }
hears = ["player:click"]
"""


@pytest.fixture(autouse=True)
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engines `click` and `combo`, as pip leaves them, where this process's children look."""
    info = tmp_path / "site" / "combo-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "combo.py").write_text(ENGINES)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: combo\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sideman.engines]\nclick = combo:Click\ncombo = combo:Combo\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


async def played(options: LiveOptions, scene: Any = None) -> RecordingView:
    watch = RecordingView()
    daemon = Daemon(parse_set(SET), options, watch)
    try:
        await daemon.start()
        await (scene(daemon, watch) if scene else daemon.wait())
    finally:
        await daemon.close()
    return watch


def run(playing: Coroutine[Any, Any, RecordingView]) -> RecordingView:
    return asyncio.run(playing)


def notes_of(path: Path) -> dict[str, tuple[int, list[tuple[int, int, int]]]]:
    """Of each track: its channel, and (tick, pitch, length) of its notes; every one has its end."""
    tracks = {}
    for track in mido.MidiFile(path).tracks[1:]:
        tick, channels, begun, found = 0, set(), {}, []
        for message in track:
            tick += message.time
            if message.type not in ("note_on", "note_off"):
                continue
            channels.add(message.channel + 1)
            if message.type == "note_on":
                begun[message.note] = tick
            else:
                found.append((begun[message.note], message.note, tick - begun.pop(message.note)))
        assert not begun
        (channel,) = channels
        tracks[track.name] = (channel, sorted(found))
    return tracks


def test_parts_are_recorded_by_themselves_and_the_other_player_is_heard(tmp_path: Path) -> None:
    file = tmp_path / "take.mid"
    watch = run(played(LiveOptions(bars=4, record=(file,))))
    keys = [bar for bar in watch.bars if bar.player == "keys"]
    assert [bar.bar for bar in keys] == [0, 1, 2, 3]
    tracks = notes_of(file)
    assert {name: channel for name, (channel, _) in tracks.items()} == {"click": 10, "keys bass": 2, "keys piano": 1}
    assert [note[0] for note in tracks["keys bass"][1]] == [beat * BEAT for beat in range(16)]
    if all(bar.outcome == "hit" for bar in watch.bars):
        pitches = [pitch for _, pitch, _ in tracks["keys piano"][1]]
        assert pitches == [60] * 4 + [64] * 12, "in each bar but the first it has heard four clicks"


def test_a_bar_that_takes_too_long_is_cut_at_a_beat_and_said_to_be(tmp_path: Path) -> None:
    file = tmp_path / "take.mid"
    settings = (("keys.slow", "0.25"), ("keys.late", "rest"))
    watch = run(played(LiveOptions(bars=4, record=(file,), settings=settings)))
    outcomes = [bar.outcome for bar in watch.bars if bar.player == "keys"]
    assert "cut" in outcomes
    assert "hit" not in outcomes[1:]
    tracks = notes_of(file)
    for bar, outcome in enumerate(outcomes):
        if outcome == "cut":
            ends = [tick + length - bar * BAR for tick, _, length in tracks["keys bass"][1] if tick // BAR == bar]
            assert max(ends) in (BEAT, 2 * BEAT, 3 * BEAT)


def test_a_client_is_told_of_parts_ahead_and_of_each_note_with_its_channel() -> None:
    def packet(address: str, *arguments: Any) -> bytes:
        builder = OscMessageBuilder(address)
        for argument in arguments:
            builder.add_arg(argument)
        return builder.build().dgram

    async def scene(daemon: Daemon, watch: RecordingView) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind(("127.0.0.1", 0))
            client.setblocking(False)
            client.sendto(packet("/sideman/system/subscribe"), ("127.0.0.1", daemon.osc.port))
            loop = asyncio.get_running_loop()
            found: dict[str, list[Any]] = {}
            wanted = {f"/sideman/{name}" for name in ("keys/parts", "keys/bar", "keys/note", "click/note", "click/bar")}
            async with asyncio.timeout(20):
                while not wanted <= found.keys():
                    message = OscMessage(await loop.sock_recv(client, 1 << 16))
                    assert message.address != "/sideman/click/parts"
                    if message.params[1:2] != [0]:  # the end of a note
                        found[message.address] = list(message.params)
        assert len(found["/sideman/click/note"]) == 3
        assert found["/sideman/keys/note"][3] == {40: 2}.get(found["/sideman/keys/note"][0], 1)
        parts, bar = found["/sideman/keys/parts"], found["/sideman/keys/bar"]
        notes = [tuple(parts[i : i + 5]) for i in range(3, len(parts), 5)]
        assert {(pitch == 40, channel) for _, pitch, _, _, channel in notes} == {(True, 2), (False, 1)}
        assert [note[:4] for note in notes] == [tuple(bar[i : i + 4]) for i in range(3, len(bar), 4)]

    run(played(LiveOptions(), scene))
