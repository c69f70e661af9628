"""The drum engine listens: a tapped rhythm is orchestrated, the kick goes with a bass."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from msgspec import structs
from numpy.typing import NDArray

from engines.bundle import Bundle, find
from engines.drums.bar import hits
from engines.drums.engine import DrumEngine, DrumState
from engines.drums.follow import allowed, onsets
from engines.engine import Request
from engines.music import Meter, Note
from engines.notes.roles import ROLE_NAMED

BAR, STEP = 3840, 240
KICK = 0


def played(steps: Iterable[int], pitch: int = 60, late: int = 0, bar: int = -1) -> tuple[Note, ...]:
    return tuple(Note(bar * BAR + step * STEP + late, pitch, 100, 100) for step in steps)


def request(engine: DrumEngine | None, heard: tuple[Note, ...] = (), bar: int = 4, **parameters: Any) -> Request:
    values = {parameter.name: parameter.default for parameter in engine.parameters} if engine else {}
    return Request(
        bar=bar, start_tick=bar * BAR, length_ticks=BAR, meter=Meter(), tempo_bpm=120.0,
        parameters=values | parameters, seed=3, heard=heard,
    )  # fmt: skip


def steps_of(heard: tuple[Note, ...], meter: Meter = Meter()) -> list[int] | None:  # noqa: B008 - frozen
    found = onsets(heard, meter)
    return None if found is None else np.flatnonzero(found).tolist()


def test_onsets_fall_on_the_nearest_step_of_the_last_bar() -> None:
    assert steps_of(played((0, 3, 6, 11), late=-100) + played((14,), late=110)) == [0, 3, 6, 11, 14]
    assert steps_of(played((0, 3), late=130)) == [1, 4]
    assert steps_of(()) is None


def test_older_bars_do_not_count_but_what_came_too_late_for_the_bar_before_does() -> None:
    four_bars = tuple(note for bar in (-4, -3, -2) for note in played((1, 5, 9), bar=bar))
    assert steps_of(four_bars + played((0, 8, 14))) == [0, 8, 14]
    assert steps_of(four_bars) is None
    assert steps_of(played((15,), bar=-2) + played((0, 8, 14))) == [0, 8, 14, 15]
    assert steps_of(played((15,), bar=-2) + played((0, 8, 15), late=50)) == [0, 8, 15]
    assert steps_of(played((2,), bar=-2) + played((0,))) == [0]


def test_onsets_fold_into_other_metres() -> None:
    seven = Meter(7, 8)
    heard = tuple(Note(-seven.bar_ticks + step * STEP, 60, 90, 9) for step in (0, 6, 13))
    assert steps_of(heard, seven) == [0, 6, 13]


def test_without_anything_heard_nothing_is_asked_and_the_bar_is_the_same() -> None:
    assert allowed(request(None), True, 1.0) is None
    assert allowed(request(None, played((0,), pitch=72)), False, 1.0) is None  # no bass
    assert allowed(request(None, played((0,))), False, 0.0) is None


def test_the_kick_goes_with_another_players_bass_and_not_with_what_else_is_low() -> None:
    def part(notes: tuple[Note, ...], name: str) -> tuple[Note, ...]:
        return tuple(structs.replace(note, part=ROLE_NAMED[name] + 1) for note in notes)

    left_hand, kicks = part(played((1, 5), pitch=40), "piano"), part(played((2,), pitch=36), "drums")
    bass = part(played((0, 8), pitch=62), "bass")
    for band, steps in ((left_hand + kicks + bass, [0, 8]), (left_hand + kicks, [1, 5]), (kicks, None)):
        may = allowed(structs.replace(request(None, ()), band=band), False, 1.0)
        assert (None if may is None else np.flatnonzero(~may[:, 0]).tolist()) == steps


def test_every_step_is_left_at_least_one_mask() -> None:
    heard = played((0, 3), pitch=72) + played((3, 8), pitch=40)
    for lock in (0.0, 0.5, 1.0):
        may = allowed(request(None, heard), True, lock)
        assert may is not None
        assert may.any(axis=1).all()


def test_lock_binds_its_share_of_the_steps_and_the_seed_says_which() -> None:
    def bound(lock: float, bar: int) -> NDArray[np.bool_]:
        may = allowed(request(None, played((0, 8), pitch=40), bar), False, lock)
        assert may is not None
        free: NDArray[np.bool_] = np.all(may, axis=1)
        return ~free

    assert bound(1.0, 0).all()
    shares = [bound(0.5, bar).mean() for bar in range(64)]
    assert 0.44 < np.mean(shares) < 0.56
    assert (bound(0.5, 7) == bound(0.5, 7)).all()


@pytest.fixture(scope="module", params=["lstm", "groove"])
def engine(request: pytest.FixtureRequest) -> DrumEngine:
    return DrumEngine.load(Bundle.load(find(request.param)))


def song(engine: DrumEngine, heard: tuple[Note, ...], **parameters: Any) -> list[NDArray[np.bool_]]:
    """Four bars that follow each other, each hearing the same; which drums are hit, [16, 9] each."""
    state: DrumState = engine.start(3)
    bars = []
    for bar in range(4):
        _, state = engine.generate(request(engine, heard, bar, **parameters), state)
        bars.append(hits(state.history[-1].masks))
    return bars


def test_a_tapped_rhythm_is_played_and_on_more_than_one_drum(engine: DrumEngine) -> None:
    tapped = (0, 3, 6, 8, 10, 12, 15)
    bars = song(engine, played(tapped), tap=True)
    assert all(np.flatnonzero(bar.any(axis=1)).tolist() == list(tapped) for bar in bars)
    assert sum(drum.any() for drum in np.concatenate(bars).T) >= 3


def test_the_kick_goes_with_the_bass_and_the_rest_plays_on(engine: DrumEngine) -> None:
    bass = (0, 3, 7, 10, 13)
    bars = song(engine, played(bass, pitch=40), lock=1.0)
    assert all(np.flatnonzero(bar[:, KICK]).tolist() == list(bass) for bar in bars)
    assert any(bar[~bar[:, KICK]].any() for bar in bars)
    both = song(engine, played(bass, pitch=40) + played((5,), pitch=72), tap=True, lock=1.0)
    assert all(np.flatnonzero(bar[:, KICK]).tolist() == list(bass) for bar in both)
    assert all(bar[5].any() and bar.any(axis=1).sum() == len(bass) + 1 for bar in both)


def test_with_nothing_heard_the_same_bar_comes_as_without_listening(engine: DrumEngine) -> None:
    free, listening = song(engine, ()), song(engine, (), tap=True, lock=1.0)
    deaf = song(engine, played((0, 5)))
    assert all((a == b).all() and (a == c).all() for a, b, c in zip(free, listening, deaf, strict=True))


@pytest.mark.parametrize("cuts", [{"temperature": 0.0}, {"temperature": 1.6}, {"top_k": 1}, {"top_p": 0.1}])
def test_cuts_and_temperature_keep_to_it(engine: DrumEngine, cuts: dict[str, float]) -> None:
    tapped = (0, 1, 2, 9)
    bars = song(engine, played(tapped), tap=True, **cuts)
    assert all(np.flatnonzero(bar.any(axis=1)).tolist() == list(tapped) for bar in bars)
