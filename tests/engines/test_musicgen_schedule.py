"""Schedules and gates: a factor for each step, a gate for each step."""

import math

import numpy as np
import pytest

from engines.errors import SidemanError
from engines.musicgen.direction import About, Direction
from engines.musicgen.schedule import factor_at, gate_open, named, parsed, pointed
from engines.musicgen.steering import Fader, Steering, fader

LAYERS, WIDTH = 3, 16


def made(seed: int = 0, scale: float = 2.0) -> Direction:
    vectors = np.random.default_rng(seed).standard_normal((LAYERS, WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    about = About(
        schema=1, concept="note:C", task="binary", method="random", model="0" * 64, pooling="mean", prompt="", split={},
        scores=(0.5, 0.9, 0.7), made={},
    )  # fmt: skip
    return Direction(about, vectors, np.full(LAYERS, scale, np.float32))


def test_the_four_schedules_are_the_papers() -> None:
    assert [named("constant")(step) for step in (0, 9_999)] == [1.0, 1.0]
    assert named("exponential")(750) == pytest.approx(0.998**750)
    assert [named("linear")(step) for step in (0, 750, 1500, 3000)] == [1.0, 0.5, 0.0, 0.0]
    assert [named("ramp")(step) for step in (0, 750, 1500, 3000)] == [0.0, 0.5, 1.0, 1.0]
    assert named("linear", steps=10)(5) == 0.5


def test_a_schedule_of_points_is_lines_between_them() -> None:
    schedule = parsed("10:0,20:1/40:.5")
    assert [schedule(step) for step in (0, 10, 15, 20, 30, 99)] == [0.0, 0.0, 0.5, 1.0, 0.75, 0.5]


@pytest.mark.parametrize("text", ["soon", "0:0,x:1", "0:0:0", "5:1,5:2", "0:nan", ":"])
def test_a_schedule_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SidemanError):
        parsed(text)


def test_a_users_own_function_is_held_against_nan() -> None:
    assert factor_at(math.sin, 0) == 0.0
    with pytest.raises(SidemanError, match="nan at step 7"):
        factor_at(lambda step: math.nan, 7)
    with pytest.raises(SidemanError, match="points"):
        pointed([])


def test_a_gate_is_drawn_once_a_step_and_again_the_same() -> None:
    opened = [gate_open(0.3, 5, step, 0) for step in range(2000)]
    assert opened == [gate_open(0.3, 5, step, 0) for step in range(2000)]
    assert 0.25 < np.mean(opened) < 0.35
    assert opened != [gate_open(0.3, 5, step, 1) for step in range(2000)]
    assert all(gate_open(1.0, 5, step, 0) for step in range(50))
    assert not any(gate_open(0.0, 5, step, 0) for step in range(50))


def test_a_shut_gate_does_not_stop_the_clock() -> None:
    seen: list[int] = []

    def watched(step: int) -> float:
        seen.append(step)
        return 1.0

    steering = Steering([fader(made(), 1.0, schedule=watched, inject_chance=0.2)], LAYERS, WIDTH, limit=9.0)
    added = [steering.at(step, 3) for step in range(100)]
    assert seen == list(range(100))
    opened = [each.any() for each in added]
    assert 5 < sum(opened) < 40
    for each, is_open in zip(added, opened, strict=True):
        assert each.any(axis=1).all() == is_open  # all layers at once


def test_each_direction_keeps_its_own_settings() -> None:
    one, other = fader(made(0), 0.5, inject_chance=0.5), fader(made(1), 0.25, schedule=named("ramp", steps=10))
    both = Steering([one, other], LAYERS, WIDTH)
    for step in (0, 5, 10, 11):
        expected = other.full * min(step / 10, 1) + one.full * gate_open(0.5, 8, step, 0)
        np.testing.assert_allclose(both.at(step, 8), expected, atol=1e-6)


def test_a_coefficient_in_units_of_the_residual_is_a_share_of_its_length() -> None:
    full = fader(made(scale=4.0), 0.25, units="rms").full
    np.testing.assert_allclose(np.linalg.norm(full, axis=1), 1.0, rtol=1e-5)


def test_what_would_destroy_the_sound_is_held_and_told() -> None:
    wild = Steering([fader(made(), -3.0, units="rms"), fader(made(1), 50.0)], LAYERS, WIDTH)
    np.testing.assert_allclose(np.linalg.norm(wild.at(0, 0), axis=1), 2.0, rtol=1e-5)
    (line,) = wild.troubles()
    assert "3 of 3 layers" in line
    assert "held at 1" in line
    assert not Steering([fader(made(), 0.9, units="rms")], LAYERS, WIDTH).troubles()


def test_coefficient_0_and_no_direction_add_exactly_nothing() -> None:
    for faders in ([], [fader(made(), 0.0)], [fader(made(), -0.0, units="rms")]):
        assert not Steering(faders, LAYERS, WIDTH).at(3, 1).any()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"inject_chance": 1.5}, "inject chance"),
        ({"inject_chance": float("nan")}, "inject chance"),
        ({"full": np.full((LAYERS, WIDTH), np.nan, np.float32)}, "not finite"),
        ({"full": np.zeros((2, WIDTH), np.float32)}, "2 layers"),
    ],
)
def test_a_direction_that_cannot_steer_is_refused(wrong: dict[str, object], says: str) -> None:
    usual = {"name": "x", "full": made().vectors, "scale": made().scale}
    with pytest.raises(SidemanError, match=says):
        Steering([Fader(**(usual | wrong))], LAYERS, WIDTH)  # type: ignore[arg-type]


def test_a_coefficient_that_is_no_number_is_refused() -> None:
    for coefficient, says in ((float("nan"), "finite"), (float("inf"), "finite"), (1e300, "no number can hold")):
        with pytest.raises(SidemanError, match=says), np.errstate(over="ignore"):
            fader(made(), coefficient, units="rms")
