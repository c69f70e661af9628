"""Players in beats and half beats: where their spans lie, and a planner of them on a fake clock, beside real bars."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from bridge.files.setread import parse_set
from bridge.messages.message import Message
from bridge.messages.stage import BarStarted, EpochStarted, Play, Refused, Tempo
from bridge.messages.worker import Failed, Generate, Made, Prime, Primed
from bridge.players.grid import BarGrid, BarSpan, Song
from bridge.players.planner import Planner
from bridge.players.policy import PLAYER_PARAMETERS, BarReport
from bridge.players.response import Response
from bridge.players.spans import Spans, SpanSize
from bridge.players.whole import Whole
from bridge.players.worker import Worker
from bridge.stage.scheduler import Player, Scheduler
from bridge.testing import FakeClock
from engines.engine import Played, Request
from engines.errors import SidemanError
from engines.music import Meter, Note, Phrase
from engines.parameter import Parameter, Parameters

BAR, BEAT, HALF = 3840, 960, 480
LEVEL = Parameter(name="level", kind="int", default=50, low=1, high=100)


def test_spans_fill_bars_of_any_metre_and_their_numbers_go_on_through_changes() -> None:
    grid = BarGrid(Meter())
    grid.change(2, Meter(6, 8))
    grid.change(3, Meter(7, 8))
    spans = Spans(grid, "beat")
    found = [spans.span(number) for number in range(18)]
    assert [span.start_tick for span in found[:10]] == [*range(0, 8 * BEAT, BEAT), 2 * BAR, 2 * BAR + 1440]
    assert {span.length_ticks for span in found[:8]} == {BEAT}
    assert {span.length_ticks for span in found[8:10]} == {1440}, "a dotted quarter"
    assert [span.length_ticks for span in found[10:17]] == [480] * 7
    assert all(a.end_tick == b.start_tick for a, b in pairwise(found))
    assert all(spans.span_at(tick) == span for span in found for tick in (span.start_tick, span.end_tick - 1))
    assert [spans.bar(span).number for span in found] == [0] * 4 + [1] * 4 + [2] * 2 + [3] * 7 + [4]
    assert [spans.bar_from(number) for number in (0, 1, 4, 5, 8, 9, 10)] == [0, 1, 1, 2, 2, 3, 3]
    assert Spans(grid, "half-beat").span(1).length_ticks == HALF


def test_spans_that_are_bars_are_the_bars() -> None:
    grid = BarGrid(Meter(3, 4))
    grid.change(2, Meter())
    spans = Spans(grid)
    assert [spans.span(number) for number in range(5)] == [grid.bar(number) for number in range(5)]
    assert spans.span_at(7_000) == grid.bar_at(7_000)


def test_a_set_says_what_a_player_plays_at_a_time() -> None:
    assert parse_set("[players.a]\nchunk = 'half-beat'").players["a"].chunk == "half-beat"
    assert parse_set("[players.a]").players["a"].chunk == "bar"
    with pytest.raises(SidemanError, match=r"players\.a\.chunk"):
        parse_set("[players.a]\nchunk = 'step'")


class Counting:
    """A note at the beginning of each span: its pitch is the number of spans so far, its velocity how it was asked."""

    parameters = (LEVEL,)

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.primed: list[Sequence[Played]] = []

    def start(self, seed: int) -> int:
        return 0

    def prime(self, history: Sequence[Played], seed: int) -> int:
        self.primed.append(history)
        return len(history)

    def generate(self, request: Request, state: int) -> tuple[Phrase, int]:
        self.asked.append(request)
        velocity = int(request.parameters["level"]) + (20 if request.fill else 0)
        return Phrase(request.length_ticks, (Note(0, state, velocity, 60),)), state + 1


class Rig:
    """A planner of spans between a scheduler and a worker that takes `made_s` for one."""

    def __init__(self, chunk: SpanSize, made_s: float = 0.01) -> None:
        self.clock = FakeClock()
        self.scheduler = Scheduler([Player("drums", 10)], 120_000, 0)
        self.song = Song(Meter(), 120_000)
        self.song.piece(self.scheduler.first_piece)
        self.engine = Counting()
        self.worker = Worker(self.engine, 1)
        self.made_s = made_s
        self.asked: list[tuple[int, Prime | Generate]] = []
        self.reports: list[BarReport] = []
        self.left: list[tuple[int, int, int]] = []
        self.planner = Planner(
            "drums", song=self.song, parameters=Parameters((LEVEL, *PLAYER_PARAMETERS)), engine_parameters=("level",),
            seed=1, pitches={}, to_stage=self.to_stage, to_worker=self.ask, listener=self, now_ns=self.clock.now_ns,
            chunk=chunk,
        )  # fmt: skip
        self.planner.worker_ready(made_s)

    def ask(self, message: Prime | Generate) -> None:
        self.asked.append((self.clock.now_ns() + int(self.made_s * 1e9), message))

    def to_stage(self, message: Message) -> None:
        for reply in self.scheduler.apply(message, self.clock.now_ns()):
            self.said(reply)

    def said(self, message: Message) -> None:
        match message:
            case BarStarted():
                self.planner.bar_started(message)
            case Refused():
                self.planner.refused(message)
            case EpochStarted():
                self.song.epoch_started(message)
            case _:
                if type(message).__name__ == "Piece":
                    self.song.piece(message)  # type: ignore[arg-type]

    def on_offer(self, player: str, span: BarSpan, phrase: Phrase) -> None: ...

    def on_bar(self, report: BarReport) -> None:
        self.reports.append(report)

    def on_message(self, text: str) -> None:
        raise AssertionError(text)

    def play(self, position_tick: int = 0, epoch: int = 1) -> None:
        self.planner.cue(epoch, position_tick, position_tick == 0)
        while not self.planner.cued(epoch):
            self.answer(*self.asked.pop(0))
        self.to_stage(Play(epoch, position_tick, delay_ms=0))
        self.planner.begin()

    def answer(self, at_ns: int, message: Prime | Generate) -> None:
        self.clock.advance_to(at_ns)
        match self.worker.answer(message):
            case Made() as made:
                self.planner.made(made)
            case Primed() as primed:
                self.planner.primed(primed.id)
            case Failed() as failed:
                raise AssertionError(failed.text)

    def until(self, song_tick: int) -> None:
        end_ns = self.song.ns_at(song_tick)
        while True:
            departures, replies = self.scheduler.due(self.clock.now_ns())
            events = [departure.event for departure in departures if departure.output < 0]
            self.left += [(event.song_tick, event.pitch, event.velocity) for event in events if event.velocity]
            for reply in replies:
                self.said(reply)
            moments = [at for at in (self.scheduler.next_ns(), *(at for at, _ in self.asked)) if at is not None]
            next_ns = min(moments, default=end_ns + 1)
            if next_ns > end_ns:
                self.clock.advance_to(end_ns)
                return
            self.clock.advance_to(next_ns)
            while self.asked and self.asked[0][0] <= self.clock.now_ns():
                self.answer(*self.asked.pop(0))

    @property
    def outcomes(self) -> list[str]:
        return [report.outcome for report in self.reports]


def test_each_half_beat_is_made_a_half_beat_ahead_and_told_its_own_number() -> None:
    rig = Rig("half-beat")
    rig.play()
    rig.until(BAR + 100)
    assert [tick for tick, _, _ in rig.left] == list(range(0, BAR + 1, HALF))
    assert [pitch for _, pitch, _ in rig.left] == list(range(9))
    assert rig.planner.counters.hit == 9
    asked = rig.engine.asked
    assert [(r.bar, r.start_tick, r.length_ticks, r.meter) for r in asked[:3]] == [
        (0, 0, HALF, Meter()), (1, HALF, HALF, Meter()), (2, 2 * HALF, HALF, Meter()),
    ]  # fmt: skip
    assert asked[-1].time_left_s < 0.26, "half a beat lasts 250 ms"


def test_a_change_is_heard_in_the_next_span_and_how_long_that_took_is_kept() -> None:
    rig = Rig("half-beat", made_s=0.05)
    rig.play()
    rig.until(BAR + 100)  # 52 ms into a span of 250; a span takes 50, and 60 are kept free
    rig.planner.parameters.set("level", 70)
    rig.planner.turned()
    rig.until(BAR + 300)
    rig.planner.parameters.set("level", 90)  # too late for the next
    rig.planner.turned()
    rig.until(BAR + 3 * HALF)
    assert {tick: level for tick, _, level in rig.left if tick >= BAR} == {
        BAR: 50, BAR + HALF: 70, BAR + 2 * HALF: 90, BAR + 3 * HALF: 90,
    }  # fmt: skip
    last, middle, worst, count = rig.planner.response.figures_ms()
    assert count == 2
    assert (last, worst) == (pytest.approx((2 * HALF - 300) / 1.92, abs=1),) * 2
    assert middle == pytest.approx(((HALF - 100) + (2 * HALF - 300)) / 2 / 1.92, abs=1)


def test_a_late_span_is_the_last_one_again_and_the_next_is_primed() -> None:
    rig = Rig("beat")
    rig.play()
    rig.until(10)
    rig.until(BEAT + 10)
    rig.made_s = 0.6  # a beat lasts 0.5 s
    rig.until(2 * BEAT + 10)
    rig.made_s = 0.01
    rig.until(5 * BEAT + 10)
    assert rig.outcomes == ["hit", "hit", "hit", "repeat", "hit", "hit"]
    assert [pitch for _, pitch, _ in rig.left] == [0, 1, 2, 2, 4, 5]
    assert [played.phrase.length for played in rig.engine.primed[0]] == [BEAT] * 4


def test_a_metre_changes_between_bars_and_a_jump_lands_in_its_span() -> None:
    rig = Rig("beat")
    rig.play()
    rig.until(BEAT + 100)
    assert (rig.planner.lands, rig.planner.free_bar) == (0, 1)
    rig.song.grid.change(1, Meter(6, 8))
    rig.planner.bar_changed(1)
    rig.until(BAR + 3 * 1440 + 10)
    assert [tick for tick, _, _ in rig.left] == [0, 960, 1920, 2880, 3840, 5280, 6720, 8160]
    rig.left.clear()
    rig.play(BAR + 1500, epoch=2)
    rig.until(BAR + 2880 + 10)
    assert [tick for tick, _, _ in rig.left] == [BAR + 2880], "what had begun before the jump is not heard"
    assert rig.reports[-2].span.start_tick == BAR + 1440


def test_a_tempo_that_turns_loses_no_span() -> None:
    rig = Rig("half-beat")
    rig.play()
    for number, tempo_mbpm in enumerate((180_000, 90_000, 133_700)):
        rig.until((2 * number + 1) * 3 * HALF - 100)
        rig.to_stage(Tempo(tempo_mbpm))
    rig.until(2 * BAR)
    assert [tick for tick, _, _ in rig.left] == list(range(0, 2 * BAR + 1, HALF))
    assert set(rig.outcomes) == {"hit"}


def test_what_counts_bars_counts_real_ones() -> None:
    rig = Rig("beat")
    rig.planner.last_bar = 3
    rig.planner.parameters.set("fill_every", 2)
    rig.play()
    rig.planner.parameters.set("trade_listen", 1)
    rig.planner.parameters.set("trade_answer", 1)
    rig.until(BAR // 2)
    rig.planner.trade()
    finished = []
    for beat in range(2, 20):
        rig.until(beat * BEAT + 100)
        finished.append(rig.planner.finished)
    assert len(rig.reports) == 16, "four bars, and no more"
    assert finished.index(True) == 13, "with its last beat the last bar has begun"
    assert [outcome == "listen" for outcome in rig.outcomes] == [False] * 4 + [True] * 4 + [False] * 4 + [True] * 4
    fills = [request.start_tick // BAR for request in rig.engine.asked if request.fill]
    assert set(fills) <= {1, 3}
    rig = Rig("beat")
    rig.planner.parameters.set("fill_every", 2)
    rig.play()
    rig.until(3 * BAR - BEAT)
    assert {request.start_tick // BEAT for request in rig.engine.asked if request.fill} == {4, 5, 6, 7}


def test_those_who_watch_bars_are_told_whole_ones_with_how_the_worst_span_came_about() -> None:
    rig = Rig("beat")
    rig.play()
    rig.until(BEAT + 10)
    rig.made_s = 0.6
    rig.until(2 * BEAT + 10)
    rig.made_s = 0.01
    rig.until(2 * BAR)
    whole = Whole(rig.song.grid)
    told = [bar for bar in map(whole.add, rig.reports) if bar is not None]
    assert [(bar.span, bar.outcome) for bar in told] == [
        (BarSpan(0, 0, Meter()), "repeat"), (BarSpan(1, BAR, Meter()), "hit"),
    ]  # fmt: skip
    assert [note.tick for note in told[0].phrase.notes] == [0, BEAT, 2 * BEAT, 3 * BEAT]
    assert told[0].counters.hit == 3


def test_while_nothing_new_is_made_no_change_is_waited_for() -> None:
    response = Response()
    assert response.said() == ""
    response.turned(1_000_000_000)
    response.began("repeat", 0, 1_200_000_000)
    response.began("hit", 0, 1_300_000_000)  # was made before
    response.began("hit", 1, 1_500_000_000)
    response.turned(2_000_000_000)
    response.began("hold", 1, 2_200_000_000)
    response.began("hit", 2, 9_000_000_000)
    response.later_ns = 20_000_000
    response.turned(9_100_000_000)
    response.began("cut", 3, 9_400_000_000)
    assert response.figures_ms() == (pytest.approx(320), pytest.approx(410), pytest.approx(500), 2)
    assert response.said() == "fader to sound 410 ms median, 500 ms at worst (2 changes)"
