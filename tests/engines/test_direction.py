"""Directions: what is written is what is read, nothing else is read, and what is pushed is what was asked for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from engines.errors import SidemanError
from engines.musicgen.direction import (
    SCHEMA,
    About,
    Direction,
    Selection,
    layer_weights,
    read_direction,
    steer,
    write_direction,
)

SCORES = (0.5, 0.9, 0.7, 0.6)
MODEL = "ab" * 32


def direction(scores: tuple[float, ...] = SCORES, left_out: tuple[int, ...] = ()) -> Direction:
    vectors = np.random.default_rng(0).standard_normal((len(scores), 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[list(left_out)] = 0.0
    about = About(
        schema=SCHEMA, concept="note:C", task="binary", method="rfm", model=MODEL, pooling="mean", prompt="",
        split={"train": 8}, scores=scores, made={"seed": 0},
    )  # fmt: skip
    return Direction(about, vectors, np.array([1.0, 2.0, 4.0, 8.0], np.float32)[: len(scores)])


def test_a_direction_is_read_as_it_was_written_by_either_of_its_files(tmp_path: Path) -> None:
    made = direction(left_out=(2,))
    write_direction(made, tmp_path / "note-C.rfm.safetensors")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["note-C.rfm.json", "note-C.rfm.safetensors"]
    for name in ("note-C.rfm.safetensors", "note-C.rfm.json"):
        read = read_direction(tmp_path / name)
        assert np.array_equal(read.vectors, made.vectors)
        assert np.array_equal(read.scale, made.scale)
        assert msgspec.structs.replace(read.about, sha256="") == made.about
        assert read.trained.tolist() == [True, True, False, True]


def test_a_direction_fits_its_own_model_only() -> None:
    made = direction()
    made.must_fit(MODEL, 4, 6)
    with pytest.raises(SidemanError, match="another model"):
        made.must_fit("cd" * 32, 4, 6)
    with pytest.raises(SidemanError, match=r"4x6.*24x1024"):
        made.must_fit(MODEL, 24, 1024)


def altered(path: Path, **about: Any) -> None:
    """The JSON beside a direction, with other values."""
    file = path.with_suffix(".json")
    file.write_text(json.dumps({**json.loads(file.read_text()), **about}))


def with_tensors(path: Path, tensors: dict[str, NDArray[Any]]) -> None:
    """Other tensors, of which the JSON knows."""
    path.write_bytes(save(tensors))
    altered(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"vectors": np.full((4, 6), np.nan, np.float32)}, "not finite"),
        ({"vectors": np.ones((4, 6), np.float32)}, "not of length 1"),
        ({"vectors": np.zeros((4, 6), np.float32)}, "points nowhere"),
        ({"vectors": np.eye(4, 6)}, "float64"),
        ({"vectors": np.eye(3, 6, dtype=np.float32)}, "3 vectors, 4 scales"),
        ({"vectors": np.zeros((4, 0), np.float32)}, r"shape \(4, 0\)"),
        ({"scale": np.full(4, -1.0, np.float32)}, "below 0"),
        ({"scale": np.array(1.0, np.float32)}, "0 scales"),
        ({"more": np.zeros(1, np.float32)}, "more, scale, vectors"),
    ],
)
def test_tensors_that_are_no_direction_are_refused(
    tensors: dict[str, NDArray[Any]], message: str, tmp_path: Path
) -> None:
    path, made = tmp_path / "x.safetensors", direction()
    write_direction(made, path)
    with_tensors(path, {"vectors": made.vectors, "scale": made.scale, **tensors})
    with pytest.raises(SidemanError, match=message):
        read_direction(path)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"schema": 2}, "schema 2"),
        ({"method": "magic"}, "method"),
        ({"scores": [0.5]}, "1 scores"),
        ({"scores": "high"}, "scores"),
        ({"model": "small"}, "which model"),
        ({"sha256": "00"}, "altered"),
    ],
)
def test_words_that_are_no_directions_are_refused(about: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_direction(direction(), path)
    altered(path, **about)
    with pytest.raises(SidemanError, match=message):
        read_direction(path)


def test_files_that_are_no_directions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_direction(direction(), path)
    with pytest.raises(SidemanError, match=r"is a folder; name a direction in it: x\.safetensors"):
        read_direction(tmp_path)
    with pytest.raises(SidemanError, match="is no direction: it takes"):
        read_direction(tmp_path / "y.safetensors")
    path.write_bytes(b"\xff" * 64)
    altered(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(SidemanError, match="cannot be read"):
        read_direction(path)
    path.with_suffix(".json").write_bytes(b"{")
    with pytest.raises(SidemanError, match="is no direction's"):
        read_direction(path)


def test_layers_are_selected_by_their_scores() -> None:
    made = direction()
    assert layer_weights(made, Selection()).tolist() == [1, 1, 1, 1]
    assert layer_weights(made, Selection("top", top=2)).tolist() == [0, 1, 1, 0]
    assert layer_weights(made, Selection("top")).tolist() == [1, 1, 1, 1]
    weighted = layer_weights(made, Selection("weighted", base=2.0, coefficient=0.95))
    assert weighted == pytest.approx([0.0, 2.0, 2 * 0.5 ** (1 / 0.95), 2 * 0.25 ** (1 / 0.95)])
    assert layer_weights(direction((0.7,) * 4), Selection("weighted")).tolist() == [1, 1, 1, 1]


def test_a_layer_that_was_left_out_is_never_pushed_and_its_score_counts_for_nothing() -> None:
    made = direction((0.5, 0.0, 0.7, 0.6), left_out=(1,))
    assert layer_weights(made, Selection()).tolist() == [1, 0, 1, 1]
    assert layer_weights(made, Selection("top", top=9)).tolist() == [1, 0, 1, 1]
    assert layer_weights(made, Selection("weighted")) == pytest.approx([0, 0, 1, 0.5 ** (1 / 0.95)])


def test_a_coefficient_is_a_length_or_a_share_of_the_streams_own() -> None:
    made = direction()
    assert np.linalg.norm(steer(made, 0.6), axis=1) == pytest.approx([0.6] * 4)
    assert np.linalg.norm(steer(made, 0.5, units="rms"), axis=1) == pytest.approx([0.5, 1.0, 2.0, 4.0])
    assert np.array_equal(steer(made, -0.3), -steer(made, 0.3))
    assert steer(made, 0.6).dtype == np.float32
    assert not steer(made, 0.0, Selection("weighted"), "rms").any()


@pytest.mark.parametrize("coefficient", [float("nan"), float("inf")])
def test_a_coefficient_that_is_no_number_is_refused(coefficient: float) -> None:
    with pytest.raises(SidemanError, match="note:C"):
        steer(direction(), coefficient)


def test_a_selection_that_selects_nothing_is_refused() -> None:
    for wrong in ({"layers": "some"}, {"top": 0}, {"coefficient": 0.0}, {"base": float("nan")}):
        with pytest.raises(SidemanError):
            Selection(**wrong)  # type: ignore[arg-type]
    with pytest.raises(SidemanError, match="units"):
        steer(direction(), 1.0, units="dB")  # type: ignore[arg-type]
