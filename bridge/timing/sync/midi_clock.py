"""Following MIDI clock: 24 pulses a quarter note, start, stop, continue and song position (MIDI 1.0, System Real Time).

The pulses go through a line (bridge/timing/sync/clock_line.py); here is what they mean: where the source is in the
song, whether it runs, and what is said when it goes silent.
"""

from __future__ import annotations

from bridge.messages.message import Trouble
from bridge.messages.sync import SourcePlays, SourceStops, SyncKind
from bridge.stage.inputs.input import Input
from bridge.stage.inputs.mailbox import RawMidi
from bridge.stage.midi.numbers import CLOCK, CONTINUE, SONG_POSITION, START, STOP
from bridge.timing.sync.clock_line import ClockLine
from bridge.timing.sync.source import Reference, SourceEvent, SourceStatus
from bridge.timing.timeline import TEMPO_MAX_MBPM, TEMPO_MIN_MBPM
from engines.music import TICKS_PER_BEAT

PULSES_PER_BEAT = 24
PULSE_TICKS = TICKS_PER_BEAT // PULSES_PER_BEAT
PULSES_PER_SIXTEENTH = 6
NS_MBPM_PER_PULSE = 60 * 10**9 * 1000 / PULSES_PER_BEAT

TOLERANCE_NS = 100_000
TOLERANCE_SIGMAS = 0.4
"""The line through pulses with a millisecond of jitter scatters by .15 ms: errors that are no larger than one of these
are left alone, so that a poor clock does not bend our tempo at every pulse."""

SILENCE_NS = 500_000_000
SILENCE_PULSES = 4
"""A clock is gone when it is silent for longer than both."""

PAUSE_PULSES = 1.5
"""After more than this a start is not on the line of the pulses before."""

RUNNING_NS = 1_500_000_000
"""A clock heard so soon after its port was there has run before: nobody can tell whether it plays."""

STARTLESS_PULSES = 192
"""A clock that began out of silence and sends no start for two bars has none, or it was lost: it plays."""


class MidiClockSource:
    """The clock that comes in on an input.

    Positions are in pulses. While the source stands still and goes on pulsing, the position runs on, for the tempo's
    sake, and no song is where it says.
    """

    kind: SyncKind = "midi"

    def __init__(self, midi_input: Input) -> None:
        self._input = midi_input
        self._line = ClockLine()
        self._events: list[SourceEvent] = []
        self._zero = 0  # the number of the pulse that is position 0
        self._due: int | None = None  # the position of the next pulse, which starts the song there
        self._told_due = False
        self._stands_at = 0
        self._runs: bool | None = None
        self._last_ns: int | None = None
        self._present_since_ns: int | None = None
        self._startless = False
        self._first = 0
        self._gone = False

    @property
    def tolerance_ns(self) -> int:
        """By the scatter of the pulses."""
        return max(TOLERANCE_NS, round(TOLERANCE_SIGMAS * self._line.sigma_ns))

    def open(self) -> str:
        """Open the input and hear its clock. Raises SidemanError where there is no MIDI."""
        line = self._input.open()
        self._input.hear_clock(True)
        return f"following MIDI clock: {line}"

    def poll(self, now_ns: int) -> list[SourceEvent]:
        """Starts, stops and silences since the last call, and where the newest pulse was, if there is one."""
        if not self._input.present:
            self._present_since_ns = None
        elif self._present_since_ns is None:
            self._present_since_ns = now_ns
        pulses = self._line.pulses
        for message in self._input.take_clock():
            self._take(message)
        if self._line.pulses > pulses and (reference := self._reference()):
            self._events.append(reference)
        self._look_for_silence(now_ns)
        events, self._events = self._events, []
        return events

    def set_tempo(self, tempo_mbpm: int, now_ns: int) -> bool:
        """A clock that is followed has its own tempo."""
        return False

    def play(self, position_tick: int, at_ns: int) -> None:
        """Who sends a clock starts it."""

    def stop(self, at_ns: int) -> None:
        """Who sends a clock stops it."""

    def state(self) -> SourceStatus:
        """Locked from the twelfth pulse on."""
        period_ns = self._line.period_ns
        tempo_mbpm = round(NS_MBPM_PER_PULSE / period_ns) if period_ns else 0
        alive = self._line.settled and not self._gone and self._last_ns is not None
        return SourceStatus(locked=alive and self._line.length > 0, holdover=self._gone, tempo_mbpm=tempo_mbpm)

    def close(self) -> None:
        """Hear no clock any more; the input stays the set's."""
        self._input.hear_clock(False)

    def _take(self, message: RawMidi) -> None:
        status, at_ns = message.data[0], message.at_ns
        if status == CLOCK:
            self._pulse(at_ns)
        elif status == START:
            self._start(0, at_ns)
        elif status == CONTINUE:
            if not self._runs:
                self._start(self._stands_at if self._due is None else self._due, at_ns)
        elif status == STOP:
            if self._runs or self._due is not None:
                self._stands_at = self._line.count + 1 - self._zero if self._due is None else self._due
            self._runs, self._due, self._startless = False, None, False
            self._events.append(SourceStops(at_ns))
        elif status == SONG_POSITION:
            self._stands_at = (message.data[1] | message.data[2] << 7) * PULSES_PER_SIXTEENTH
            if self._runs:
                self._start(self._stands_at, at_ns)

    def _start(self, position: int, at_ns: int) -> None:
        """The next pulse is that position. Where the pulses run already, it is known when that will be."""
        self._due, self._told_due, self._startless = position, False, False
        period_ns = self._line.period_ns
        if self._last_ns is None or period_ns is None:
            return
        if at_ns - self._last_ns > PAUSE_PULSES * period_ns:
            self._line.begin()
            return
        next_ns = self._line.at_ns(self._line.count + 1)
        if self._line.settled and self._line.exact and next_ns > at_ns:
            self._events.append(SourcePlays(position * PULSE_TICKS, round(next_ns)))
            self._told_due = True

    def _pulse(self, at_ns: int) -> None:
        if not self._line.clock(at_ns):
            return
        self._look_for_beginning(at_ns)
        self._last_ns = at_ns
        if self._due is not None:
            position, self._due = self._due, None
            self._zero = self._line.count - position
            self._runs = True
            if not self._told_due:
                begins_ns = round(self._line.at_ns(self._line.count)) if self._line.steady else at_ns
                self._events.append(SourcePlays(position * PULSE_TICKS, begins_ns))

    def _look_for_beginning(self, at_ns: int) -> None:
        """The clock is back, or has begun; one that began without a start has to be taken for one that plays."""
        if self._gone:
            self._gone = False
            self._events.append(Trouble(f"the MIDI clock of {self._input.name} is back"))
        if self._last_ns is None:
            since_ns = self._present_since_ns
            unasked = self._runs is None and self._due is None
            self._startless = unasked and since_ns is not None and at_ns - since_ns > RUNNING_NS
            self._first = self._zero = self._line.count
        elif self._startless and self._due is None and self._line.count - self._first >= STARTLESS_PULSES:
            self._startless = False
            self._due, self._told_due = self._line.count - self._first, False
            self._events.append(
                Trouble(
                    f"the MIDI clock of {self._input.name} sends no start: its first pulse is taken for the first beat"
                )
            )

    def _reference(self) -> Reference | None:
        line = self._line
        if line.period_ns is None or self._due is not None or not (line.settled or line.steady):
            return None
        tempo_mbpm = round(NS_MBPM_PER_PULSE / line.period_ns)
        if not line.settled and not TEMPO_MIN_MBPM <= tempo_mbpm <= TEMPO_MAX_MBPM:
            return None
        tick = float((line.count - self._zero) * PULSE_TICKS)
        grid_ticks = PULSE_TICKS if self._runs is None else 0  # pulses were counted from anywhere
        return Reference(tick, round(line.at_ns(line.count)), tempo_mbpm, grid_ticks)

    def _look_for_silence(self, now_ns: int) -> None:
        period_ns = self._line.period_ns
        if self._last_ns is None or period_ns is None or self._gone:
            return
        if now_ns - self._last_ns <= max(SILENCE_NS, SILENCE_PULSES * period_ns):
            return
        if self._runs is False:
            self._last_ns = None  # it was stopped: silence is what follows
            self._line.begin()
            return
        self._gone = True
        tempo = NS_MBPM_PER_PULSE / period_ns / 1000
        self._events.append(Trouble(f"the MIDI clock of {self._input.name} is gone; holding {tempo:.1f} bpm"))
