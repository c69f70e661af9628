"""bench: where clicks of loops land, heard on a JACK server of our own by a client of our own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bridge.commands.figures import Row
from bridge.messages.stage import (
    Chunk,
    EpochStarted,
    OutputSetup,
    Piece,
    Play,
    PlayerSetup,
    Setup,
    StageReady,
    Stop,
    Tempo,
)
from bridge.sound.kit import Samples
from bridge.sound.prepare import frames_of
from bridge.stage.realtime import take_realtime
from bridge.testing import JackServer, StageProcess
from bridge.timing.timeline import TempoMap
from engines.errors import SidemanError
from engines.music import LoopFile

BAR, BEAT = 3840, 960
PERIOD = 2048
"""Long, so that a busy machine loses no cycle: after that JACK's frames are another clock."""
TURNED_MBPM = 97_300
CLICK = 0.9
HEARD = 0.4
LEAST_APART_S = 0.02
PATIENCE_S = 20.0


class Ear:
    """A JACK client that keeps all it hears, by JACK's own frames, and when each cycle was by our clock.

    heard: (frames, ports) float32, of which index 0 is frame `first`.
    """

    def __init__(self, ports: int, rate_hint: int, seconds: float) -> None:
        self._ports = ports
        self.heard: Samples = np.zeros((round(seconds * rate_hint), ports), np.float32)
        self.cycles: list[tuple[int, float]] = []
        self.first: int | None = None
        self.missed = 0
        self._next = 0
        self._closed = False
        self._client: Any = None

    def start(self, sources: list[str]) -> None:
        """Become a client and be connected to these ports, as soon as they are there. Raises SidemanError."""
        import jack

        from bridge.timing.jack_clock import cycle_reader

        self._client = jack.Client("sideman ear", no_start_server=True)
        self._inputs = [self._client.inports.register(f"in {i}") for i in range(self._ports)]
        self._read_cycle = cycle_reader(self._client)
        self._client.set_process_callback(self._process)
        sys.setswitchinterval(0.0005)  # the callback is not to wait for the rest of this process
        self._client.activate()
        deadline_s = time.monotonic() + PATIENCE_S
        for source, port in zip(sources, self._inputs, strict=True):
            while not self._client.get_ports(f"^{source}$"):
                if time.monotonic() > deadline_s:
                    raise SidemanError(f"there is no port {source} on this JACK server")
                time.sleep(0.05)
            self._client.connect(source, port)

    def close(self) -> None:
        """Stop listening. May be called twice."""
        if self._client and not self._closed:
            self._closed = True
            self._client.deactivate()
            self._client.close()

    @property
    def rate(self) -> int:
        """Frames a second."""
        return int(self._client.samplerate)

    def _process(self, frames: int) -> None:
        frame = self._client.last_frame_time
        if self.first is None:
            self.first = self._next = frame
        if frame != self._next:
            self.missed += 1
        self._next = frame + frames
        at = frame - self.first
        if at + frames <= len(self.heard):
            for index, port in enumerate(self._inputs):
                self.heard[at : at + frames, index] = port.get_array()
        if not len(self.cycles) or frame - self.cycles[-1][0] > 4096:
            self.cycles.append((frame, self._read_cycle(frames)[0]))

    def ns_of(self, frames: NDArray[Any]) -> NDArray[np.float64]:
        """When frames were, by our clock: the line through all cycles."""
        at = np.array([frame for frame, _ in self.cycles], np.float64)
        ns = np.array([ns for _, ns in self.cycles])
        slope, offset = np.polyfit(at - at[0], ns - ns[0], 1)
        return np.asarray(ns[0] + offset + (frames - at[0]) * slope)


@dataclass(frozen=True, slots=True)
class Clicks:
    """What was found of a player's clicks.

    worst_frames: how far the worst lies from its tick by the device's own frames
    clock_us: and by our clock, median and worst
    missed: cycles that JACK lost meanwhile; its frames are then no clock any more
    """

    player: str
    expected: int
    found: int
    worst_frames: float
    clock_us: tuple[float, float]
    missed: int = 0


def click_loop(folder: Path, rate: int, tempo_mbpm: int) -> LoopFile:
    """A bar of clicks on its beats, in a file."""
    import soundfile

    count = round(frames_of(BAR, tempo_mbpm, rate))
    frames = np.zeros(count, np.float32)
    for beat in range(BAR // BEAT):
        frames[round(frames_of(beat * BEAT, tempo_mbpm, rate))] = CLICK
    path = folder / f"clicks-{rate}-{tempo_mbpm}.wav"
    soundfile.write(path, frames, rate, subtype="FLOAT")
    return LoopFile(str(path), rate, count, 1, BAR, tempo_mbpm)


@contextlib.contextmanager
def jack_server(name: str, rate: int, period: int) -> Iterator[None]:
    """A JACK server of our own, the one that this process and its children find."""
    server, before = JackServer(name), os.environ.get("JACK_DEFAULT_SERVER")
    server.RATE, server.PERIOD = rate, period
    os.environ["JACK_DEFAULT_SERVER"] = name
    try:
        with server:
            yield
    finally:
        os.environ.pop("JACK_DEFAULT_SERVER")
        if before is not None:
            os.environ["JACK_DEFAULT_SERVER"] = before


def hear_clicks(seconds: float, turns: dict[int, int], file_rates: tuple[int, ...] = (48_000, 44_100)) -> list[Clicks]:
    """Play bars of clicks from files of several rates, each a player, and find them in what JACK got.

    turns: at a bar's second beat the tempo (in thousandths of a bpm) is turned; it begins at 120. The bar after it is
    the old loop, as a planner's fallback would be. To be called where a JACK server is found.
    """
    names = [f"clicks{rate}" for rate in file_rates]
    players = tuple(PlayerSetup(name, (OutputSetup("audio", "jack"),)) for name in names)
    stage = StageProcess(Setup("bench", players, 120_000))
    ear = Ear(len(names), 48_000, seconds + 15)
    with tempfile.TemporaryDirectory(prefix="sideman-bench-") as folder:
        try:
            ready = stage.wait_for(StageReady)
            if ready.problems:
                raise SidemanError(ready.problems[0])
            ear.start([f"bench sound:{name}_left" for name in names])
            bars = _play(stage, dict(zip(names, file_rates, strict=True)), turns, seconds, Path(folder))
            return _found(stage, ear, names, bars)
        finally:
            ear.close()
            stage.close()


def _play(stage: StageProcess, rates: dict[str, int], turns: dict[int, int], seconds: float, folder: Path) -> int:
    """Send a bar of each player a bar ahead; returns how many."""
    tempo_mbpm, fresh_mbpm, sent = 120_000, 120_000, 0
    stage.tell(Play(1, 0, 600))
    epoch = stage.wait_for(EpochStarted)
    began_ns = time.perf_counter_ns()
    loops: dict[tuple[int, int], LoopFile] = {}
    while time.perf_counter_ns() < began_ns + seconds * 1e9:
        position = tempo_map(stage).tick_at(time.perf_counter_ns()) - epoch.tick
        if sent in turns and position > (sent - 1) * BAR + BEAT + BEAT // 3:
            tempo_mbpm = turns.pop(sent)
            stage.tell(Tempo(tempo_mbpm))
        if position >= (sent - 1) * BAR + 2 * BEAT:
            for name, rate in rates.items():
                if (rate, fresh_mbpm) not in loops:
                    loops[rate, fresh_mbpm] = click_loop(folder, rate, fresh_mbpm)
                stage.tell(Chunk(name, 1, sent, sent + 1, sent * BAR, BAR, "hit", (), loop=loops[rate, fresh_mbpm]))
            sent += 1
            fresh_mbpm = tempo_mbpm
        stage.listen(0.05)
    end_ns = tempo_map(stage).ns_at(epoch.tick + sent * BAR)
    stage.listen(max(0.0, (end_ns - time.perf_counter_ns()) / 1e9 + 0.5))
    stage.tell(Stop())
    return sent


def tempo_map(stage: StageProcess) -> TempoMap:
    """The timeline of a stage, by what it has said."""
    pieces = [message for message in stage.said if isinstance(message, Piece)]
    found = TempoMap(pieces[0])
    for piece in pieces[1:]:
        found.apply(piece)
    return found


def _found(stage: StageProcess, ear: Ear, names: list[str], bars: int) -> list[Clicks]:
    epoch = stage.wait_for(EpochStarted)
    found_map = tempo_map(stage)
    ns = np.array([found_map.ns_at(epoch.tick + beat * BEAT) for beat in range(bars * BAR // BEAT)], np.int64)
    nominal = (ns - ns[0]) * (ear.rate / 1e9)
    results = []
    for index, name in enumerate(names):
        at = click_frames(ear.heard[:, index], round(LEAST_APART_S * ear.rate))
        beats = at_beats(ear.ns_of(at + float(ear.first or 0)), ns)
        if not len(at):
            results.append(Clicks(name, len(nominal), 0, float("inf"), (float("inf"), float("inf"))))
            continue
        off = at - nominal[beats]
        by_clock_us = (ear.ns_of(at + float(ear.first or 0)) - ns[beats]) / 1e3
        worst = float(np.abs(off - (off.max() + off.min()) / 2).max())
        clock = (float(np.median(by_clock_us)), float(np.abs(by_clock_us).max()))
        results.append(Clicks(name, len(nominal), len(at), worst, clock, ear.missed))
    return results


def at_beats(at_ns: NDArray[np.float64], beats_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each click the beat that it is nearest to."""
    after = np.clip(np.searchsorted(beats_ns, at_ns), 1, len(beats_ns) - 1)
    return np.where(at_ns - beats_ns[after - 1] < beats_ns[after] - at_ns, after - 1, after)


def click_frames(heard: Samples, apart: int) -> NDArray[np.int64]:
    """The frames at which clicks are loudest."""
    loud = np.flatnonzero(np.abs(heard) > HEARD)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > apart) + 1)
    return np.array([group[np.argmax(np.abs(heard[group]))] for group in groups if len(group)], np.int64)


def click_rows(seconds: float) -> Iterator[Row]:
    """Clicks of loops of two rates on devices of two rates; the tempo turns after an eighth of the bars.

    In a process of its own, where no ordinary thread keeps the ear's callback waiting.
    """
    for rate in (48_000, 44_100):
        command = [sys.executable, "-m", "bridge.commands.bench_clicks", str(seconds), str(rate)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=2 * seconds + 120, check=False)
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["it did not say why"])[-1]
            yield Row(f"clicks of loops, device of {rate / 1000:g} kHz", f"not here: {reason[:80]}")
            continue
        for clicks in msgspec.json.decode(result.stdout.splitlines()[-1], type=list[Clicks]):
            median_us, worst_us = clicks.clock_us
            yield Row(
                f"{clicks.player}, device of {rate / 1000:g} kHz",
                f"{clicks.found} of {clicks.expected}, worst {clicks.worst_frames:.2f} frames off",
                "<= 1 frame", clicks.worst_frames <= 1 and clicks.found == clicks.expected,
            )  # fmt: skip
            figure = f"{median_us / 1e3:+.3f} ms, worst {worst_us / 1e3:.3f}; {clicks.missed} cycles lost"
            yield Row("  by our clock", figure)


def main() -> int:
    """Measure in this process, and print it as JSON."""
    seconds, rate = float(sys.argv[1]), int(sys.argv[2])
    take_realtime()
    try:
        with jack_server(f"sideman-bench-{os.getpid()}", rate, PERIOD):
            found = hear_clicks(seconds, {max(2, round(seconds / 16)): TURNED_MBPM})
    except SidemanError as error:
        print(error, file=sys.stderr)
        return 1
    print(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
