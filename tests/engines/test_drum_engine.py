"""The drum engine around a small real DrumModel: a fixed two-bar groove with random ghost notes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.drums.bar import MASKS, Bar, History, after, hits, masks_of
from engines.drums.engine import DrumEngine
from engines.drums.model import Controls
from engines.engine import Played, Request
from engines.music import DRUMS, Meter, Note, Phrase
from engines.parameter import RESERVED_NAMES


class Backbeat:
    """Kick on one, snare on the off-beat, and ghosts on the hat wherever the dice say so."""

    styles = ("rock",)

    def prime(self, history: History, controls: Controls) -> int:
        return len(history)

    def bar(
        self, history: History, carry: Any, meter: Meter, controls: Controls, random: np.random.Generator
    ) -> tuple[Bar, int]:
        bar = Bar.silent(meter)
        on = np.zeros((meter.steps, 9), bool)
        on[0, 0] = on[4, 1] = True
        on[:, 2] = random.random(meter.steps) < 0.5
        velocity = np.where(on, 60 + 10 * carry, 0).astype(np.uint8)
        offset = np.where(on, -30, 0).astype(np.int16)
        return Bar(bar.meter, masks_of(on), velocity, offset), carry + 1

    def distributions(self, bars: Sequence[Bar], controls: Controls) -> NDArray[np.float32]:
        return np.full((sum(bar.meter.steps for bar in bars), MASKS), 1 / MASKS, np.float32)


COMMON_TIME = Meter()


def request(engine: DrumEngine, bar: int = 0, meter: Meter = COMMON_TIME, **parameters: Any) -> Request:
    values = {parameter.name: parameter.default for parameter in engine.parameters} | parameters
    return Request(
        bar=bar, start_tick=0, length_ticks=meter.bar_ticks, meter=meter, tempo_bpm=120.0, parameters=values, seed=1
    )


@pytest.fixture
def engine() -> DrumEngine:
    return DrumEngine(Backbeat())


def test_no_parameter_bears_a_reserved_name(engine: DrumEngine) -> None:
    names = [parameter.name for parameter in engine.parameters]
    assert len(set(names)) == len(names)
    assert not RESERVED_NAMES & set(names)


def test_the_same_request_from_the_same_state_is_the_same_bar(engine: DrumEngine) -> None:
    state = engine.start(1)
    first, later = engine.generate(request(engine), state)
    again, _ = engine.generate(request(engine), state)
    other, _ = engine.generate(request(engine, bar=1), state)
    assert first == again
    assert first != other
    assert state == engine.start(1)
    assert len(later.history) == 1


def test_a_mute_takes_away_what_is_heard_and_not_what_the_model_remembers(engine: DrumEngine) -> None:
    phrase, state = engine.generate(request(engine, kick_mute=True), engine.start(1))
    assert 36 not in {note.pitch for note in phrase.notes}
    assert hits(state.history[0].masks)[0, 0]


def test_chance_zero_and_velocity_zero_silence_an_instrument(engine: DrumEngine) -> None:
    phrase, _ = engine.generate(request(engine, snare_chance=0.0, closed_hat_velocity=0.0), engine.start(1))
    assert {note.pitch for note in phrase.notes} == {36}


def test_humanise_zero_is_a_machine_and_one_is_the_player(engine: DrumEngine) -> None:
    machine, _ = engine.generate(request(engine, humanise=0.0), engine.start(1))
    human, _ = engine.generate(request(engine), engine.start(1))
    assert {(note.tick % 240, note.velocity) for note in machine.notes} == {(0, 95)}
    assert {(note.tick % 240, note.velocity) for note in human.notes} == {(210, 60)}


def test_swing_delays_every_second_sixteenth_only(engine: DrumEngine) -> None:
    phrase, _ = engine.generate(request(engine, humanise=0.0, swing=2 / 3), engine.start(1))
    assert {note.tick % 480 for note in phrase.notes} == {0, 240 + 80}


@pytest.mark.parametrize("text", ["2/4", "3/4", "5/4", "6/8", "7/8"])
def test_a_bar_keeps_its_span_in_any_metre(engine: DrumEngine, text: str) -> None:
    meter = Meter.parse(text)
    phrase, _ = engine.generate(request(engine, meter=meter), engine.start(1))
    phrase.check()
    assert phrase.length == meter.bar_ticks


def test_priming_with_what_was_played_restores_the_history() -> None:
    bar, _ = Backbeat().bar((), 2, Meter(), Controls(), np.random.default_rng(0))
    state = DrumEngine(Backbeat()).prime([Played(Meter(), bar.phrase())], seed=1)
    restored = state.history[0]
    assert (restored.masks == bar.masks).all()
    assert (restored.velocity == bar.velocity).all()
    assert (restored.offset == bar.offset).all()


def test_the_louder_of_two_hits_on_a_step_wins_and_strange_pitches_are_left_out() -> None:
    notes = [Note(0, 36, 50, 1), Note(30, 35, 90, 1), Note(0, 60, 90, 1)]
    bar = Bar.from_phrase(Meter(), Phrase.of(3840, notes))
    assert bar.masks[0] == 1
    assert (bar.velocity[0, 0], bar.offset[0, 0]) == (90, 30)


def test_a_history_forgets_its_oldest_bars() -> None:
    bars = [Bar.silent(Meter(n, 4)) for n in range(1, 31)] * 3
    history = after((), bars)
    assert len(history) == 64
    assert history[-1] is bars[-1]


def test_masks_and_hits_are_each_others_inverse() -> None:
    masks = np.arange(MASKS, dtype=np.uint16)
    assert (masks_of(hits(masks)) == masks).all()
    assert hits(masks).shape == (MASKS, len(DRUMS))
