"""What is played into an input: the notes it becomes, the requests they reach, and trading with the one who plays."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs

from bridge.control.heard import NOTES_KEPT, Ears, Hearing
from bridge.messages.hearing import HeardEvent
from bridge.messages.message import Message
from bridge.messages.stage import BarStarted, EpochStarted, Play, Refused
from bridge.messages.worker import Generate, Made, Prime, Primed
from bridge.players.grid import BarSpan, Song
from bridge.players.planner import Planner
from bridge.players.policy import PLAYER_PARAMETERS, BarReport
from bridge.players.worker import Worker
from bridge.stage.scheduler import Player, Scheduler
from bridge.testing import FakeClock, play_until
from engines.bundle import Bundle
from engines.engine import Played, Request
from engines.errors import SidemanError
from engines.music import Meter, Note, Phrase
from engines.notes.roles import ROLE_NAMED, ROLE_OF_CHANNEL
from engines.parameter import Parameter, Parameters

BAR, BEAT = 3840, 960
KEYS = "keys"


def on(tick: int, pitch: int = 60, velocity: int = 100, input_: str = KEYS, channel: int = 1) -> HeardEvent:
    return HeardEvent(input_, (0x90 + channel - 1, pitch, velocity), 0, tick, tick)


def keys(tick: int, pitch: int, velocity: int, length: int) -> Note:
    """A note that came on channel 1: it is the piano's."""
    return Note(tick, pitch, velocity, length, ROLE_NAMED["piano"] + 1)


def off(tick: int, pitch: int = 60, input_: str = KEYS, channel: int = 1) -> HeardEvent:
    return HeardEvent(input_, (0x80 + channel - 1, pitch, 0), 0, tick, tick)


def test_ons_and_offs_become_notes_in_stage_ticks() -> None:
    hearing = Hearing()
    hearing.take([on(100), on(150, 64, 80), off(300), on(350, 64, 0)])
    assert hearing.since(0, frozenset({KEYS}), 400) == (keys(100, 60, 100, 200), keys(150, 64, 80, 200))


def test_only_what_came_since_and_what_sounded_since() -> None:
    hearing = Hearing()
    hearing.take([on(0, 60), on(10, 62), off(20, 60)])
    then = hearing.count
    hearing.take([off(900, 62), on(1000, 65)])
    assert hearing.since(then, frozenset({KEYS}), 1100) == (keys(10, 62, 100, 890), keys(1000, 65, 100, 100))
    assert hearing.since(hearing.count, frozenset({KEYS}), 1200) == (keys(1000, 65, 100, 200),)  # it is held


def test_inputs_and_channels_do_not_end_each_others_notes() -> None:
    hearing = Hearing()
    hearing.take([on(0), on(0, input_="bass"), on(5, channel=2), off(100), off(200, input_="bass")])
    assert hearing.since(0, frozenset({"bass"}), 500) == (keys(0, 60, 100, 200),)
    mallets = Note(5, 60, 100, 495, ROLE_OF_CHANNEL[2] + 1)
    assert hearing.since(0, frozenset({KEYS}), 500) == (keys(0, 60, 100, 100), mallets)


def test_a_pitch_struck_again_ends_the_note_before_and_other_messages_are_no_notes() -> None:
    hearing = Hearing()
    hearing.take([on(0), HeardEvent(KEYS, (0xB0, 60, 9), 0, 5, 5), on(50), off(80), off(90)])
    assert hearing.since(0, frozenset({KEYS}), 99) == (keys(0, 60, 100, 50), keys(50, 60, 100, 30))


def test_a_flood_is_bounded_and_forgetting_forgets() -> None:
    hearing = Hearing()
    hearing.take([on(tick, tick % 128) for tick in range(3 * NOTES_KEPT)])
    assert len(hearing.since(0, frozenset({KEYS}), 10_000)) == NOTES_KEPT
    hearing.forget()
    assert not hearing.since(0, frozenset({KEYS}), 10_000)


class Listening:
    """A note a bar, a loud one for a fill; it remembers what it was told."""

    parameters: tuple[Parameter, ...] = ()

    def __init__(self) -> None:
        self.told: list[tuple[int, tuple[Note, ...]]] = []

    @classmethod
    def load(cls, bundle: Bundle | None, runtime: str = "auto") -> Listening:
        return cls()

    def start(self, seed: int) -> int:
        return 0

    def prime(self, history: Sequence[Played], seed: int) -> int:
        return len(history)

    def generate(self, request: Request, state: int) -> tuple[Phrase, int]:
        self.told.append((request.bar, request.heard))
        return Phrase(request.length_ticks, (Note(0, state, 127 if request.fill else 100, 10),)), state + 1


class Rig:
    """A planner that hears, between the real scheduler and a worker that answers at once."""

    def __init__(self, late: str = "repeat") -> None:
        self.clock = FakeClock()
        self.scheduler = Scheduler([Player("drums", 10)], 120_000, 0)
        self.song = Song(Meter(), 120_000)
        self.song.piece(self.scheduler.first_piece)
        self.engine = Listening()
        self.worker = Worker(self.engine, 1)
        self.hearing = Hearing()
        self.bars: list[tuple[int, str, int]] = []
        self.loud: list[int] = []
        self.asked: list[Prime | Generate] = []
        self.planner = Planner(
            player="drums", song=self.song, parameters=Parameters(PLAYER_PARAMETERS), engine_parameters=(), seed=1,
            pitches={}, to_stage=self.to_stage, to_worker=self.asked.append, listener=self,
            now_ns=self.clock.now_ns, ears=Ears(self.hearing, (KEYS,)),
        )  # fmt: skip
        self.planner.parameters.set("late", late)
        self.planner.worker_ready(0.01)

    def to_stage(self, message: Message) -> None:
        for reply in self.scheduler.apply(message, self.clock.now_ns()):
            self.stage_said(reply)

    def stage_said(self, message: object) -> None:
        match message:
            case BarStarted():
                self.planner.bar_started(message)
            case Refused():
                self.planner.refused(message)
            case EpochStarted():
                self.song.epoch_started(message)
        self.answer()

    def answer(self) -> None:
        while self.asked:
            match self.worker.answer(self.asked.pop(0)):
                case Made() as made:
                    self.planner.made(made)
                case Primed() as primed:
                    self.planner.primed(primed.id)

    def on_offer(self, player: str, span: BarSpan, phrase: Phrase) -> None: ...

    def on_bar(self, report: BarReport) -> None:
        pitch = report.phrase.notes[0].pitch if report.phrase.notes else -1
        self.bars.append((report.span.number, report.outcome, pitch))
        self.loud += [report.span.number for note in report.phrase.notes if note.velocity == 127]

    def on_message(self, text: str) -> None:
        raise AssertionError(text)

    def trade(self, listen: int, answer: int) -> None:
        self.planner.parameters.set("trade_listen", listen)
        self.planner.parameters.set("trade_answer", answer)
        self.planner.trade()
        self.answer()

    def play(self, delay_ms: int = 0) -> None:
        self.planner.cue(1, 0, True)
        self.answer()
        self.to_stage(Play(1, 0, delay_ms=delay_ms))
        self.planner.begin()
        self.answer()

    def until(self, song_tick: int) -> None:
        play_until(self.scheduler, self.clock, self.song.ns_at(song_tick), self.stage_said)

    def hear(self, *events: HeardEvent) -> None:
        """As the daemon and the player do: keep it, and have the bar made again at the last call. By song ticks."""
        self.hearing.take(structs.replace(event, tick=self.song.stage_tick(event.tick)) for event in events)
        left_s = self.planner.last_call_s()
        if left_s is not None:
            self.until(self.song.song_tick_at(self.clock.now_ns() + round(left_s * 1e9)))
            self.planner.changed()
            self.answer()


def test_what_was_played_reaches_the_request_in_ticks_from_its_bar() -> None:
    rig = Rig()
    rig.play(delay_ms=250)  # so that the song's ticks are not the stage's
    rig.until(2 * BEAT)
    rig.hear(on(BEAT), off(BEAT + 100))
    assert rig.engine.told[-1] == (1, (keys(BEAT - BAR, 60, 100, 100),))
    rig.until(BAR + BEAT)
    assert not rig.engine.told[-1][1]  # each note is told once
    rig.hear(on(BAR + 10, 64))
    bar, heard = rig.engine.told[-1]
    assert (bar, [(note.tick, note.pitch) for note in heard]) == (2, [(10 - BAR, 64)])
    assert 0.8 * BAR < heard[0].length < BAR  # held until the last call
    rig.until(2 * BAR + BEAT)
    assert [(bar, note.tick) for bar, told in rig.engine.told[-1:] for note in told] == [(3, 10 - 2 * BAR)]  # and on
    assert rig.bars == [(0, "hit", 0), (1, "hit", 1), (2, "hit", 2)]


def test_what_was_heard_during_a_held_bar_is_told_when_the_music_goes_on() -> None:
    rig = Rig()
    rig.play()
    rig.until(BEAT)
    rig.planner.hold(True)
    rig.hear(on(BEAT), off(BEAT + 9))
    rig.until(2 * BAR + BEAT)
    rig.planner.hold(False)
    rig.answer()
    assert rig.engine.told[-1] == (3, (keys(BEAT - 3 * BAR, 60, 100, 9),))


@pytest.mark.parametrize("late", ["repeat", "rest", "alternate"])
def test_trading_fours_is_silent_then_answers_knowing_all_that_was_played(late: str) -> None:
    rig = Rig(late)
    rig.trade(4, 4)
    rig.play()
    assert rig.engine.told == []
    for bar in range(4):
        rig.until(bar * BAR + BEAT)
        rig.hear(on(bar * BAR + BEAT), off(bar * BAR + BEAT + 120))
    rig.until(16 * BAR - 10)
    assert [outcome for _, outcome, _ in rig.bars] == (["listen"] * 4 + ["hit"] * 4) * 2
    assert [pitch for _, _, pitch in rig.bars] == [-1] * 4 + [0, 1, 2, 3] + [-1] * 4 + [4, 5, 6, 7]
    first = [told for bar, told in rig.engine.told if bar == 4][-1]
    assert [note.tick for note in first] == [BEAT - 4 * BAR, BEAT - 3 * BAR, BEAT - 2 * BAR, BEAT - BAR]
    assert [told for bar, told in rig.engine.told if bar == 5] == [()]
    assert rig.planner.counters.late == 0
    assert rig.planner.counters.listen == 8


def test_your_turn_answers_from_the_next_bar_and_without_a_trade_is_a_mistake() -> None:
    rig = Rig()
    with pytest.raises(SidemanError, match="4 4"):
        rig.planner.your_turn()
    rig.trade(0, 2)
    rig.play()
    rig.until(2 * BAR + BEAT)
    rig.planner.your_turn()
    rig.answer()
    rig.until(7 * BAR + BEAT)
    assert [number for number, outcome, _ in rig.bars if outcome == "hit"] == [3, 4]
    rig.until(8 * BAR - 20)  # too late for the next bar
    rig.planner.your_turn()
    rig.until(11 * BAR + 10)
    assert [number for number, outcome, _ in rig.bars if outcome == "hit"] == [3, 4, 9, 10]


def test_a_trade_switched_on_and_off_while_it_plays() -> None:
    rig = Rig()
    rig.play()
    rig.until(BAR + BEAT)
    rig.trade(1, 1)
    rig.until(5 * BAR + BEAT)
    rig.trade(0, 0)
    rig.until(8 * BAR - 10)
    assert [outcome for _, outcome, _ in rig.bars] == ["hit", "hit", "listen", "hit", "listen", "hit", "hit", "hit"]


def test_a_late_answer_repeats_what_was_played_last_not_the_silence() -> None:
    rig = Rig()
    rig.trade(1, 1)
    rig.play()
    rig.until(2 * BAR + BEAT)
    rig.planner.worker_lost()
    rig.until(4 * BAR - 10)
    assert rig.bars == [(0, "listen", -1), (1, "hit", 0), (2, "listen", -1), (3, "hit", 1)]
    rig.until(6 * BAR - 10)
    assert rig.bars[4:] == [(4, "listen", -1), (5, "repeat", 1)]


def test_a_fill_asked_for_while_it_listens_is_its_answer() -> None:
    rig = Rig()
    rig.trade(3, 1)
    rig.play()
    rig.until(BEAT)
    rig.planner.fill()
    rig.until(8 * BAR - 10)
    assert rig.loud == [3]


def test_a_trade_that_ends_while_it_is_stopped_in_a_bar_of_listening_plays_that_bar() -> None:
    rig = Rig()
    rig.trade(2, 1)
    rig.play()
    rig.until(BAR + BEAT)
    rig.planner.halt()
    rig.planner.cue(2, BAR + BEAT, False)
    rig.trade(0, 0)
    rig.to_stage(Play(2, BAR + BEAT, delay_ms=0))
    rig.planner.begin()
    rig.until(3 * BAR - 10)
    assert rig.bars == [(0, "listen", -1), (1, "listen", -1), (2, "hit", 1)]  # 0 was the rest of bar 1


def test_a_stop_while_it_listens_goes_on_listening() -> None:
    rig = Rig()
    rig.trade(2, 1)
    rig.play()
    rig.until(BAR + BEAT)
    rig.planner.halt()
    rig.planner.cue(2, BAR + BEAT, False)
    rig.answer()
    assert rig.planner.cued(2)
    rig.to_stage(Play(2, BAR + BEAT, delay_ms=0))
    rig.planner.begin()
    rig.until(3 * BAR - 10)
    assert [outcome for _, outcome, _ in rig.bars] == ["listen", "listen", "hit"]
