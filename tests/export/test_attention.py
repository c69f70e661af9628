"""The kept context: an exported trunk with its turning done outside the operator says what the whole network says."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.bundle import Tensor
from engines.runtime import open_graph
from engines.runtime.context import Context
from export.attention import LAST, TOTAL, buffers, buffers_out, onnx_attention, torch_attention
from export.onnx import from_torch
from export.quantise import quantise
from export.torchscript import from_torch as script

torch = pytest.importorskip("torch", reason="needs the extra train")

from offline.notes.gpt.network import GptNetwork, GptShape, GptStep, rotation  # noqa: E402

SHAPE = GptShape(vocabulary=96, width=64, layers=2, heads=2, key_heads=1, hidden=96)
WINDOW = 48
BUFFERS = buffers(SHAPE.layers, SHAPE.key_heads, WINDOW, SHAPE.head_size)
INPUTS = (
    Tensor("tokens", "int64", (-1, -1)), Tensor("cos", "float32", (-1, 16)), Tensor("sin", "float32", (-1, 16)),
    LAST, TOTAL, *BUFFERS,
)  # fmt: skip
OUTPUTS = (Tensor("logits", "float32", (-1, SHAPE.vocabulary)), *buffers_out(BUFFERS))
CHUNKS = (17, 1, 1, 5, 1, 9)
TOKENS = np.random.default_rng(0).integers(0, SHAPE.vocabulary, (1, WINDOW))


@pytest.fixture(scope="module")
def network() -> Iterator[GptNetwork]:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield GptNetwork(SHAPE).eval()


@pytest.fixture(scope="module")
def files(network: GptNetwork, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("graphs")
    rows, new = 2, 3
    example = (
        torch.zeros(rows, new, dtype=torch.int64), *rotation(torch.arange(new), SHAPE.head_size),
        torch.full((rows,), new - 1, dtype=torch.int32), torch.tensor(new, dtype=torch.int32),
        *(torch.zeros(rows, *each.shape[1:]) for each in BUFFERS),
    )  # fmt: skip
    found = {kind: folder / name for kind, name in (("fp32", "g.onnx"), ("int8", "g8.onnx"), ("torch", "g.ts"))}
    from_torch(GptStep(network, onnx_attention), example, INPUTS, OUTPUTS, found["fp32"], rest=len(BUFFERS))
    script(GptStep(network, torch_attention), example, found["torch"])
    quantise(found["fp32"], found["int8"])
    return found


def context(path: Path, rows: int = 1) -> Context:
    graph = open_graph(path, tuple(each.name for each in INPUTS), tuple(each.name for each in OUTPUTS))
    return Context(graph, INPUTS, rows)


def heard(kept_context: Context, tokens: np.ndarray, first: int) -> np.ndarray:
    cos, sin = (each.numpy() for each in rotation(torch.arange(first, first + tokens.shape[1]), SHAPE.head_size))
    return kept_context.hear(tokens.shape[1], tokens=tokens, cos=cos, sin=sin)[0]


@pytest.mark.parametrize(("kind", "error"), [("fp32", 1e-5), ("torch", 1e-5), ("int8", 0.05)])
def test_chunks_and_steps_say_what_the_whole_network_says(
    network: GptNetwork, files: dict[str, Path], kind: str, error: float
) -> None:
    with torch.inference_mode():
        whole = network(torch.from_numpy(TOKENS))[0].numpy()
    opened, at = context(files[kind]), 0
    for count in CHUNKS:
        said = heard(opened, TOKENS[:, at : at + count], at)
        at += count
        assert np.abs(said[0] - whole[at - 1]).max() < error
    assert opened.length == sum(CHUNKS)


def test_a_context_put_aside_is_not_touched_by_what_follows(files: dict[str, Path]) -> None:
    opened = context(files["fp32"])
    heard(opened, TOKENS[:, :10], 0)
    held = opened.held()
    once = heard(opened, TOKENS[:, 10:14], 10)
    heard(opened, TOKENS[:, 20:30], 14)
    opened.take(held)
    assert opened.length == 10
    np.testing.assert_array_equal(heard(opened, TOKENS[:, 10:14], 10), once)


def test_dropped_positions_are_not_heard_any_more(network: GptNetwork, files: dict[str, Path]) -> None:
    """Keys after them move up as they are; their turning says where they stand."""
    opened = context(files["fp32"])
    heard(opened, TOKENS[:, :12], 0)
    first = opened.read(0, 12)[0]
    opened.drop(2, 6)
    assert opened.length == 6
    assert opened.names[0] == "key0"
    np.testing.assert_array_equal(opened.read(0, 2)[0], first[:, :, :2])
    np.testing.assert_array_equal(opened.read(2, 6)[0], first[:, :, 8:12])
    after = heard(opened, TOKENS[:, 12:13], 12)
    unlike = context(files["fp32"])
    heard(unlike, TOKENS[:, :12], 0)
    assert np.abs(after - heard(unlike, TOKENS[:, 12:13], 12)).max() > 1e-4


def test_rows_are_heard_side_by_side(files: dict[str, Path]) -> None:
    both, one = context(files["fp32"], rows=2), context(files["fp32"])
    other = TOKENS[:, ::-1].copy()
    said = heard(both, np.concatenate([TOKENS[:, :8], other[:, :8]]), 0)
    np.testing.assert_allclose(said[1], heard(one, other[:, :8], 0)[0], atol=1e-5)


def test_what_does_not_fit_is_refused(files: dict[str, Path]) -> None:
    opened = context(files["fp32"])
    heard(opened, TOKENS[:, :40], 0)
    with pytest.raises(ValueError, match="do not fit"):
        heard(opened, TOKENS[:, :9], 40)
