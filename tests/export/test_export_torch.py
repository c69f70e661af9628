"""A small torch network with the shape of the lstm's step, through ONNX, int8 and TorchScript into a bundle."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engines.bundle import MANIFEST, Bundle, Source, Tensor, sha256_of
from engines.drums.lstm import GRAPH, INPUTS, OUTPUTS, STATES, LstmSettings
from engines.errors import SidemanError
from engines.runtime import Graph
from export.bundle import write_bundle
from export.parity import ParityError, same_bars
from export.subject import GraphSubject, Heads, Subject

torch = pytest.importorskip("torch", reason="torch comes with the train extra")
pytest.importorskip("onnxscript", reason="onnxscript comes with the train extra")

UNITS, TOKENS, STEPS = 32, 9, 1024


class Step(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.read = torch.nn.Embedding(TOKENS + 1, UNITS)
        self.place = torch.nn.Embedding(16, UNITS)
        self.cells = torch.nn.ModuleList(torch.nn.LSTMCell(UNITS, UNITS) for _ in range(2))
        self.say = torch.nn.Linear(UNITS, TOKENS)

    def forward(  # noqa: PLR0917  # the graph's inputs, in order
        self, token: Any, position: Any, style: Any, h1: Any, c1: Any, h2: Any, c2: Any
    ) -> Any:
        x = self.read(token) + self.place(position) + style.unsqueeze(1)
        h1, c1 = self.cells[0](x, (h1, c1))
        h2, c2 = self.cells[1](h1, (h2, c2))
        return 4.0 * self.say(h2), h1, c1, h2, c2


def probe(graph: Callable[..., Any]) -> Heads:
    tokens = np.random.default_rng(0).integers(0, TOKENS, STEPS)
    states = [np.zeros((1, UNITS), np.float32) for _ in STATES]
    said = []
    for t, token in enumerate(tokens):
        inputs = {"token": token, "position": t % 16, "style": 0}
        logits, *states = graph(
            **{name: np.array([value], np.int32) for name, value in inputs.items()},
            **dict(zip(STATES, states, strict=True)),
        )
        said.append(logits)
    return {"logits": np.concatenate(said)}


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    from export.onnx import from_torch
    from export.torchscript import from_torch as script

    torch.manual_seed(0)
    network = Step().eval()

    def itself(**inputs: Any) -> Any:
        with torch.no_grad():
            return tuple(out.numpy() for out in network(*(torch.from_numpy(inputs[name]) for name in INPUTS)))

    inputs = tuple(
        Tensor(name, "float32", (-1, UNITS)) if name in STATES else Tensor(name, "int32", (-1,)) for name in INPUTS
    )
    outputs = tuple(Tensor(name, "float32", (-1, TOKENS if name == "logits" else UNITS)) for name in OUTPUTS)
    example = [torch.zeros(2, UNITS) if name in STATES else torch.zeros(2, dtype=torch.int32) for name in INPUTS]
    once = tmp_path_factory.mktemp("graphs")
    from_torch(network, example, inputs, outputs, once / "step.onnx")
    settings = LstmSettings(
        masks=tuple(range(1, TOKENS)), styles=("any",), units=UNITS, context_bars=4,
        velocity=((90,) * 9,) * 16, offset=((0,) * 9,) * 16,
    )  # fmt: skip
    graph = GraphSubject(
        inputs=inputs,
        outputs=outputs,
        onnx=lambda path: shutil.copy(once / "step.onnx", path) and None,
        torchscript=lambda path: script(network, example, path),
        reference=probe(itself),
        probe=probe,
        distributions=lambda heads: heads,
    )
    return Subject(
        engine="drums",
        kind="lstm",
        graphs={GRAPH: graph},
        config=msgspec.to_builtins(settings),
        sources=(Source("ours", "CC-BY-4.0", 3),),
        steps_from="random tokens",
    )


@pytest.fixture(scope="module")
def bundle(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "small"
    write_bundle(subject, folder, "small", ["onnx", "int8", "torchscript"], lambda line: None)
    return folder


def test_the_bundle_holds_what_its_manifest_says(bundle: Path) -> None:
    manifest = Bundle.load(bundle).manifest
    assert {path.name for path in bundle.iterdir()} == {MANIFEST, *manifest.sha256}
    assert manifest.licence == "CC-BY-4.0" and manifest.sources[0].pieces == 3
    parity = manifest.parity[GRAPH]
    assert parity["fp32"]["steps"] == parity["int8"]["steps"] == STEPS
    assert max(parity["fp32"]["max_abs"], parity["torchscript"]["max_abs"]) <= 1e-4
    assert 0.0 < parity["int8"]["kl_mean"] < 0.01
    assert parity["int8"]["products"] == {"MatMulInteger": 4, "MatMul": 1}, "nine tokens are too few to quantise"
    assert set(manifest.speed[GRAPH]) == {"fp32", "int8", "torchscript"}


def test_every_variant_runs_at_any_batch(bundle: Path) -> None:
    opened = Bundle.load(bundle)
    for variant in opened.variants():
        graph: Graph = opened.graph(GRAPH, variant)
        inputs = {name: np.zeros((3, UNITS), np.float32) for name in STATES}
        inputs |= {name: np.zeros(3, np.int32) for name in ("token", "position", "style")}
        assert [out.shape for out in graph(**inputs)] == [(3, TOKENS), *[(3, UNITS)] * 4]


def test_onnx_and_torchscript_play_the_same_bars(bundle: Path) -> None:
    found = same_bars(Bundle.load(bundle), "fp32", "torchscript", bars=64, seed=3)
    assert found.bars == 64 and found.different == 0 and found.same + found.ties == 64
    assert found.same >= 60


def test_another_network_s_bars_are_no_ties(bundle: Path, tmp_path: Path) -> None:
    import onnx

    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    model = onnx.load(other / "step.onnx")
    (bias,) = (each for each in model.graph.initializer if each.name.endswith("say.bias"))
    louder = onnx.numpy_helper.to_array(bias) + np.arange(TOKENS, dtype=np.float32)
    bias.CopyFrom(onnx.numpy_helper.from_array(louder, bias.name))
    onnx.save(model, other / "step.int8.onnx")
    manifest = json.loads((other / MANIFEST).read_text())
    manifest["sha256"]["step.int8.onnx"] = sha256_of(other / "step.int8.onnx")
    (other / MANIFEST).write_text(json.dumps(manifest))
    found = same_bars(Bundle.load(other), "fp32", "int8", bars=64, seed=3)
    assert found.different > 32 and found.ties == 0


def broken(subject: Subject) -> Subject:
    graph = subject.graphs[GRAPH]
    reference = {"logits": graph.reference["logits"] + np.float32(0.001)}
    return replace(subject, graphs={GRAPH: replace(graph, reference=reference)})


def test_a_graph_that_differs_leaves_no_bundle(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(ParityError, match=r"step fp32 does not say what the checkpoint says: max_abs 0.001"):
        write_bundle(broken(subject), tmp_path / "b", "b", ["int8"], lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_bundle_that_was_there(subject: Subject, bundle: Path) -> None:
    before = (bundle / MANIFEST).read_bytes()
    with pytest.raises(ParityError):
        write_bundle(broken(subject), bundle, "small", ["onnx"], lambda line: None)
    assert (bundle / MANIFEST).read_bytes() == before
    assert Bundle.load(bundle)


def test_int8_alone_ships_no_float_graph(subject: Subject, tmp_path: Path) -> None:
    manifest = write_bundle(subject, tmp_path / "b", "b", ["int8"], lambda line: None)
    assert set(manifest.sha256) == {"step.int8.onnx"}
    assert set(manifest.parity[GRAPH]) == {"fp32", "int8"}
    assert Bundle.load(tmp_path / "b").variants() == ("int8",)
    again = write_bundle(subject, tmp_path / "b", "again", ["onnx"], lambda line: None)
    assert Bundle.load(tmp_path / "b").manifest == again
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_folder_that_is_no_bundle_is_left_alone(subject: Subject, tmp_path: Path) -> None:
    (tmp_path / "song.als").write_text("hours of work")
    with pytest.raises(SidemanError, match="exists and is no bundle"):
        write_bundle(subject, tmp_path, "b", ["onnx"], lambda line: None)
    assert (tmp_path / "song.als").read_text() == "hours of work"


def test_a_format_the_framework_lacks_is_said(subject: Subject, tmp_path: Path) -> None:
    keras_like = replace(subject, graphs={GRAPH: replace(subject.graphs[GRAPH], torchscript=None)})
    with pytest.raises(SidemanError, match="has no TorchScript form"):
        write_bundle(keras_like, tmp_path / "b", "b", ["onnx", "torchscript"], lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_without_a_product_is_not_called_int8(tmp_path: Path) -> None:
    import onnx

    from export.quantise import quantise

    tensors = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (None, 2)) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "g", tensors[:1], tensors[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "g.onnx")
    with pytest.raises(SidemanError, match=r"g.onnx has no product that could be made int8"):
        quantise(tmp_path / "g.onnx", tmp_path / "g.int8.onnx")
