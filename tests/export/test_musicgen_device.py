"""The step as TorchScript, whose buffers stay where it runs: here the CPU, in float32 and in bfloat16."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.cli import main
from engines.audio import Loop
from engines.bundle import Bundle
from engines.engine import Request
from engines.errors import BundleError, SidemanError
from engines.music import Meter
from engines.musicgen.engine import MusicgenEngine
from engines.musicgen.generator import Take
from engines.musicgen.memory import Desk, Stream
from engines.musicgen.model import MusicgenModel
from engines.musicgen.sampling import Settings
from engines.musicgen.shape import step_inputs
from engines.musicgen.steering import Steering
from engines.parameter import Parameters
from engines.runtime.context import Context
from engines.runtime.torchscript import CPU_ALONE, TorchScriptGraph, device_here

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("transformers", reason="needs the extra train")

from export.torchscript import from_torch  # noqa: E402

WINDOW = 40
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(musicgen_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("bundles") / "tiny"
    formats = "onnx,torchscript"
    assert main(["export", "musicgen", str(musicgen_folder()), "-o", str(found), "--formats", formats, "--quiet"]) == 0
    return found


@pytest.fixture(scope="module")
def model(folder: Path) -> MusicgenModel:
    return MusicgenModel.load(Bundle.load(folder), "torchscript", device="cpu")


def step(folder: Path, **how: Any) -> TorchScriptGraph:
    entry = Bundle.load(folder).manifest.graphs["step"]
    return TorchScriptGraph(folder / entry.files["torchscript"], tuple(each.name for each in entry.inputs), **how)


def said(graph: Any, model: MusicgenModel, *, steered: bool = True) -> tuple[list[np.ndarray], Context]:
    """Logits of a prefill and steps, with a context put aside, taken up again, and shortened."""
    shape, rng = model.shape, np.random.default_rng(0)
    context, found = Context(graph, step_inputs(shape, WINDOW), 2), list[np.ndarray]()
    model.hear_prompts(context, [model.prompt("rock song"), model.prompt("")])
    held = context.held()
    for number in range(12):
        count = 5 if number == 0 else 1
        codes = rng.integers(0, shape.vocabulary, (2, count, shape.books))
        steer = rng.standard_normal((shape.layers, 2, shape.width)).astype(np.float32)
        position = np.arange(context.length, context.length + count)
        found += context.hear(count, codes=codes, position=position, steer=steer if steered else 0 * steer)
        if number == 4:
            held = context.held()
        if number == 7:
            context.take(held)
        if number == 9:
            context.drop(1, 3)
    return found, context


def test_buffers_that_stay_say_what_copied_ones_say_bit_for_bit(folder: Path, model: MusicgenModel) -> None:
    graph = step(folder)
    stayed, one = said(graph, model)
    copied, other = said(partial(graph), model)
    assert type(one._graph).__name__ == "BoundScript" and type(other._graph).__name__ == "CopiedGraph"
    for mine, theirs in zip([*stayed, *one.held().arrays], [*copied, *other.held().arrays], strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_array_equal(mine.view(np.uint32), theirs.view(np.uint32))


def test_in_bfloat16_it_says_nearly_the_same_and_in_float32(folder: Path, model: MusicgenModel) -> None:
    graph = step(folder, half=True)
    assert {each.dtype for each in graph._module.parameters()} == {torch.bfloat16}
    half, context = said(graph, model)
    whole, _ = said(step(folder, half=False), model)
    for mine, meant in zip(half, whole, strict=True):
        assert mine.dtype == np.float32
        gap = np.abs(mine - meant).max()
        assert 0 < gap < 0.1 * np.abs(meant).max()
    assert {each.dtype for each in context._graph.kept._buffers.values()} == {torch.bfloat16}  # type: ignore[attr-defined]


def test_a_bfloat16_context_comes_back_from_float32_as_it_was(folder: Path, model: MusicgenModel) -> None:
    _, context = said(step(folder, half=True), model)
    held = context.held()
    context.write(0, [np.zeros_like(each) for each in held.arrays])
    assert not any(each.any() for each in context.held().arrays)
    context.take(held)
    for mine, meant in zip(context.held().arrays, held.arrays, strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_array_equal(mine, meant)


def test_one_row_is_written_for_several_and_several_are_read(folder: Path, model: MusicgenModel) -> None:
    context = Context(step(folder), step_inputs(model.shape, WINDOW), 4)
    size = (1, model.shape.heads, 3, model.shape.size)
    arrays = [np.full(size, number, np.float32) for number in range(len(context.names))]
    context.write(2, arrays, slice(2, None))
    for number, read in enumerate(context.read(1, 6, [0, 3])):
        assert not read[0].any() and not read[1, :, [0, 4]].any()
        assert (read[1, :, 1:4] == number).all()


def test_a_stream_is_gone_on_from_bit_for_bit_after_another_was(model: MusicgenModel) -> None:
    shape = model.shape
    desk, settings = Desk(model, WINDOW), Settings(top_k=20)

    def went(stream: Stream, seed: int, takes: int = 1) -> Stream:
        steering = Steering((), shape.layers, shape.width)
        asked = [Take(model.prompt("rock"), steering, seed + number) for number in range(takes)]
        generator = desk.opened(stream, asked, settings, False)
        for _ in range(8):
            generator.step()
        return desk.left(generator, takes - 1, stream, generator.reached)

    first = went(Stream(np.full((shape.books, 1), shape.vocabulary, np.int64)), 1)
    meant = went(first, 5)
    went(went(first, 9, takes=3), 11)
    again = went(first, 5)
    np.testing.assert_array_equal(again.columns, meant.columns)
    for mine, theirs in zip(again.memory[-1].arrays, meant.memory[-1].arrays, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("half", [False, True])
def test_the_engine_plays_it_and_makes_a_span_again(folder: Path, model: MusicgenModel, half: bool) -> None:
    graphs = {"text": model._text, "cross": model._cross, "decode": model.codec._decode, "encode": model.codec._encode}
    engine = MusicgenEngine(MusicgenModel(model.shape, model.tokens, {**graphs, "step": step(folder, half=half)}))
    asked = [
        Request(
            bar=bar, start_tick=480 * bar, length_ticks=480, meter=Meter(4, 4), tempo_bpm=240.0, seed=3,
            parameters=Parameters(engine.parameters).snapshot() | {"prompt": "rock"},
        )
        for bar in range(3)
    ]  # fmt: skip
    _, state = engine.generate(asked[0], engine.start(3))
    once, after = engine.generate(asked[1], state)
    engine.generate(asked[2], after)
    again, _ = engine.generate(asked[1], state)
    assert isinstance(once, Loop) and isinstance(again, Loop)
    np.testing.assert_array_equal(again.frames, once.frames)


def test_the_steps_file_makes_nothing_on_a_device_of_its_own(folder: Path) -> None:
    """That is what a trace keeps of arange and the like; such a file would run on the device that it was traced on."""
    assert CPU_ALONE not in str(step(folder)._module.inlined_graph)


class Counting(torch.nn.Module):  # type: ignore[misc,name-defined]
    """Its buffers come back anew, and a device is in its trace."""

    def forward(self, x: Any, last: Any, total: Any, key0: Any, value0: Any) -> Any:
        here = torch.arange(key0.shape[2], device=key0.device) == total - 1
        new = torch.where(here[None, None, :, None], x, key0)
        return new.sum((1, 2, 3)), new, value0 + 0


def test_a_graph_that_returns_its_buffers_anew_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from export.attention import LAST, TOTAL, buffers

    inputs = (LAST, TOTAL, *buffers(1, 1, 6, 2))
    one = torch.ones((), dtype=torch.int32)
    example = (torch.ones(()), one[None], one, torch.zeros(1, 1, 6, 2), torch.zeros(1, 1, 6, 2))
    from_torch(Counting(), example, tmp_path / "g.ts")
    names = ("x", *(each.name for each in inputs))
    context = Context(TorchScriptGraph(tmp_path / "g.ts", names), inputs)
    assert [float(context.hear(1, x=np.array(x, np.float32))[0][0]) for x in (1, 2, 3)] == [2, 6, 12]
    context.drop(0, 1)
    np.testing.assert_array_equal(context.held().arrays[0][0, 0, :, 0], [2, 3])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.jit, "load", lambda path, map_location: LOAD(path, map_location="cpu"))
    with pytest.raises(BundleError, match=r"g\.ts was exported for the CPU alone: export it again"):
        TorchScriptGraph(tmp_path / "g.ts", names, "mps")


LOAD = torch.jit.load


def test_auto_is_cuda_then_mps_then_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, meant in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert device_here("auto") == meant
        assert device_here("cpu") == "cpu"
    for name in ("cuda", "mps"):
        with pytest.raises(SidemanError, match=f"torch finds no {name.upper()} device here: use the device cpu"):
            device_here(name)
    with pytest.raises(SidemanError, match="there is no device gpu; there are auto, cpu"):
        device_here("gpu")


def test_without_torch_the_remedy_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SidemanError, match=r'pip install "sideman\[train\]", or use onnx'):
        step(folder)


@pytest.fixture
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--device", "cuda"], "torch finds no CUDA device here: use the device cpu, or auto"),
        (["--device", "mps", "--runtime", "torchscript"], "torch finds no MPS device here"),
        (["--device", "cuda", "--runtime", "fp32"], "fp32 runs on the CPU alone: on cuda the step runs as torchscript"),
    ],
)
@pytest.mark.usefixtures("no_device")
def test_a_device_that_cannot_be_is_a_line(
    folder: Path, tmp_path: Path, capsys: Captured, words: list[str], says: str
) -> None:
    assert main(["generate", "musicgen", str(folder), "-o", str(tmp_path / "a.wav"), *words]) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())
    runtime = words[3] if len(words) > 2 else "auto"
    with pytest.raises(SidemanError, match=says):
        MusicgenEngine.load(Bundle.load(folder), runtime, device=words[1])
