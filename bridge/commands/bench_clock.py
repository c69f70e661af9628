"""bench: how a jittering MIDI clock is followed, on simulated clocks: nothing is waited for, every seed is the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bridge.commands.figures import Row, histogram
from bridge.messages.hearing import InputSetup
from bridge.messages.message import Message
from bridge.messages.stage import Play
from bridge.messages.sync import SourcePlays, SourceState, SyncSetup
from bridge.stage.following import Following
from bridge.stage.inputs.input import Input
from bridge.stage.midi.numbers import CLOCK, START
from bridge.stage.rack import Rack
from bridge.stage.scheduler import Scheduler
from bridge.timing.sync.midi_clock import MidiClockSource

TEMPI_BPM = (70.0, 97.3, 120.0, 180.0)
SEEDS = 5
JITTER_MS = 1.0
LOST = 0.01
BARS = 24
SETTLED_BARS = 2

TEMPO_TARGET_BPM = 0.1
PHASE_TARGET_MS = 0.5

CLOCKS_A_BAR = 96
POLL_NS = 5_000_000
STEP_TICKS = 240


class Wire(Input):
    """An input that needs no port: what comes is delivered to it."""

    def open(self) -> str:
        """Nothing to open."""
        return "a simulated clock"


@dataclass(frozen=True, slots=True)
class Followed:
    """How a clock was followed: the tempo's error two bars in, and the phase's at every sixteenth from then on."""

    tempo_error_bpm: float
    phase_errors_ms: tuple[float, ...]


def clock_rows() -> Iterator[Row]:
    """Several tempi and seeds, a millisecond of jitter (sigma), one clock of a hundred lost."""
    found = [followed(tempo_bpm, seed) for tempo_bpm in TEMPI_BPM for seed in range(SEEDS)]
    tempo_bpm = max(one.tempo_error_bpm for one in found)
    rms_ms = max(float(np.sqrt(np.mean(np.square(one.phase_errors_ms)))) for one in found)
    yield Row(
        f"MIDI clock, {JITTER_MS:g} ms jitter, {LOST:.0%} lost: in {SETTLED_BARS} bars",
        f"tempo at most {tempo_bpm:.3f} bpm off",
        f"<= {TEMPO_TARGET_BPM:g} bpm",
        tempo_bpm <= TEMPO_TARGET_BPM,
    )  # fmt: skip
    yield Row(
        "  phase from then on, the worst of 20 runs", f"{rms_ms:.3f} ms rms",
        f"<= {PHASE_TARGET_MS:g} ms rms", rms_ms <= PHASE_TARGET_MS,
    )  # fmt: skip
    yield Row("  all of them", histogram([error for one in found for error in one.phase_errors_ms]))


def followed(
    tempo_bpm: float, seed: int, jitter_ms: float = JITTER_MS, lost: float = LOST, bars: int = BARS
) -> Followed:
    """Follow a clock of that tempo for so many bars, with the stage's own parts, on a clock of our own."""
    wire = Wire(InputSetup("clock"), Rack("sideman bench"), lambda: None)
    source = MidiClockSource(wire)
    scheduler = Scheduler([], 120_000, 0)
    following = Following(scheduler, lambda _: source)
    following.follow(SyncSetup("midi", "clock"), 0)
    song = _Song(scheduler, following)
    start_ns, period_ns = 1_000_000_000, 60e9 / tempo_bpm / 24
    arrivals = _arrivals(start_ns + np.arange(bars * CLOCKS_A_BAR) * period_ns, seed, jitter_ms, lost)
    errors_ms: list[float] = []
    tempo_error_bpm = float("inf")
    now_ns, next_tick = 0, SETTLED_BARS * CLOCKS_A_BAR * 40
    end_ns = arrivals[-1][0]
    position = 0
    while now_ns < end_ns:
        now_ns = min(now_ns + POLL_NS, arrivals[position][0] if position < len(arrivals) else end_ns)
        while position < len(arrivals) and arrivals[position][0] <= now_ns:
            wire.deliver(bytes((arrivals[position][1],)), arrivals[position][0])
            position += 1
        song.hear(following.poll(now_ns), now_ns)
        due_ns = start_ns + next_tick / 40 * period_ns
        if now_ns >= due_ns and (at_ns := song.at_ns(next_tick)) is not None:
            if not errors_ms:
                tempo_error_bpm = abs(song.tempo_mbpm / 1000 - tempo_bpm)
            errors_ms.append((at_ns - due_ns) / 1e6)
            next_tick += STEP_TICKS
    return Followed(tempo_error_bpm, tuple(errors_ms))


class _Song:
    """What control does when a source starts, and where the song is then."""

    def __init__(self, scheduler: Scheduler, following: Following) -> None:
        self.tempo_mbpm = 0
        self._scheduler = scheduler
        self._following = following

    def hear(self, said: Sequence[Message], now_ns: int) -> None:
        for message in said:
            if isinstance(message, SourcePlays):
                play = Play(1, message.position_tick, at_ns=message.at_ns)
                self._scheduler.apply(play, now_ns)
                self._following.placed(play)
            elif isinstance(message, SourceState):
                self.tempo_mbpm = message.tempo_mbpm

    def at_ns(self, song_tick: int) -> float | None:
        epoch = self._scheduler.epoch
        if epoch is None:
            return None
        return float(self._scheduler.timeline.ns_at(epoch.tick + song_tick - epoch.position_tick))


def _arrivals(due_ns: npt.NDArray[np.floating], seed: int, jitter_ms: float, lost: float) -> list[tuple[int, int]]:
    """(when, status byte): FA just before the first clock, then clocks that jitter, in order, some of them lost."""
    random = np.random.default_rng(seed)
    arrive_ns = due_ns + random.normal(0, jitter_ms * 1e6, len(due_ns))
    there = random.random(len(due_ns)) >= lost
    there[0] = True
    times = np.sort(arrive_ns[there])
    return [(int(times[0]) - 500_000, START), *((int(at_ns), CLOCK) for at_ns in times)]
