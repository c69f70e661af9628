"""LstmModel on a small real graph, written in numpy: it counts steps in its state and says what is asked of it."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.bundle import SCHEMA, Bundle, Manifest
from engines.drums.bar import Bar, hits
from engines.drums.lstm import LstmModel, LstmSettings
from engines.drums.model import Controls
from engines.errors import BundleError
from engines.music import Meter

MASKS = (0b001, 0b010, 0b101, 0)
START = len(MASKS) + 1
TOKENS = len(MASKS) + 1


class Counter:
    """h1 counts steps; the likeliest mask is number (count // 7 + last token + style) % 4, UNK is likelier still."""

    def __init__(self, sharpness: float = 3.0, unknown: float = 9.0) -> None:
        self.sharpness, self.unknown = sharpness, unknown
        self.positions: list[int] = []
        self.styles: set[int] = set()

    def __call__(self, **inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        count = inputs["h1"][:, :1] + 1
        self.positions += inputs["position"].tolist()
        self.styles |= set(inputs["style"].tolist())
        likeliest = 1 + (count[:, 0].astype(int) // 7 + inputs["token"] + inputs["style"]) % len(MASKS)
        logits = np.zeros((len(count), TOKENS), np.float32)
        logits[:, 0] = self.unknown
        logits[np.arange(len(count)), likeliest] = self.sharpness
        h1 = np.repeat(count, inputs["h1"].shape[1], axis=1).astype(np.float32)
        return logits, h1, inputs["c1"], inputs["h2"], inputs["c2"]


def settings(context_bars: int = 4, **changes: Any) -> LstmSettings:
    given: dict[str, Any] = {
        "masks": MASKS,
        "styles": ("any", "funk", "rock"),
        "units": 2,
        "context_bars": context_bars,
        "velocity": tuple(tuple(10 + 5 * place + i for i in range(9)) for place in range(16)),
        "offset": tuple(tuple(place - i for i in range(9)) for place in range(16)),
    }
    return LstmSettings(**given | changes)


def play(model: LstmModel, bars: int, meter: Meter | None = None, **controls: Any) -> list[Bar]:
    told, carry, played = Controls(**controls), model.prime((), Controls()), []
    for number in range(bars):
        bar, carry = model.bar(tuple(played), carry, meter or Meter(), told, np.random.default_rng(number))
        played.append(bar)
    return played


def test_what_has_no_token_is_never_played() -> None:
    played = np.concatenate([bar.masks for bar in play(LstmModel(Counter(unknown=50.0), settings()), 20)])
    assert set(played.tolist()) == set(MASKS)


def test_the_same_random_numbers_give_the_same_bars_and_others_do_not() -> None:
    model = LstmModel(Counter(), settings())
    first, again = play(model, 4), play(model, 4)
    assert all(np.array_equal(a.masks, b.masks) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a.masks, first[0].masks) for a in first[1:])


def test_one_bar_of_context_starts_every_bar_from_nothing_and_more_does_not() -> None:
    forgetful = play(LstmModel(Counter(), settings(context_bars=1)), 3, temperature=0.0)
    assert all(np.array_equal(bar.masks, forgetful[0].masks) for bar in forgetful)
    carrying = play(LstmModel(Counter(), settings(context_bars=4)), 3, temperature=0.0)
    assert any(not np.array_equal(bar.masks, carrying[0].masks) for bar in carrying[1:])


def test_a_primed_model_goes_on_as_the_one_that_played() -> None:
    model = LstmModel(Counter(), settings())
    played = play(model, 5)
    carry = model.prime(tuple(played[:4]), Controls())
    bar, _ = model.bar(tuple(played[:4]), carry, Meter(), Controls(), np.random.default_rng(4))
    assert np.array_equal(bar.masks, played[4].masks)


def test_a_carry_can_be_used_again() -> None:
    model = LstmModel(Counter(), settings())
    carry = model.prime(tuple(play(model, 2)), Controls())
    takes = [model.bar((), carry, Meter(), Controls(), np.random.default_rng(7))[0].masks for _ in range(2)]
    assert np.array_equal(*takes)


@pytest.mark.parametrize(("metre", "steps"), [("7/8", 14), ("5/4", 20), ("2/4", 8)])
def test_other_metres_use_the_places_of_four_four_over_and_over(metre: str, steps: int) -> None:
    graph = Counter()
    (bar,) = play(LstmModel(graph, settings()), 1, Meter.parse(metre))
    assert graph.positions == [i % 16 for i in range(steps)]
    assert bar.masks.shape == (steps,) and bar.velocity.shape == bar.offset.shape == (steps, 9)


def test_each_hit_has_its_place_s_median_and_nothing_else_has() -> None:
    given = settings()
    (bar,) = play(LstmModel(Counter(), given), 1)
    on = hits(bar.masks)
    assert on.any() and not on.all()
    assert np.array_equal(bar.velocity, np.where(on, np.array(given.velocity), 0))
    assert np.array_equal(bar.offset, np.where(on, np.array(given.offset), 0))


def test_a_style_is_told_by_its_number_and_an_unknown_one_is_any() -> None:
    graph = Counter()
    model = LstmModel(graph, settings())
    assert model.styles == ("funk", "rock")
    play(model, 1, style="rock")
    assert graph.styles == {2}
    play(model, 1, style="polka")
    assert graph.styles == {0, 2}


def test_variation_makes_the_unlikely_likelier() -> None:
    model = LstmModel(Counter(sharpness=2.0), settings())
    (plain,) = play(model, 1, temperature=0.0)

    def surprises(variation: float) -> int:
        told, start = Controls(variation=variation), model.prime((), Controls())
        bars = (model.bar((), start, Meter(), told, np.random.default_rng(number))[0] for number in range(100))
        return sum(int(bar.masks[0] != plain.masks[0]) for bar in bars)

    assert surprises(-4.0) < surprises(0.0) < surprises(4.0)


def test_top_k_one_is_the_likeliest() -> None:
    model = LstmModel(Counter(), settings())
    for a, b in zip(play(model, 2, top_k=1), play(model, 2, temperature=0.0), strict=True):
        assert np.array_equal(a.masks, b.masks)


def test_distributions_spread_the_unknown_token_over_the_masks_without_one() -> None:
    model = LstmModel(Counter(unknown=1.0), settings())
    bars = [*play(model, 2), *play(model, 1, Meter(7, 8))]
    p = model.distributions(bars, Controls())
    assert p.shape == (46, 512) and p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-5)
    unnamed = np.setdiff1d(np.arange(512), MASKS)
    total = np.exp(1.0) + np.exp(3.0) + 3.0
    np.testing.assert_allclose(p[:, unnamed], np.exp(1.0) / total / len(unnamed), rtol=1e-5)
    assert (p.max(axis=1) == p[:, MASKS].max(axis=1)).all()


@pytest.mark.parametrize("context_bars", [1, 4])
def test_forced_logits_are_those_of_stepping_along(context_bars: int) -> None:
    model = LstmModel(Counter(), settings(context_bars=context_bars))
    bars = [*play(model, 2), *play(model, 1, Meter(7, 8))]
    forced = model.forced(bars, Controls())
    graph, at = Counter(), 0
    state: dict[str, Any] = {}
    token = START
    for number, bar in enumerate(bars):
        if number == 0 or context_bars == 1:
            state, token = {name: np.zeros((1, 2), np.float32) for name in ("h1", "c1", "h2", "c2")}, START
        for i, mask in enumerate(bar.masks):
            inputs = {"token": token, "position": i % 16, "style": 0}
            logits, *new = graph(**{name: np.array([value], np.int32) for name, value in inputs.items()}, **state)
            np.testing.assert_array_equal(forced[at], logits[0])
            state, token, at = dict(zip(state, new, strict=True)), 1 + MASKS.index(int(mask)), at + 1
    assert at == len(forced)


@pytest.mark.parametrize(
    "changes",
    [
        {"masks": (1, 1)},
        {"masks": (512,)},
        {"masks": ()},
        {"styles": ("rock",)},
        {"units": 0},
        {"context_bars": 0},
        {"velocity": ((90,) * 9,) * 15},
        {"velocity": ((0,) * 9,) * 16},
        {"offset": ((120,) * 9,) * 16},
    ],
)
def test_settings_no_export_writes_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        settings(**changes)


def test_a_bundle_with_another_config_is_named(tmp_path: Any) -> None:
    manifest = Manifest(
        schema=SCHEMA, name="odd", engine="drums", kind="lstm", version="0", created="", licence="",
        sources=(), graphs={}, sha256={}, config={"masks": [1], "styles": "any"},
    )  # fmt: skip
    with pytest.raises(BundleError, match=r"its config is not an lstm's .*styles"):
        LstmModel.load(Bundle(tmp_path, manifest))
