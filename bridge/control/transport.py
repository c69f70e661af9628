"""The transport: tempo, play, stop, continue, jump and metre, for all players together.

Positions that people see are in beats (quarter notes) from the song's start, as floats; inside they are ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bridge.control.epochs import Epochs, Start
from bridge.control.surface import ROOT, Node
from bridge.messages.stage import EpochStarted, Piece, Stop, Stopped, Tempo
from bridge.messages.sync import SourcePlays, SourceState, SyncSetup
from bridge.players.grid import Song
from bridge.players.planner import Planner
from bridge.set import TEMPO_BPM_HIGH, TEMPO_BPM_LOW
from engines.errors import SidemanError
from engines.music import TICKS_PER_BEAT, Meter
from engines.parameter import Parameter, Value

SLACK_NS = 20_000_000
"""A start at a bar of the source's is looked for from a little before the moment that was named."""

LED = {"midi": "the MIDI clock", "jack": "JACK's transport"}
"""Sources that say when to start, and where in the song."""

BEATS_MAX = 1_000_000.0

TEMPO = Parameter(
    name="tempo", kind="float", default=120.0, low=TEMPO_BPM_LOW, high=TEMPO_BPM_HIGH, unit="bpm", help="tempo, at once"
)
POSITION = Parameter(
    name="position", kind="float", default=0.0, high=BEATS_MAX, unit="beats", help="where the song is; set it to jump"
)
PLAYING = Parameter(name="playing", kind="bool", default=False, help="1 plays on from the position, 0 stops")
COUNT_IN = Parameter(
    name="count_in",
    kind="int",
    default=0,
    high=8,
    unit="bars",
    help="clicks before the first bar, at the next start",
)


class Transport:
    """What people ask for, and what a source does. `now_ns` is perf_counter_ns.

    sync: what is followed; count_in_bars: clicks before the first bar
    """

    def __init__(self, song: Song, to_stage: Callable[[Any], None], now_ns: Callable[[], int]) -> None:
        self.song = song
        self.sync = SyncSetup()
        self.count_in_bars = 0
        self.on_meter: Callable[[int, Meter], None] = lambda _tick, _meter: None
        self.say: Callable[[str], None] = lambda _text: None
        self._epochs = Epochs(song, to_stage, now_ns)
        self._to_stage = to_stage
        self._now_ns = now_ns
        self._tempo_mbpm = song.tempo_mbpm
        self._position_tick = 0
        self._wanted = False
        self._source_runs = False
        self._rearm = False  # a source's start was waited for when the stage died
        self._resume: tuple[int, int] | None = None  # (song tick, when it is to be) for a new stage

    def nodes(self) -> tuple[Node, ...]:
        """The transport's addresses."""
        return (
            _node(TEMPO, lambda: self._tempo_mbpm / 1000, self.set_tempo),
            _node(PLAYING, lambda: self.playing, self._set_playing),
            _node(POSITION, self.position_beats, self.jump),
            Node(
                f"{ROOT}/transport/meter", "a metre such as 7/8", "metre, from the next bar on",
                get=lambda: (str(self.meter),), set=self.set_meter,
            ),
            _node(COUNT_IN, lambda: self.count_in_bars, self.set_count_in),
        )  # fmt: skip

    @property
    def planners(self) -> Sequence[Planner]:
        """Whose first bars an epoch begins with."""
        return self._epochs.planners

    def conduct(self, planners: Sequence[Planner], clicker: str) -> None:
        """These play; `clicker` is the player on whose outputs a count-in is heard."""
        self._epochs.planners, self._epochs.clicker = planners, clicker

    def cued(self) -> None:
        """A player's first bar is there."""
        self._epochs.cued()

    @property
    def playing(self) -> bool:
        """True from play to stop, also while the first bars are being made, but not while a source is waited for."""
        return self._wanted and not self._epochs.armed

    @property
    def tempo_mbpm(self) -> int:
        """The tempo asked for last, in thousandths of a bpm."""
        return self._tempo_mbpm

    @property
    def meter(self) -> Meter:
        """The metre where the song is."""
        return self.song.grid.bar_at(self.position_tick()).meter

    def position_tick(self) -> int:
        """The song tick that sounds, or where it would go on."""
        if self.song.playing and self.song.epoch == self._epochs.number:
            return max(self._position_tick, self.song.song_tick_at(self._now_ns()))
        return self._position_tick

    def position_beats(self) -> float:
        """The same in beats."""
        return self.position_tick() / TICKS_PER_BEAT

    # What people ask for

    def set_tempo(self, value: object) -> None:
        """A tempo from 20 to 999 bpm, to land as soon as it can. Raises SidemanError."""
        tempo_mbpm = round(float(TEMPO.check(value)) * 1000)
        if self.sync.kind == "midi":
            raise SidemanError(
                "the tempo is the MIDI clock's: set it there, or set /sideman/transport/sync to internal"
            )
        self._tempo_mbpm = tempo_mbpm
        self._to_stage(Tempo(self._tempo_mbpm))

    def play(self) -> None:
        """Play on from the position; nothing if it plays.

        Who follows a MIDI clock or JACK plays when that does, or when asked again.
        """
        if self._epochs.armed:
            self._epochs.cue(self._position_tick, Start())
        elif not self._wanted:
            self._wanted = True
            self._epochs.cue(self._position_tick, self._from_here())
            if self._epochs.armed:
                self.say(f"ready; {LED[self.sync.kind]} starts us, or play once more")

    def stop(self, shared: bool = True) -> None:
        """End every sounding note; the position is kept. shared: others who share starts and stops do so too."""
        if self._wanted:
            self._position_tick = self.position_tick()
            self._wanted = self.song.playing = False
            self._epochs.halt()
            self._to_stage(Stop(shared))

    def jump(self, value: object) -> None:
        """Go to a position in beats, playing on if it plays; 0 starts the song afresh. Raises SidemanError."""
        position_tick = round(float(POSITION.check(value)) * TICKS_PER_BEAT)
        if self.sync.kind in LED:
            raise SidemanError(f"the position is that of {LED[self.sync.kind]}: go there with that")
        self._position_tick = position_tick
        if self._wanted:
            self._epochs.cue(position_tick, Start(quantum_ticks=self._quantum_ticks))

    def set_count_in(self, value: object) -> None:
        """Bars of clicks before the first bar, from the next start on. Raises SidemanError."""
        self.count_in_bars = int(COUNT_IN.check(value))

    def set_meter(self, value: object) -> None:
        """A metre from the next bar on that can still be changed. Raises SidemanError."""
        if not isinstance(value, str):
            raise SidemanError("meter takes a metre such as 7/8")
        meter = Meter.parse(value)
        here = self.song.grid.bar_at(self.position_tick())
        number = here.number if here.start_tick == self.position_tick() else here.number + 1
        if self.song.playing:
            number = max([number, *(planner.free_bar for planner in self.planners)])
        self.song.grid.change(number, meter)
        for planner in self.planners:
            planner.bar_changed(number)
        self.on_meter(self.song.grid.bar(number).start_tick, meter)

    # What a source does

    def follow(self, sync: SyncSetup) -> None:
        """Another source is followed from now on; what plays goes on, what waits for a source begins."""
        self.sync, self._source_runs = sync, False
        if self._epochs.armed:
            self._epochs.cue(self._position_tick, self._from_here())

    def source_plays(self, message: SourcePlays) -> None:
        """The source has started, or been moved; so do we."""
        self._source_runs = True
        if message.position_tick < 0:  # Link's others: from where we are, at a bar of theirs
            if not self._wanted:
                self._wanted = True
                start = Start(max(message.at_ns, self._now_ns()) - SLACK_NS, quantum_ticks=self._quantum_ticks)
                self._epochs.cue(self._position_tick, start)
            return
        self._wanted = True
        self._position_tick = message.position_tick
        self._epochs.lead(message.position_tick, message.at_ns)

    def source_stops(self) -> None:
        """The source has stopped; so do we."""
        self._source_runs = False
        self.stop(shared=False)

    def source_state(self, message: SourceState) -> None:
        """How we follow."""
        if message.kind != "internal" and message.locked:
            self._tempo_mbpm = message.tempo_mbpm

    # What the stage reports

    def stage_lost(self) -> None:
        """The stage died. The song goes on by our own clock, unheard."""
        self.song.playing = False
        self._rearm = self._epochs.armed
        self._epochs.stage_lost()

    def stage_back(self) -> None:
        """A new stage is ready: find the bar line that it can reach. Its timeline is about to come."""
        resume = self._epochs.stage_back()
        if self._wanted:
            self._resume = resume
        self.song.forget()

    def piece(self, message: Piece) -> None:
        """The tempo has changed, or a stage has started."""
        self.song.piece(message)
        resume, self._resume = self._resume, None
        if resume is not None and self._wanted:
            tick, at_ns = resume
            for planner in self.planners:
                planner.missed(tick)
            self._position_tick = tick
            quantum_ticks = 1 if self.sync.kind in LED else self._quantum_ticks  # a new clock is met at any tick
            self._epochs.cue(tick, Start(armed=True) if self._rearm else Start(at_ns, quantum_ticks=quantum_ticks))

    def epoch_started(self, message: EpochStarted) -> None:
        """The epoch plays."""
        if message.epoch == self._epochs.number and self._wanted:
            self.song.epoch_started(message)

    def stopped(self, message: Stopped) -> None:
        """The stage has stopped, exactly there."""
        if message.epoch == self._epochs.number and not self._wanted:
            self._position_tick = message.position_tick

    # How

    def _from_here(self) -> Start:
        """How playing begins where we ask for it."""
        if self.sync.kind not in LED:
            return Start(quantum_ticks=self._quantum_ticks, count_in_bars=self.count_in_bars)
        return Start(quantum_ticks=self._quantum_ticks) if self._source_runs else Start(armed=True)

    @property
    def _quantum_ticks(self) -> int:
        return 0 if self.sync.kind == "internal" else self.sync.quantum_ticks

    def _set_playing(self, value: object) -> None:
        if PLAYING.check(value):
            self.play()
        else:
            self.stop()


def _node(parameter: Parameter, get: Callable[[], Value], set_: Callable[[object], None]) -> Node:
    address = f"{ROOT}/transport/{parameter.name}"
    return Node(address, parameter.takes, parameter.help, get=lambda: (get(),), set=set_, parameter=parameter)
