"""The flat GPT from a training's folder to a bundle that plays, compared over two runs of 512 steps."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.bundle import Bundle
from engines.engine import Request
from engines.errors import BundleError, SidemanError
from engines.music import Meter
from engines.notes.engine import NotesEngine
from engines.notes.remi.model import RemiModel
from engines.notes.roles import ROLES
from engines.parameter import Parameters

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("pyarrow", reason="needs the extra train")

from export.bundle import write_bundle  # noqa: E402
from export.notes import load_subject  # noqa: E402
from export.notes_remi import RUN  # noqa: E402
from export.parity import STEPS_MIN, ParityError, same_bars  # noqa: E402
from export.subject import Subject  # noqa: E402
from offline.notes.gpt.config import GptConfig, write_hparams  # noqa: E402
from offline.notes.gpt.train import network_of  # noqa: E402
from offline.trainer import BEST  # noqa: E402

WORDS = [
    "PAD_None", "BOS_None", "EOS_None", *(f"Pitch_{i}" for i in range(21, 110)),
    *(f"Velocity_{i}" for i in range(3, 128, 4)), *(f"Duration_{i // 8}.{i % 8}.8" for i in range(1, 32)),
    "TimeSig_4/4", *(f"Position_{i}" for i in range(96)), *(f"Program_{i}" for i in range(-1, 128)),
    *(f"Tempo_{i}" for i in (60.0, 120.0)), *(f"Bar_{i}" for i in range(128)), "Genre_folk", "Genre_jazz",
]  # fmt: skip
CONFIG = GptConfig(sequence=RUN, width=64, layers=2, heads=2, key_heads=1, hidden=64)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_hparams(folder, CONFIG, {"vocabulary": WORDS, "sources": [{"name": "a", "licence": "CC0-1.0", "pieces": 1}]})
    torch.manual_seed(0)
    network = network_of(CONFIG, len(WORDS))
    with torch.no_grad():
        network.embed.weight.mul_(8.0)  # logits that are not all alike
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))  # equal norms would be one tensor in the file
    torch.save(network.state_dict(), folder / BEST)
    return folder


@pytest.fixture(scope="module")
def subject(run: Path) -> Subject:
    return load_subject(run, None, STEPS_MIN)


@pytest.fixture(scope="module")
def bundle(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    target = tmp_path_factory.mktemp("bundle") / "remi"
    write_bundle(subject, target, "remi", ("onnx", "int8"), lambda line: None)
    yield Bundle.load(target)


def bars(engine: NotesEngine, count: int, seed: int = 0) -> list:
    parameters = Parameters(engine.parameters)
    parameters.set("genre", "jazz")
    state, phrases, meter = engine.start(seed), [], Meter()
    for bar in range(count):
        request = Request(
            bar=bar, start_tick=bar * meter.bar_ticks, length_ticks=meter.bar_ticks, meter=meter, tempo_bpm=120.0,
            parameters=parameters.snapshot(), seed=seed,
        )  # fmt: skip
        phrase, state = engine.generate(request, state)
        phrases.append(phrase)
    return phrases


def test_its_graphs_say_what_the_checkpoint_says_over_512_steps(bundle: Bundle) -> None:
    parity = bundle.manifest.parity["step"]
    assert parity["fp32"]["steps"] == 2 * RUN
    assert parity["fp32"]["max_abs"] < 1e-4
    assert parity["int8"]["kl_mean"] < 0.01
    assert parity["int8"]["products"]["MatMulInteger"] >= 2 * 5
    assert bundle.manifest.kind == "remi"
    assert bundle.manifest.config == {"vocabulary": WORDS}


def test_it_plays_the_same_bars_again_in_the_seats_that_are_open(bundle: Bundle) -> None:
    engine = NotesEngine.load(bundle)
    phrases = bars(engine, 3)
    assert phrases == bars(NotesEngine.load(bundle), 3)
    notes = [note for phrase in phrases for note in phrase.notes]
    assert notes
    assert {ROLES[note.part - 1].name for note in notes} <= {role.name for role in ROLES} - {"drums"}


def test_another_library_says_the_same_on_its_weights(bundle: Bundle) -> None:
    pytest.importorskip("transformers", reason="Hugging Face's transformers are not installed")
    from bridge.commands.bench_llama import llama_of

    probe = [1, 20, 30, 200]
    for variant, error in (("fp32", 1e-4), ("int8", 0.2)):
        line = RemiModel.load(bundle, variant).line(-1)
        line.begin(probe)
        llama = llama_of(bundle.path / bundle.manifest.graphs["step"].files[variant])
        with torch.inference_mode():
            theirs = llama(torch.tensor([[1, 0, *probe]])).logits[0, -1].numpy()
        assert np.abs(line.logits - theirs).max() < error
        assert np.abs(line.logits).max() > 5 * error


def test_a_network_that_does_not_fit_is_no_bundle(subject: Subject, bundle: Bundle, tmp_path: Path) -> None:
    graph, file = subject.graphs["step"], bundle.path / bundle.manifest.graphs["step"].files["fp32"]
    louder = {"logits": graph.reference["logits"] + 1.0}
    written = replace(graph, reference=louder, onnx=lambda path: shutil.copy(file, path))
    wrong = replace(subject, graphs={"step": written})
    with pytest.raises(ParityError, match="max_abs 1"):
        write_bundle(wrong, tmp_path / "remi", "remi", ("onnx",), lambda line: None)
    assert not (tmp_path / "remi").exists()


def test_variants_play_alike(bundle: Bundle) -> None:
    found = same_bars(bundle, "fp32", "fp32", bars=2)
    assert (found.bars, found.same) == (2, 2)


def test_a_config_of_something_else_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    import msgspec

    other = Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, config={"vocabulary": ["hello"]}))
    with pytest.raises(BundleError, match="export it again"):
        RemiModel.load(other)
    with pytest.raises(SidemanError, match="no training of notes"):
        load_subject(tmp_path, None, STEPS_MIN)
