"""Players that hear each other, bars that are cut, and going back to before a wish: planners on a fake clock."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.control.heard import Ears, Hearing
from bridge.messages.message import Message
from bridge.messages.stage import BarStarted, EpochStarted, Play, Refused
from bridge.messages.worker import Failed, Generate, Made, Prime, Primed
from bridge.players.band import BARS_TOLD, Band
from bridge.players.grid import BarSpan, Song
from bridge.players.plan import mended
from bridge.players.planner import Planner
from bridge.players.policy import PLAYER_PARAMETERS, BarReport
from bridge.players.worker import Worker
from bridge.stage.scheduler import Player, Scheduler
from bridge.testing import FakeClock
from engines.engine import Played, Request
from engines.errors import SidemanError
from engines.music import Meter, Note, Phrase
from engines.notes.roles import ROLE_NAMED
from engines.parameter import Parameters

BAR, BEAT = 3840, 960
DRUMS, PIANO = ROLE_NAMED["drums"] + 1, ROLE_NAMED["piano"] + 1


class Walking:
    """A note on each beat, a step up from the bar before; it remembers what it was asked.

    beat_s: what a beat of music takes it: it is cut where there is not time enough. A take is an octave up, the bar of
    a fill a fifth; a bar with one that follows is that one's pitch and 50.
    """

    parameters = ()

    def __init__(self, part: int, beat_s: float = 0.0) -> None:
        self.part = part
        self.beat_s = beat_s
        self.asked: list[Request] = []
        self.primed: list[Sequence[Played]] = []

    def start(self, seed: int) -> int:
        return 0

    def prime(self, history: Sequence[Played], seed: int) -> int:
        self.primed.append(history)
        return len(history)

    def generate(self, request: Request, state: int) -> tuple[Phrase, int]:
        self.asked.append(request)
        beats = request.length_ticks // BEAT
        made = min(beats, int(request.time_left_s / self.beat_s)) if self.beat_s else beats
        pitch = state + 12 * request.take + (7 if request.fill else 0)
        if request.following is not None:
            pitch = request.following.notes[0].pitch + 50
        notes = [Note(beat * BEAT, pitch % 128, 100, 2 * BEAT, self.part) for beat in range(made)]
        return Phrase(request.length_ticks, tuple(notes), None, None if made == beats else made * BEAT), pitch + 1


class Seat:
    """A player of the rig."""

    def __init__(self, engine: Walking) -> None:
        self.engine = engine
        self.worker = Worker(engine, 1)
        self.took_s = 0.001
        self.reports: list[BarReport] = []
        self.planner: Planner

    @property
    def bars(self) -> list[tuple[int, str, int]]:
        """Bar, outcome and pitch of the first note."""
        return [(r.span.number, r.outcome, r.phrase.notes[0].pitch if r.phrase.notes else -1) for r in self.reports]


class Rig:
    """Planners that hear each other, with the real scheduler, and workers that take `took_s` for a bar."""

    def __init__(self, **engines: Walking) -> None:
        self.clock = FakeClock()
        self.scheduler = Scheduler([Player(name, 10) for name in engines], 120_000, 0)
        self.song = Song(Meter(), 120_000)
        self.song.piece(self.scheduler.first_piece)
        self.seats = {name: Seat(engine) for name, engine in engines.items()}
        self.band = Band(dict.fromkeys(engines, 10))
        self.asked: list[tuple[int, Seat, Prime | Generate]] = []
        for name, seat in self.seats.items():
            others = [other for other in engines if other != name]
            seat.planner = Planner(
                player=name, song=self.song, parameters=Parameters(PLAYER_PARAMETERS), engine_parameters=(), seed=1,
                pitches={}, to_stage=self.to_stage, to_worker=lambda message, seat=seat: self.ask(seat, message),
                listener=self, now_ns=self.clock.now_ns, ears=Ears(Hearing(), (), self.band, others), band=self.band,
            )  # fmt: skip
            seat.planner.worker_ready(seat.took_s)

    def ask(self, seat: Seat, message: Prime | Generate) -> None:
        self.asked.append((self.clock.now_ns() + int(seat.took_s * 1e9), seat, message))

    def to_stage(self, message: Message) -> None:
        for reply in self.scheduler.apply(message, self.clock.now_ns()):
            self.stage_said(reply)

    def stage_said(self, message: Message) -> None:
        match message:
            case BarStarted():
                self.seats[message.player].planner.bar_started(message)
            case Refused():
                self.seats[message.player].planner.refused(message)
            case EpochStarted():
                self.song.epoch_started(message)

    def on_offer(self, player: str, span: BarSpan, phrase: Phrase) -> None: ...

    def on_bar(self, report: BarReport) -> None:
        self.seats[report.player].reports.append(report)

    def on_message(self, text: str) -> None:
        raise AssertionError(text)

    def play(self, position_tick: int = 0, epoch: int = 1) -> None:
        for seat in self.seats.values():
            seat.planner.cue(epoch, position_tick, position_tick == 0)
        self.answer_all()
        self.to_stage(Play(epoch, position_tick, delay_ms=0))
        for seat in self.seats.values():
            seat.planner.begin()

    def answer_all(self) -> None:
        while self.asked:
            at_ns, seat, message = self.asked.pop(0)
            self.clock.advance_to(max(at_ns, self.clock.now_ns()))
            match seat.worker.answer(message):
                case Made() as made:
                    seat.planner.made(made)
                case Primed() as primed:
                    seat.planner.primed(primed.id)
                case Failed() as failed:
                    raise AssertionError(failed.text)

    def until(self, song_tick: int) -> None:
        """Play up to a song tick, answering as the workers would."""
        end_ns = self.song.ns_at(song_tick)
        while True:
            for reply in self.scheduler.due(self.clock.now_ns())[1]:
                self.stage_said(reply)
            self.asked.sort(key=lambda asked: asked[0])
            moments = [at_ns for at_ns in (self.scheduler.next_ns(), *(at for at, _, _ in self.asked)) if at_ns]
            next_ns = min(moments, default=end_ns + 1)
            if next_ns > end_ns:
                self.clock.advance_to(end_ns)
                return
            self.clock.advance_to(next_ns)
            if self.asked and self.asked[0][0] <= self.clock.now_ns():
                later, self.asked = self.asked[1:], self.asked[:1]
                self.answer_all()
                self.asked += later


def alone(beat_s: float = 0.0, late: str = "repeat") -> tuple[Rig, Seat]:
    rig = Rig(keys=Walking(PIANO, beat_s))
    rig.seats["keys"].planner.parameters.set("late", late)
    return rig, rig.seats["keys"]


def duo() -> tuple[Rig, Seat, Seat]:
    rig = Rig(drums=Walking(0), keys=Walking(PIANO))
    return rig, rig.seats["drums"], rig.seats["keys"]


def pitches(request: Request) -> list[tuple[int, int, int]]:
    """What the band played: beat from the bar's start, pitch, part."""
    return [(note.tick // BEAT, note.pitch, note.part) for note in request.band]


def test_each_hears_the_others_last_bar_with_its_seat() -> None:
    rig, drums, keys = duo()
    rig.play()
    rig.until(2 * BAR + BEAT)
    assert [(request.bar, pitches(request)) for request in keys.engine.asked] == [
        (0, []),
        (1, [(-4, 0, DRUMS), (-3, 0, DRUMS), (-2, 0, DRUMS), (-1, 0, DRUMS)]),
        (2, [(-4, 1, DRUMS), (-3, 1, DRUMS), (-2, 1, DRUMS), (-1, 1, DRUMS)]),
        (3, [(-4, 2, DRUMS), (-3, 2, DRUMS), (-2, 2, DRUMS), (-1, 2, DRUMS)]),
    ]
    assert [part for _, _, part in pitches(drums.engine.asked[-1])] == [PIANO] * 4
    assert all(not request.heard for request in keys.engine.asked)


def test_after_a_held_loop_all_that_the_others_played_meanwhile_is_told_up_to_a_bound() -> None:
    rig, _, keys = duo()
    rig.play()
    rig.until(BEAT)
    keys.planner.hold(True)
    rig.until(3 * BAR + BEAT)
    keys.planner.hold(False)
    rig.until(3 * BAR + 2 * BEAT)
    assert sorted({pitch for _, pitch, _ in pitches(keys.engine.asked[-1])}) == [0, 1, 2, 3]
    keys.planner.hold(True)
    rig.until(20 * BAR + BEAT)
    keys.planner.hold(False)
    rig.until(20 * BAR + 2 * BEAT)
    assert len({pitch for _, pitch, _ in pitches(keys.engine.asked[-1])}) == BARS_TOLD


def test_who_is_muted_is_not_heard_and_a_jump_takes_nothing_with_it() -> None:
    rig, _, keys = duo()
    rig.play()
    rig.until(BAR + BEAT)
    rig.band.mute("drums", True)
    rig.until(2 * BAR + BEAT)
    assert pitches(keys.engine.asked[-1]) == []
    rig.band.mute("drums", False)
    rig.until(3 * BAR + BEAT)
    assert len(pitches(keys.engine.asked[-1])) == 4
    rig.play(BAR, epoch=2)
    assert (keys.engine.asked[-1].bar, pitches(keys.engine.asked[-1])) == (1, [])


def test_a_new_worker_is_primed_with_what_the_others_played_in_each_bar() -> None:
    rig, _, keys = duo()
    rig.play()
    rig.until(2 * BAR + BEAT)
    keys.planner.worker_lost()
    keys.worker = Worker(keys.engine, 1)
    keys.planner.worker_ready(0.001)
    rig.until(3 * BAR + BEAT)
    known = [[(n.tick, n.pitch) for n in played.band[:1]] for played in keys.engine.primed[-1]]
    assert known == [[(0, 0)], [(0, 1)], [(0, 2)], []]
    assert pitches(keys.engine.asked[-1])[0] == (-4, 3, DRUMS), "the last bar's come with the request, as ever"


def test_a_bar_without_time_enough_is_cut_at_a_beat_its_notes_end_and_the_late_policy_plays_on() -> None:
    rig, keys = alone(beat_s=0.1)
    rig.play()
    rig.until(BAR - BEAT)
    keys.engine.beat_s = 0.7  # of the two seconds less a margin of a bar: two beats of music
    keys.took_s = 1.4
    rig.until(3 * BAR - 1)
    keys.engine.beat_s = keys.took_s = 0.0
    rig.until(4 * BAR + BEAT)
    assert [bar[:2] for bar in keys.bars] == [(0, "hit"), (1, "hit"), (2, "cut"), (3, "cut"), (4, "hit")]
    assert [(n.tick // BEAT, n.pitch, n.length // BEAT) for n in keys.reports[2].phrase.notes] == [
        (0, 2, 2), (1, 2, 1), (2, 1, 2), (3, 1, 2),
    ]  # fmt: skip
    assert keys.planner.counters.late == keys.planner.counters.cut == 2
    assert [request.bar for request in keys.engine.asked] == [0, 1, 2, 3, 4, 5] and not keys.engine.primed


@pytest.mark.parametrize(("late", "after"), [("repeat", [9]), ("rest", []), ("alternate", [5])])
def test_what_follows_a_cut_is_the_late_policys(late: str, after: list[int]) -> None:
    made = Phrase(BAR, (Note(0, 1, 100, 4 * BEAT), Note(BEAT, 2, 100, 100)), None, 2 * BEAT)
    last, spare = (Phrase(BAR, (Note(BEAT, pitch, 100, 50), Note(3 * BEAT, pitch, 100, 50))) for pitch in (9, 5))
    bar = mended(made, late, last, spare)
    assert bar.notes[:2] == (Note(0, 1, 100, 2 * BEAT), Note(BEAT, 2, 100, 100))
    assert [note.pitch for note in bar.notes[2:]] == after
    assert bar.cut_tick is None


def test_a_bar_of_which_nothing_could_be_made_is_what_the_late_policy_says_and_the_next_goes_on_from_that() -> None:
    rig, keys = alone()
    rig.play()
    rig.until(BEAT)
    keys.engine.beat_s = 100.0
    rig.until(2 * BAR - 1)
    keys.engine.beat_s = 0.0
    rig.until(2 * BAR + BEAT)
    rig.until(3 * BAR + BEAT)
    assert keys.bars[1:] == [(1, "hit", 1), (2, "repeat", 1), (3, "hit", 3)]
    assert len(keys.engine.primed) == 1


def test_a_whole_bar_is_not_given_up_for_one_that_is_cut() -> None:
    rig, keys = alone()
    rig.play()
    rig.until(BAR - 2 * BEAT)
    keys.engine.beat_s = 0.3
    keys.planner.changed()
    rig.until(2 * BAR + BEAT)
    assert keys.engine.asked[-3].time_left_s < 1.0
    assert keys.bars[1] == (1, "hit", 1)


def test_undo_goes_on_from_before_the_bar_that_was_wished_for() -> None:
    rig, keys = alone()
    rig.play()
    rig.until(BEAT)
    keys.planner.vary()
    rig.until(2 * BAR + BEAT)
    assert keys.bars == [(0, "hit", 0), (1, "hit", 13), (2, "hit", 14)]
    keys.planner.undo()
    rig.until(4 * BAR + BEAT)
    assert keys.bars[3:] == [(3, "hit", 1), (4, "hit", 2)], "from the state after bar 0, in the worker still"
    assert not keys.engine.primed
    with pytest.raises(SidemanError, match="nothing to undo"):
        keys.planner.undo()


def test_undo_of_what_has_not_been_played_yet_makes_the_bar_that_would_have_come() -> None:
    rig, keys = alone()
    rig.play()
    rig.until(BEAT)
    keys.planner.vary()
    rig.until(2 * BEAT)
    keys.planner.undo()
    rig.until(BAR + BEAT)
    assert keys.bars[1] == (1, "hit", 1)
    keys.planner.again()
    keys.planner.undo()
    rig.until(2 * BAR + BEAT)
    assert keys.bars[2] == (2, "hit", 2)


def test_undo_of_a_fill_in_mid_bar_and_of_several_wishes_and_without_the_worker_that_knew() -> None:
    rig, keys = alone()
    rig.play()
    rig.until(BEAT)
    keys.planner.fill()
    rig.until(BAR + BEAT)
    assert keys.bars[1] == (1, "hit", 8)
    keys.planner.take(2)
    rig.until(2 * BAR + BEAT)
    assert keys.bars[2] == (2, "hit", 9 + 24)
    keys.planner.worker_lost()
    keys.worker = Worker(keys.engine, 1)
    keys.planner.worker_ready(0.001)
    keys.planner.undo()
    rig.until(3 * BAR + BEAT)
    assert keys.bars[3] == (3, "hit", 2), "primed with two bars"
    assert len(keys.engine.primed[-1]) == 2
    keys.planner.undo()
    rig.until(4 * BAR + BEAT)
    assert keys.bars[4] == (4, "hit", 1), "and before the fill with one"


@pytest.mark.parametrize("wish", ["vary", "again", "fill"])
def test_in_a_held_loop_a_wish_brings_one_bar_that_leads_back_to_it(wish: str) -> None:
    rig, keys = alone()
    rig.play()
    rig.until(BEAT)
    keys.planner.hold(True)
    rig.until(BAR + BEAT)
    if wish == "fill":
        rig.until(2 * BAR - BEAT)  # so late that it comes in the next bar
    keys.took_s = 0.4
    getattr(keys.planner, wish)()
    rig.until(2 * BAR + 1)
    keys.took_s = 0.001
    rig.until(3 * BAR - BEAT // 2)
    assert keys.planner.lands == 3, "how long that took says nothing of other bars"
    rig.until(3 * BAR + BEAT)
    assert keys.bars == [(0, "hit", 0), (1, "hold", 0), (2, "hit", 50), (3, "hold", 0)]
    assert keys.engine.asked[-1].following == keys.reports[0].phrase
    keys.planner.hold(False)
    rig.until(4 * BAR + BEAT)
    assert keys.bars[4] == (4, "hit", 1), "the engine goes on from the loop"
    assert keys.engine.asked[-1].following is None


WISHES = st.sampled_from(
    ["again", "vary", "fill", "undo", "hold on", "hold off", "take", "changed", "lose", "slow", "quick"]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(WISHES, st.integers(0, BAR)), max_size=24))
def test_whatever_is_wished_for_every_bar_is_played_and_counted_once(wishes: list[tuple[str, int]]) -> None:
    rig, drums, keys = duo()
    rig.play()
    tick = 0
    for wish, later in wishes:
        tick += later
        rig.until(tick)
        match wish.split():
            case ["hold", on]:
                keys.planner.hold(on == "on")
            case ["take"]:
                keys.planner.take(3)
            case ["lose"]:
                keys.planner.worker_lost()
                rig.asked = [asked for asked in rig.asked if asked[1] is not keys]
                keys.worker = Worker(keys.engine, 1)
                keys.planner.worker_ready(0.001)
            case ["slow"]:
                keys.took_s, keys.engine.beat_s = 0.9, 0.5
            case ["quick"]:
                keys.took_s = keys.engine.beat_s = 0.0
            case ["undo"]:
                with contextlib.suppress(SidemanError):
                    keys.planner.undo()
            case [verb]:
                getattr(keys.planner, verb)()
    rig.until(tick + 2 * BAR)
    for seat in (drums, keys):
        numbers = [report.span.number for report in seat.reports]
        assert numbers == list(range(len(numbers))) and len(numbers) >= tick // BAR + 2
        assert sum(seat.planner.counters.counts().values()) == len(numbers)
        assert all(-120 <= n.tick < BAR and n.length > 0 for report in seat.reports for n in report.phrase.notes)
    assert {outcome for _, outcome, _ in drums.bars} == {"hit"}
