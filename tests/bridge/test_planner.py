"""The planner on a fake clock, with the real scheduler and the real worker's book-keeping: a score each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bridge.messages.message import Message
from bridge.messages.stage import BarStarted, EpochStarted, Play, Refused, Stop
from bridge.messages.worker import Failed, Generate, Made, Prime, Primed
from bridge.players.grid import BarSpan, Song
from bridge.players.planner import Planner
from bridge.players.policy import PLAYER_PARAMETERS, BarReport
from bridge.players.worker import Worker
from bridge.stage.scheduler import Player, Scheduler
from bridge.testing import FakeClock
from engines.engine import Played, Request
from engines.music import Meter, Note, Phrase
from engines.parameter import Parameter, Parameters

BAR = 3840
BEAT = 960
LEVEL = Parameter(name="level", kind="int", default=50, low=1, high=100)


class Counting:
    """A note on each beat: its pitch is the number of bars heard so far, its velocity tells how it was asked for."""

    parameters = (LEVEL,)

    def start(self, seed: int) -> int:
        return 0

    def prime(self, history: Sequence[Played], seed: int) -> int:
        return len(history)

    def generate(self, request: Request, state: int) -> tuple[Phrase, int]:
        velocity = int(request.parameters["level"]) + request.take + (20 if request.fill else 0)
        beats = range(0, request.length_ticks, request.meter.beat_ticks)
        return Phrase.of(request.length_ticks, [Note(tick, state, velocity, 100) for tick in beats]), state + 1


class Rig:
    """A planner between a scheduler and a worker that takes `bar_s` for a bar."""

    def __init__(self, bar_s: float = 0.01, pitches: dict[int, int] | None = None) -> None:
        self.clock = FakeClock()
        self.scheduler = Scheduler([Player("drums", 10)], 120_000, 0)
        self.song = Song(Meter(), 120_000)
        self.song.piece(self.scheduler.first_piece)
        self.worker = Worker(Counting(), 1)
        self.bar_s = bar_s
        self.asked: list[tuple[int, Prime | Generate]] = []
        self.reports: list[BarReport] = []
        self.failing = False
        self.ahead: list[int] = []
        self.said: list[str] = []
        self.left: list[tuple[int, int, int]] = []
        self.planner = Planner(
            player="drums",
            song=self.song,
            parameters=Parameters((LEVEL, *PLAYER_PARAMETERS)),
            engine_parameters=("level",),
            seed=1,
            pitches=pitches or {},
            to_stage=self.to_stage,
            to_worker=self.to_worker,
            listener=self,
            now_ns=self.clock.now_ns,
        )
        self.planner.worker_ready(bar_s)

    def to_stage(self, message: Message) -> None:
        for reply in self.scheduler.apply(message, self.clock.now_ns()):
            self.stage_said(reply)

    def to_worker(self, message: Prime | Generate) -> None:
        self.asked.append((self.clock.now_ns() + int(self.bar_s * 1e9), message))

    def on_offer(self, player: str, span: BarSpan, phrase: Phrase) -> None:
        self.ahead.append(span.number)

    def on_bar(self, report: BarReport) -> None:
        self.reports.append(report)

    def on_message(self, text: str) -> None:
        self.said.append(text)

    def stage_said(self, message: Message) -> None:
        match message:
            case BarStarted():
                self.planner.bar_started(message)
            case Refused():
                self.planner.refused(message)
            case EpochStarted():
                self.song.epoch_started(message)

    def play(self, position_tick: int = 0, epoch: int = 1, afresh: bool = True) -> None:
        """As the transport does: the first bar is made, then the epoch begins at once."""
        self.planner.cue(epoch, position_tick, afresh)
        while not self.planner.cued(epoch):
            self.answer(*self.asked.pop(0))
        self.to_stage(Play(epoch, position_tick, delay_ms=0))
        self.planner.begin()

    def until(self, song_tick: int) -> None:
        """Play up to a song tick, answering as the worker would."""
        end_ns = self.song.ns_at(song_tick)
        while True:
            departures, replies = self.scheduler.due(self.clock.now_ns())
            self.left += [
                (departure.event.song_tick, departure.event.pitch, departure.event.velocity)
                for departure in departures
                if departure.event.velocity and departure.output < 0
            ]
            for reply in replies:
                self.stage_said(reply)
            moments = [
                at_ns for at_ns in (self.scheduler.next_ns(), *(at for at, _ in self.asked)) if at_ns is not None
            ]
            next_ns = min(moments, default=end_ns + 1)
            if next_ns > end_ns:
                self.clock.advance_to(end_ns)
                return
            self.clock.advance_to(next_ns)
            while self.asked and self.asked[0][0] <= self.clock.now_ns():
                self.answer(*self.asked.pop(0))

    def answer(self, at_ns: int, message: Prime | Generate) -> None:
        self.clock.advance_to(at_ns)
        answer = Failed(message.id, "ZeroDivisionError") if self.failing else self.worker.answer(message)
        if isinstance(answer, Made):
            self.planner.made(answer)
        elif isinstance(answer, Primed):
            self.planner.primed(answer.id)
        else:
            self.planner.failed(answer.id, answer.text)

    @property
    def bars(self) -> list[tuple[int, str, int]]:
        """(bar number, outcome, pitch of its first note or -1) of each bar so far."""
        return [
            (report.span.number, report.outcome, report.phrase.notes[0].pitch if report.phrase.notes else -1)
            for report in self.reports
        ]


def test_one_bar_ahead() -> None:
    rig = Rig()
    rig.play()
    rig.until(3 * BAR + 100)
    assert rig.bars == [(0, "hit", 0), (1, "hit", 1), (2, "hit", 2), (3, "hit", 3)]
    assert rig.left[:5] == [(0, 0, 50), (960, 0, 50), (1920, 0, 50), (2880, 0, 50), (3840, 1, 50)]
    assert [report.headroom > 0.98 for report in rig.reports] == [False, True, True, True]  # the first is due at once
    assert rig.ahead == [0, 1, 2, 3, 4]
    counts = rig.planner.counters.counts()
    assert counts.pop("hit") == 4 and set(counts.values()) == {0}


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        ("repeat", [(0, "hit", 0), (1, "repeat", 0), (2, "hit", 2), (3, "hit", 3)]),
        ("rest", [(0, "hit", 0), (1, "rest", -1), (2, "hit", 2), (3, "hit", 3)]),
        ("alternate", [(0, "hit", 0), (1, "repeat", 0), (2, "hit", 2), (3, "hit", 3)]),
    ],
)
def test_a_late_bar_is_what_the_policy_says_and_the_next_is_primed_with_what_was_played(
    late: str, expected: list[tuple[int, str, int]]
) -> None:
    rig = Rig()
    rig.planner.parameters.set("late", late)
    rig.play()
    rig.bar_s = 2.1  # a bar lasts 2 s
    rig.until(10)
    rig.bar_s = 0.01
    rig.until(3 * BAR + 10)
    assert rig.bars == expected
    assert rig.planner.counters.late == 1
    assert rig.ahead[:3] == [0, 1, 2]  # who schedules bars hears of the late one too


def test_an_engine_slower_than_its_bars_plays_what_it_made_too_late_and_nothing_piles_up() -> None:
    rig = Rig()
    rig.planner.parameters.set("late", "alternate")
    rig.play()
    rig.bar_s = 2.5
    rig.until(12 * BAR + 10)
    outcomes = [outcome for _, outcome, _ in rig.bars[1:]]
    assert outcomes.count("alternate") >= 3
    assert set(outcomes) == {"alternate", "repeat"}
    assert len(rig.asked) == 1


def test_a_slow_engine_has_a_spare_bar_ready() -> None:
    rig = Rig(bar_s=0.7)
    rig.planner.parameters.set("late", "alternate")
    rig.play()
    rig.until(BAR + 3 * BEAT)  # bar 2 is made, and another take of it
    rig.bar_s = 2.5
    rig.until(3 * BAR + 10)
    assert rig.bars == [(0, "hit", 0), (1, "hit", 1), (2, "hit", 2), (3, "alternate", 1)]
    assert rig.reports[3].phrase.notes[0].velocity == 51


def test_a_remake_that_comes_too_late_leaves_the_older_take_and_its_state() -> None:
    rig = Rig()
    rig.play()
    rig.until(2 * BEAT)
    rig.bar_s = 1.2  # slower than it was measured to be
    rig.planner.vary()
    rig.until(BAR + 10)
    rig.bar_s = 0.01
    rig.until(3 * BAR + 10)
    assert rig.said == []
    assert rig.bars == [(0, "hit", 0), (1, "hit", 1), (2, "hit", 2), (3, "hit", 3)]
    assert rig.reports[1].phrase.notes[0].velocity == 50


def test_a_change_of_a_parameter_is_heard_in_the_next_bar_if_there_is_time() -> None:
    rig = Rig()
    rig.play()
    rig.until(BEAT)
    assert rig.planner.lands == 1
    rig.planner.parameters.set("level", 70)
    rig.planner.changed()
    rig.until(BAR + 10)
    assert rig.left[-1] == (BAR, 1, 70)


def test_a_change_too_late_for_the_next_bar_is_heard_in_the_one_after() -> None:
    rig = Rig(bar_s=0.17)
    rig.play()
    rig.until(BAR - 500)  # 260.4 ms before the bar: 60 are kept free, and 15 % more than the 170 of a bar
    assert rig.planner.lands == 1
    rig.until(BAR - 480)
    assert rig.planner.lands == 2
    rig.planner.parameters.set("level", 70)
    rig.planner.changed()
    rig.until(2 * BAR + 10)
    velocities = {tick: velocity for tick, _, velocity in rig.left}
    assert (velocities[BAR], velocities[2 * BAR]) == (50, 70)


def test_commit_keeps_the_next_bar_as_it_is() -> None:
    rig = Rig()
    rig.planner.parameters.set("commit", 2)
    rig.play()
    rig.until(BEAT)
    assert rig.planner.lands == 1
    rig.until(2 * BEAT)
    assert rig.planner.lands == 2


def test_vary_and_take_ask_for_another_take() -> None:
    rig = Rig()
    rig.play()
    rig.until(10)
    rig.until(BEAT)
    rig.planner.vary()
    rig.until(BAR + BEAT)
    rig.planner.vary()
    rig.planner.vary()
    rig.until(2 * BAR + BEAT)
    rig.planner.take(7)
    rig.until(4 * BAR + 10)
    assert [report.phrase.notes[0].velocity for report in rig.reports] == [50, 51, 52, 57, 50]


def test_vary_past_the_point_of_change_is_for_the_bar_after() -> None:
    rig = Rig()
    rig.play()
    rig.until(BAR - 20)
    rig.planner.vary()
    rig.until(3 * BAR + 10)
    assert [report.phrase.notes[0].velocity for report in rig.reports] == [50, 50, 51, 50]


def test_again_brings_the_bar_once_more_and_the_music_goes_on_behind_it() -> None:
    rig = Rig()
    rig.play()
    rig.until(BAR + BEAT)
    rig.planner.again()
    rig.until(4 * BAR + 10)
    assert rig.bars == [(0, "hit", 0), (1, "hit", 1), (2, "hold", 1), (3, "hit", 2), (4, "hit", 3)]


def test_hold_loops_the_bar_until_it_is_let_go() -> None:
    rig = Rig()
    rig.play()
    rig.until(BAR + BEAT)
    rig.planner.hold(True)
    rig.until(3 * BAR + BEAT)
    rig.planner.hold(False)
    rig.until(5 * BAR + 10)
    assert rig.bars[1:] == [(1, "hit", 1), (2, "hold", 1), (3, "hold", 1), (4, "hit", 2), (5, "hit", 3)]


def test_a_fill_now_takes_over_from_the_next_beat() -> None:
    rig = Rig()
    rig.play()
    rig.until(BAR + BEAT + 100)
    rig.planner.fill()
    rig.until(2 * BAR + 10)
    assert [(tick - BAR, velocity) for tick, _, velocity in rig.left if BAR <= tick < 2 * BAR] == [
        (0, 50), (960, 50), (1920, 70), (2880, 70),
    ]  # fmt: skip
    assert rig.bars[2] == (2, "hit", 2)
    assert rig.reports[2].phrase.notes[0].velocity == 50


def test_a_fill_in_the_last_beat_is_the_next_bar() -> None:
    rig = Rig()
    rig.play()
    rig.until(3 * BEAT + 10)
    rig.planner.fill()
    rig.until(2 * BAR + 10)
    assert [report.phrase.notes[0].velocity for report in rig.reports] == [50, 70, 50]


def test_every_fourth_bar_is_a_fill() -> None:
    rig = Rig()
    rig.planner.parameters.set("fill_every", 4)
    rig.play()
    rig.until(8 * BAR + 10)
    assert [report.phrase.notes[0].velocity for report in rig.reports] == [50, 50, 50, 70] * 2 + [50]


def test_a_dead_worker_costs_repeated_bars_and_the_new_one_goes_on_from_them() -> None:
    rig = Rig()
    rig.play()
    rig.until(BAR + BEAT)
    rig.asked.clear()
    rig.planner.worker_lost()
    rig.until(3 * BAR + BEAT)
    rig.worker = Worker(Counting(), 1)
    rig.planner.worker_ready(0.01)
    rig.until(5 * BAR + 10)
    assert rig.bars == [(0, "hit", 0), (1, "hit", 1), (2, "hit", 2), (3, "repeat", 2), (4, "hit", 4), (5, "hit", 5)]


def test_an_engine_that_fails_costs_a_bar_and_is_asked_again() -> None:
    rig = Rig()
    rig.play()
    rig.until(BAR + BEAT)
    rig.failing = True
    rig.planner.vary()
    rig.until(2 * BAR - 10)
    assert rig.bars[-1] == (1, "hit", 1)  # the older take of bar 2 lies at the stage
    rig.until(3 * BAR - 10)
    rig.failing = False
    rig.until(5 * BAR + 10)
    assert rig.said == ["drums: ZeroDivisionError"] * 2
    assert rig.bars == [(0, "hit", 0), (1, "hit", 1), (2, "hit", 2), (3, "repeat", 2), (4, "hit", 4), (5, "hit", 5)]


def test_a_stop_in_mid_bar_goes_on_where_it_stopped() -> None:
    rig = Rig()
    rig.play()
    rig.until(BAR + 1000)
    rig.planner.halt()
    rig.to_stage(Stop())
    rig.song.playing = False
    rig.play(BAR + 1000, epoch=2, afresh=False)
    rig.until(3 * BAR + 10)
    assert [tick for tick, _, _ in rig.left] == [beat * BEAT for beat in range(13)]
    assert rig.bars == [(0, "hit", 0), (1, "hit", 1), (2, "hit", 2), (3, "hit", 3)]


def test_a_jump_goes_on_with_the_same_music_elsewhere_and_to_the_start_afresh() -> None:
    rig = Rig()
    rig.play()
    rig.until(BAR + 1000)
    rig.play(9 * BAR, epoch=2, afresh=False)
    rig.until(10 * BAR + 1000)
    rig.play(0, epoch=3)
    rig.until(BAR + 10)
    assert rig.bars == [(0, "hit", 0), (1, "hit", 1), (9, "hit", 2), (10, "hit", 3), (0, "hit", 0), (1, "hit", 1)]


def test_a_new_metre_from_the_next_bar_on() -> None:
    rig = Rig()
    rig.play()
    rig.until(BEAT)
    rig.song.grid.change(1, Meter(7, 8))
    rig.planner.bar_changed(1)
    rig.until(BAR + 2 * 3360 + 10)
    assert [(report.span.start_tick, len(report.phrase.notes)) for report in rig.reports] == [
        (0, 4), (3840, 7), (7200, 7), (10560, 7),
    ]  # fmt: skip


def test_control_held_up_for_bars_counts_them_as_rests_and_regains_the_grid() -> None:
    rig = Rig()
    rig.play()
    rig.until(BEAT)
    rig.clock.advance_to(rig.song.ns_at(4 * BAR + 100))  # nothing was read or sent in between
    rig.until(6 * BAR + 10)
    numbers = [report.span.number for report in rig.reports]
    assert numbers[-1] == 6
    assert sum(rig.planner.counters.counts().values()) == 7
    assert all(tick % BEAT == 0 for tick, _, _ in rig.left)


def test_after_the_last_bar_nothing_is_asked_for() -> None:
    rig = Rig()
    rig.planner.last_bar = 1
    rig.play()
    rig.until(3 * BAR)
    assert rig.planner.finished
    assert rig.bars == [(0, "hit", 0), (1, "hit", 1)]
    assert rig.asked == []


def test_the_same_seed_and_set_play_the_same() -> None:
    def score() -> list[tuple[int, int, int]]:
        rig = Rig()
        rig.play()
        rig.until(5 * BAR)
        return rig.left

    assert score() == score()


def test_pitches_are_mapped_when_a_bar_leaves_but_not_in_the_engines_memory() -> None:
    rig = Rig(pitches={0: 99})
    rig.play()
    rig.until(10)
    assert rig.left == [(0, 99, 50)]
    assert rig.reports[0].phrase.notes[0].pitch == 0


def test_a_failed_message_of_another_request_changes_nothing() -> None:
    rig = Rig()
    rig.play()
    rig.planner.failed(999, "x")
    rig.until(BAR + 10)
    assert rig.said == []
    assert rig.bars == [(0, "hit", 0), (1, "hit", 1)]
