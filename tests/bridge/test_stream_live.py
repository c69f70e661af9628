"""A set whose player of sound plays in half beats: an engine of one sine without end, turned over a real OSC socket."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.daemon import Daemon, LiveOptions
from bridge.session import run
from bridge.set import PlayerSet, Set
from bridge.testing import RecordingView

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

TONE = """
import numpy as np
from engines.audio import LEAD_S, Loop, frames_in
from engines.parameter import Parameter

RATE = 16_000
LEAD = round(LEAD_S * RATE)


class Tone:
    # Its state: the phase in turns, and the end of what it has made.
    parameters = (
        Parameter(name="hz", kind="float", default=220.0, low=50.0, high=2000.0),
        Parameter(name="prompt", kind="text", default="a tone", high=60),
    )

    def __init__(self):
        self.prompt = None

    @classmethod
    def load(cls, bundle, runtime="auto"):
        return cls()

    def said(self):
        said, self.prompt = self.prompt, None
        return () if said is None else (said,)

    def start(self, seed):
        return 0.0, np.zeros((LEAD, 1), np.float32)

    def prime(self, history, seed):
        return self.start(seed)

    def generate(self, request, state):
        phase, before = state
        if request.parameters["prompt"] != "a tone":
            self.prompt = f"{request.parameters['prompt']!r} is all one to it"
        count = frames_in(request.length_ticks, request.tempo_bpm, RATE)
        turns = phase + np.arange(count + 1) * request.parameters["hz"] / RATE
        sound = (0.5 * np.sin(2 * np.pi * turns[:-1])).astype(np.float32)[:, None]
        whole = np.concatenate([before, sound])
        return Loop(whole, RATE, request.length_ticks, LEAD), (turns[-1] % 1, whole[-LEAD:])
"""

TEMPO_BPM = 125.3
HALF_S = 30 / TEMPO_BPM
RATE = 48_000
"""Of recordings (bridge.sound.kit)."""


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine `tone`, as pip leaves it, where this process's children look."""
    info = tmp_path / "site" / "tone-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "tone.py").write_text(TONE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tone\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sideman.engines]\ntone = tone:Tone\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


class Client:
    """An OSC client that has subscribed."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)
        self.heard: list[tuple[str, list[Any]]] = []
        self.send("system/subscribe")

    def send(self, address: str, *arguments: Any) -> None:
        builder = OscMessageBuilder(f"/sideman/{address}")
        for argument in arguments:
            builder.add_arg(argument)
        self._socket.send(builder.build().dgram)

    async def next(self, address: str) -> list[Any]:
        """The arguments of the next message that comes for an address; all are kept."""
        async with asyncio.timeout(20):
            while True:
                message = OscMessage(await asyncio.get_running_loop().sock_recv(self._socket, 1 << 16))
                self.heard.append((message.address.removeprefix("/sideman/"), list(message.params)))
                if self.heard[-1][0] == address:
                    return self.heard[-1][1]

    def close(self) -> None:
        self._socket.close()


Scene = Callable[[Daemon, Client], Coroutine[None, None, None]]


def session(chunk: str, scene: Scene, options: LiveOptions, tempo_bpm: float = TEMPO_BPM) -> RecordingView:
    player = PlayerSet(engine="tone", bundle="", outputs=("osc",), chunk=chunk)  # type: ignore[arg-type]
    set_ = Set(players={"tone": player}, seed=1, tempo_bpm=tempo_bpm, osc_port=0)

    async def play() -> RecordingView:
        view = RecordingView()
        daemon = Daemon(set_, options, view)
        client = None
        try:
            await daemon.start()
            client = Client(daemon.osc.port)
            await scene(daemon, client)
            await daemon.wait()
        finally:
            await daemon.close()
            if client:
                client.close()
        return view

    return asyncio.run(play())


def test_in_half_beats_a_turn_is_soon_heard_and_the_sound_never_breaks(tmp_path: Path) -> None:
    (tmp_path / "stems").mkdir()
    pitches = [220.0, 330.0, 247.5, 440.0, 293.3]
    figures: list[Any] = []
    heard: list[tuple[str, list[Any]]] = []
    spans: list[int] = []

    async def scene(daemon: Daemon, client: Client) -> None:
        for hz in pitches[1:]:
            for _ in range(2):
                await client.next("tone/state")
            client.send("tone/hz", hz)
        for _ in range(3):
            await client.next("tone/state")
        client.send("tone/fader")
        figures.extend(await client.next("tone/fader"))
        heard.extend(client.heard)
        spans.append(daemon.players["tone"].planner.counters.late)

    view = session("half-beat", scene, LiveOptions(bars=3, stems=tmp_path / "stems"))
    last_ms, middle_ms, worst_ms, changes = figures
    assert changes == 4
    assert 0 < middle_ms <= worst_ms and 0 < last_ms <= worst_ms
    if not spans[0]:  # a machine that loses spans answers later
        assert worst_ms < 2 * HALF_S * 1e3 + 60, "the span that sounds, and one that can no longer be changed"
    assert [bar.bar for bar in view.bars] == [0, 1, 2], "people are told whole bars"
    assert view.bars[-1].response_ms is not None
    told = [values for address, values in heard if address == "tone/span"]
    assert {values[0] for values in told} <= {0, 1, 2}
    assert {values[1] for values in told} <= set(range(0, 3840, 480))
    assert {values[2] for values in told} == {480} and all(values[3].endswith("_0.125bars.wav") for values in told)
    assert {values[0] for address, values in heard if address == "tone/state"} <= {0, 1, 2}
    assert not [address for address, _ in heard if address in ("tone/bar", "tone/loop")]

    sound, rate = soundfile.read(tmp_path / "stems" / "tone.wav")
    assert rate == RATE
    left = sound[200 : round(11.9 * 2 * HALF_S * rate), 0]
    if not spans[0]:
        steepest = 0.5 * 2 * np.pi * max(pitches) / rate
        assert np.abs(np.diff(left)).max() < 1.02 * steepest, "no step"
        level = np.sqrt(np.convolve(left**2, np.ones(rate // 50) / (rate // 50), "valid"))[rate // 50 :]
        assert level.min() > 0.9 * 0.5 / np.sqrt(2), "no dip"
    crossings = np.flatnonzero((left[:-1] < 0) & (left[1:] >= 0))
    found = rate / np.median(np.diff(crossings[-20:]))
    assert found == pytest.approx(pitches[-1], rel=0.01)


def test_in_bars_it_is_heard_in_the_next_and_words_are_a_prompt() -> None:
    figures: list[Any] = []

    async def scene(daemon: Daemon, client: Client) -> None:
        await client.next("tone/state")
        client.send("tone/prompt", "slow", "strings", 60)
        client.send("tone/prompt")
        assert await client.next("tone/prompt") == ["slow strings 60"]
        client.send("tone/prompt", "x" * 61)
        assert "at most 60 characters" in (await client.next("system/error"))[1]
        for _ in range(2):
            await client.next("tone/state")
        client.send("tone/fader")
        figures.extend(await client.next("tone/fader"))

    view = session("bar", scene, LiveOptions(bars=4), tempo_bpm=300.0)
    assert "tone: prompt 'slow strings 60'" in view.lines
    assert "tone: 'slow strings 60' is all one to it" in view.lines
    assert figures[3] == 1
    assert 0 < figures[2] < 2 * 0.8e3, "a bar lasts 800 ms"


def test_at_the_end_it_is_said_how_soon_what_was_turned_was_heard() -> None:
    async def play() -> RecordingView:
        view = RecordingView()
        player = PlayerSet(engine="tone", bundle="", outputs=("osc",), chunk="beat")
        set_ = Set(players={"texture": player}, seed=1, tempo_bpm=300.0, osc_port=0)
        playing = asyncio.create_task(run(set_, LiveOptions(bars=4), view))
        await view.until_bar(0)
        port = next(int(line.split()[3].rstrip(",")) for line in view.lines if line.startswith("OSC on port"))
        client = Client(port)
        client.send("texture/hz", 300.0)
        await playing
        client.close()
        return view

    said = re.fullmatch(
        r"texture: fader to sound (\d+) ms median, (\d+) ms at worst \(1 change\)", asyncio.run(play()).lines[-1]
    )
    assert said is not None and 0 < int(said[1]) == int(said[2])


def test_it_stops_jumps_and_changes_its_metre_and_tempo_on_the_way(tmp_path: Path) -> None:
    places: list[tuple[int, int]] = []

    async def scene(daemon: Daemon, client: Client) -> None:
        await client.next("tone/span")
        client.send("transport/tempo", 240.0)
        client.send("transport/meter", "6/8")
        for _ in range(10):
            await client.next("tone/state")
        client.send("transport/position", 30.0)
        for _ in range(3):
            await client.next("tone/state")
        client.send("transport/playing", 0)
        client.send("transport/playing", 1)
        for _ in range(6):
            await client.next("tone/state")
        places.extend((values[0], values[1]) for address, values in client.heard if address == "tone/span")
        daemon.stop()

    view = session("beat", scene, LiveOptions(), tempo_bpm=200.0)
    assert not [line for line in view.lines if "Error" in line or "instead of" in line]
    compound = {into for bar, into in places if bar > 1}
    assert compound == {0, 1440}, "dotted quarters"
    bars = [bar for bar, _ in itertools.groupby(places, key=lambda place: place[0])]
    assert max(bars) > 8, "the jump"
