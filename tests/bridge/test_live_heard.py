"""Played into a MIDI input on JACK, with real processes: what the engine is told, what is learned, and trading."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import mido
import pytest

from bridge.daemon import Daemon, LiveOptions
from bridge.files.setread import load_set, parse_set
from bridge.set import Set
from bridge.testing import JackServer, RecordingView, until

jack = pytest.importorskip("jack", reason="the JACK library is not here", exc_type=OSError)  # type: ignore[arg-type]
pytestmark = pytest.mark.jack

BAR, BEAT, STEP = 3840, 960, 240
CLICK = 37

ENGINES = """
from engines.music import Note, Phrase
from engines.parameter import Parameter


class Click:
    parameters = ()

    @classmethod
    def load(cls, bundle, runtime="auto"):
        return cls()

    def start(self, seed):
        return 0

    def prime(self, history, seed):
        return 0

    def generate(self, request, state):
        return Phrase(request.length_ticks, tuple(Note(tick, 37, 100, 100) for tick in range(0, 3840, 960))), state


class Echo(Click):
    '''What was heard, so many bars later as it takes to be in time.'''

    parameters = (Parameter(name="level", kind="int", default=100, low=1, high=127),)

    def generate(self, request, state):
        length, level = request.length_ticks, request.parameters["level"]
        notes = [Note(note.tick % length, note.pitch, level, 20) for note in request.heard]
        return Phrase.of(length, notes), state
"""

INPUTS = """
tempo = {tempo}
seed = 1
osc_port = 0
[inputs.keys]
[players.click]
engine = "click"
outputs = ["midi"]
channel = 1
"""


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engines `click` and `echo`, as pip leaves them, where this process's children look."""
    info = tmp_path / "site" / "heard-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "heard.py").write_text(ENGINES)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: heard\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sideman.engines]\nclick = heard:Click\necho = heard:Echo\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


class Hand:
    """Two JACK clients: one hears the click, the other plays on the frames of the song's ticks, as the click tells."""

    def __init__(self) -> None:
        self.clicks: list[int] = []
        self.cycle = threading.Event()
        self._notes: deque[tuple[int, bytes]] = deque()
        self._ear, self._hand = (jack.Client(name, no_start_server=True) for name in ("ear", "hand"))
        self._in = self._ear.midi_inports.register("in")
        self._out = self._hand.midi_outports.register("out")
        self._ear.set_process_callback(self._hear)
        self._hand.set_process_callback(self._play)
        self._ear.activate()
        self._hand.activate()

    def connect(self) -> None:
        """To the click's output and the input of the set."""
        self._ear.connect(self._ear.get_ports("click", is_midi=True, is_output=True)[0], self._in)
        self._hand.connect(self._out, self._hand.get_ports("keys", is_midi=True, is_input=True)[0])

    def at(self, tick: int) -> int:
        """The frame of a song tick: the first click that was heard had the song tick `first_tick`."""
        return round(self.clicks[0] + (tick - self.first_tick) * self.frames_per_tick)

    def find_the_beat(self, tempo_bpm: float, song_tick: int) -> None:
        """The last click is the beat nearest to the song tick that sounds."""
        self.frames_per_tick = JackServer.RATE * 60 / tempo_bpm / BEAT
        last = round(song_tick / BEAT) * BEAT
        self.first_tick = last - round((self.clicks[-1] - self.clicks[0]) / self.frames_per_tick)

    def play(self, tick: int, *data: int) -> None:
        """Send a message at a song tick; in order."""
        self._notes.append((self.at(tick), bytes(data)))

    def note(self, tick: int, pitch: int) -> None:
        self.play(tick, 0x90, pitch, 90)
        self.play(tick + 60, 0x80, pitch, 0)

    def turn(self, control: int, value: int) -> None:
        """A controller, now."""
        self._notes.append((0, bytes((0xB0, control, value))))

    def _hear(self, _frames: int) -> None:
        start = self._ear.last_frame_time
        self.clicks += [start + at for at, data in self._in.incoming_midi_events() if bytes(data)[0] & 0xF0 == 0x90]
        self.cycle.set()

    def _play(self, frames: int) -> None:
        start = self._hand.last_frame_time
        self._out.clear_buffer()
        while self._notes and self._notes[0][0] < start + frames:
            frame, data = self._notes.popleft()
            self._out.write_midi_event(max(0, frame - start), data)

    def close(self) -> None:
        for client in (self._ear, self._hand):
            client.deactivate()
            client.close()


@pytest.fixture
def hand(server: JackServer, engines: None) -> Iterator[Hand]:
    found = Hand()
    yield found
    found.close()


def session(
    set_: Set, options: LiveOptions, hand: Hand, scene: Callable[[Daemon, RecordingView], Coroutine[None, None, None]]
) -> RecordingView:
    """Play a set; once the hand has found the beat its scene is played."""

    async def play() -> RecordingView:
        watch = RecordingView()
        daemon = Daemon(set_, options, watch)
        hand.clicks.clear()
        try:
            await daemon.start()
            hand.connect()
            await asyncio.to_thread(until, lambda: len(hand.clicks) >= 2, "clicks", hand.cycle)
            hand.find_the_beat(set_.tempo_bpm, daemon.transport.position_tick())
            await scene(daemon, watch)
        finally:
            await daemon.close()
        return watch

    return asyncio.run(play())


def onsets(path: Path) -> list[tuple[int, int, int]]:
    """(tick, pitch, velocity) of each note-on but the click's."""
    found = []
    for track in mido.MidiFile(path).tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity and message.note != CLICK:
                found.append((tick, message.note, message.velocity))
    return sorted(found)


def test_played_notes_reach_the_request_with_the_right_ticks(hand: Hand, tmp_path: Path) -> None:
    set_ = parse_set(
        INPUTS.format(tempo=240) + '[players.echo]\nengine = "echo"\noutputs = ["osc"]\nhears = ["keys"]\n'
    )
    recording = tmp_path / "echo.mid"
    played = [(bar * BAR + tick, 60 + bar) for bar in (2, 3, 4) for tick in (7, 725, 1440, 2003, 3100)]

    async def scene(daemon: Daemon, watch: RecordingView) -> None:
        for tick, pitch in played:
            hand.note(tick, pitch)
        await watch.until(lambda: len(watch.outcomes("echo")) > 7)

    watch = session(set_, LiveOptions(record=(recording,)), hand, scene)
    echoed = onsets(recording)
    assert Counter(pitch for _, pitch, _ in echoed) == Counter(pitch for _, pitch in played)  # each once
    for pitch in (62, 63, 64):
        asked = sorted(tick % BAR for tick, it in played if it == pitch)
        came = sorted(tick % BAR for tick, it, _ in echoed if it == pitch)
        assert max(abs(a - b) for a, b in zip(asked, came, strict=True)) <= 8  # two milliseconds of a period's 43
    later = {(tick % BAR < 1500, tick // BAR - (pitch - 60)) for tick, pitch, _ in echoed}
    assert later <= {(True, 1), (False, 1), (False, 2)}  # what comes early in a bar is answered in the next
    assert set(watch.outcomes("echo")) == {"hit"}


def test_a_learned_controller_turns_a_parameter_and_survives_a_restart(hand: Hand, tmp_path: Path) -> None:
    file = tmp_path / "set.toml"
    file.write_text(
        "# the keyboard's set\n" + INPUTS.format(tempo=240) + '[players.echo]\nengine = "echo"\noutputs = ["osc"]\n'
    )

    def level(daemon: Daemon) -> Any:
        return daemon.surface.get("/sideman/echo/level")

    async def first(daemon: Daemon, watch: RecordingView) -> None:
        daemon.surface.set("/sideman/system/learn", "echo/level")
        hand.turn(74, 127)
        await watch.until(lambda: any("controller 74" in line for line in watch.lines))
        hand.turn(74, 40)  # on its way it passes 100, where the level is
        await asyncio.to_thread(until, lambda: level(daemon) != 100)
        assert level(daemon) == 1 + round(126 * 40 / 127)
        daemon.surface.set("/sideman/system/save", 1)

    async def second(daemon: Daemon, watch: RecordingView) -> None:
        assert level(daemon) == 1 + round(126 * 40 / 127)
        for position in (30, 60):
            hand.turn(74, position)
        await asyncio.to_thread(until, lambda: level(daemon) == 1 + round(126 * 60 / 127))

    session(load_set(file), LiveOptions(file=file), hand, first)
    assert file.read_text().startswith("# the keyboard's set\n")
    session(load_set(file), LiveOptions(file=file), hand, second)


def test_two_bars_played_are_answered_on_the_grid_with_their_rhythm(hand: Hand, tmp_path: Path) -> None:
    set_ = parse_set(
        INPUTS.format(tempo=240) + '[players.drums]\noutputs = ["osc"]\nhears = ["keys"]\n'
        "[players.drums.parameters]\ntrade_listen = 2\ntrade_answer = 2\ntap = true\nhumanise = 0.0\n"
    )
    recording = tmp_path / "trade.mid"
    rhythm = (0, 3, 6, 10)

    async def scene(daemon: Daemon, watch: RecordingView) -> None:
        for bar in (1, 4, 5):
            for step in rhythm:
                hand.note(bar * BAR + step * STEP, 60)
        await watch.until(lambda: len(watch.outcomes("drums")) > 8)

    watch = session(set_, LiveOptions(record=(recording,)), hand, scene)
    assert watch.outcomes("drums")[:8] == ["listen", "listen", "hit", "hit"] * 2
    ticks = [tick for tick, _, _ in onsets(recording) if tick < 8 * BAR]
    assert {tick // BAR for tick in ticks} == {2, 3, 6, 7}
    assert {tick % STEP for tick in ticks} == {0}
    assert sorted({tick // STEP - 6 * 16 for tick in ticks if tick // BAR == 6}) == list(rhythm)
