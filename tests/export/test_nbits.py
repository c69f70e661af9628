"""Weights of a few bits: what ONNX Runtime multiplies by is what was meant."""

from pathlib import Path

import numpy as np
import pytest

from engines.bundle import Tensor
from engines.runtime import open_graph
from export.nbits import BLOCKS, block_of, dense, rounded
from export.writer import Writer

pytest.importorskip("onnx", reason="needs the extra train")


@pytest.mark.parametrize(("bits", "error"), [(4, 0.16), (8, 0.012)])
@pytest.mark.parametrize(("rows", "columns"), [(24, 128), (40, 48)])
def test_a_product_is_that_of_its_rounded_weights(
    tmp_path: Path, bits: int, error: float, rows: int, columns: int
) -> None:
    random = np.random.default_rng(0)
    weight = random.standard_normal((rows, columns)).astype(np.float32)
    weight[3] = 0.0
    x = random.standard_normal((2, 3, columns)).astype(np.float32)
    numbers, scales = rounded(weight, bits, block_of(columns, BLOCKS[bits]))
    meant = dense(numbers, scales, bits)
    assert np.abs(meant - weight).mean() <= 0.5 * np.abs(scales).max()
    assert not meant[3].any()
    w = Writer(bits)
    shape = (Tensor("x", "float32", (-1, -1, columns)),), (Tensor("y", "float32", (-1, -1, rows)),)
    w.save(tmp_path / "g.onnx", *shape, [w.product("x", weight)])
    (said,) = open_graph(tmp_path / "g.onnx", ("x",), ("y",))(x=x)
    exact = x @ weight.T
    assert np.abs(said - exact).mean() < error * np.abs(exact).mean()
    assert np.abs(said - x @ meant.T).mean() < 0.02 * np.abs(exact).mean()  # the activations are rounded as well


def test_the_best_of_some_scales_is_nearer_than_the_largest_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = np.random.default_rng(1).standard_t(5, (64, 256)).astype(np.float32)

    def error() -> float:
        return float(np.square(dense(*rounded(weight, 4, 256), 4) - weight).mean())

    best = error()
    monkeypatch.setattr("export.nbits.CUT", (1.0,))
    assert best < 0.9 * error()


def test_a_width_that_no_block_divides_stays_in_float(tmp_path: Path) -> None:
    assert [block_of(columns, 256) for columns in (1024, 192, 48, 24)] == [256, 64, 16, 0]
    weight = np.random.default_rng(0).standard_normal((5, 24)).astype(np.float32)
    w = Writer(4)
    shape = (Tensor("x", "float32", (-1, 24)),), (Tensor("y", "float32", (-1, 5)),)
    w.save(tmp_path / "g.onnx", *shape, [w.product("x", weight)])
    (said,) = open_graph(tmp_path / "g.onnx", ("x",), ("y",))(x=np.eye(24, dtype=np.float32))
    np.testing.assert_allclose(said, weight.T, rtol=1e-6)


def test_weights_beyond_what_one_file_holds_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.writer.LARGEST", 100)
    weight = np.random.default_rng(0).standard_normal((64, 128)).astype(np.float32)
    w = Writer()
    shape = (Tensor("x", "float32", (-1, 128)),), (Tensor("y", "float32", (-1, 64)),)
    w.save(tmp_path / "g.onnx", *shape, [w.product("x", weight)])
    assert (tmp_path / "g.onnx.data").stat().st_size >= weight.nbytes
    (said,) = open_graph(tmp_path / "g.onnx", ("x",), ("y",))(x=np.eye(128, dtype=np.float32)[:5])
    np.testing.assert_allclose(said, weight.T[:5], rtol=1e-6)
