"""A MusicGen from its folder to sound: what the graphs say is what transformers says, steered or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.cli import main
from engines.bundle import Bundle
from engines.errors import SidemanError
from engines.musicgen.codec import CodecStream
from engines.musicgen.direction import About, Direction, read_direction, write_direction
from engines.musicgen.generator import Generator, Take
from engines.musicgen.model import MusicgenModel
from engines.musicgen.sampling import Settings
from engines.musicgen.schedule import named
from engines.musicgen.steering import Fader, Steering, fader

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("transformers", reason="needs the extra train")

from engines.runtime import open_graph  # noqa: E402
from export.musicgen_parity import Steered, step_figures  # noqa: E402
from export.musicgen_step import step_outputs, write_step  # noqa: E402
from export.parity import ParityError  # noqa: E402
from offline.steering.model import load_model  # noqa: E402
from offline.steering.tiny import write_tiny  # noqa: E402

Folder = Callable[..., Path]
GREEDY = Settings(temperature=0.0)
PROMPT = "rock song, loud drums"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def exported(musicgen_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = tmp_path_factory.mktemp("bundles") / "tiny"
    formats = "onnx,int8,int4,torchscript"
    assert main(["export", "musicgen", str(musicgen_folder()), "-o", str(bundle), "--formats", formats, "--quiet"]) == 0
    return bundle


@pytest.fixture(scope="module")
def network(musicgen_folder: Folder, exported: Path) -> Any:
    return load_model(str(musicgen_folder())).network


@pytest.fixture(scope="module")
def model(exported: Path) -> MusicgenModel:
    return MusicgenModel.load(Bundle.load(exported), "fp32")


def direction(model: MusicgenModel, seed: int = 0) -> Direction:
    shape = model.shape
    vectors = np.random.default_rng(seed).standard_normal((shape.layers, shape.width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    about = About(
        schema=1, concept=f"note:{seed}", task="binary", method="random", model=shape.model_hash, pooling="mean",
        prompt="", split={}, scores=(0.5,) * shape.layers, made={},
    )  # fmt: skip
    return Direction(about, vectors, np.full(shape.layers, 20.0, np.float32))


def take(model: MusicgenModel, *faders: Fader, seed: int = 1, prompt: str = PROMPT) -> Take:
    return Take(model.prompt(prompt), Steering(faders, model.shape.layers, model.shape.width), seed)


def codes(model: MusicgenModel, *takes: Take, settings: Settings = GREEDY, frames: int = 20, **how: Any) -> np.ndarray:
    return Generator(model, takes, settings, frames=frames, **how).all()


@pytest.mark.parametrize(
    ("size", "layers", "form", "variant"),
    [("small", 24, "int4", "int4"), ("medium", 48, "onnx", "fp32"), ("large", 48, "onnx", "fp32")],
)
def test_each_size_goes_from_its_folder_to_sound(
    tmp_path: Path, size: str, layers: int, form: str, variant: str
) -> None:
    folder, bundle, wav = write_tiny(tmp_path / "m", size), tmp_path / "b", tmp_path / "a.wav"
    assert main(["export", "musicgen", str(folder), "-o", str(bundle), "--formats", form, "--quiet"]) == 0
    assert main(["generate", "musicgen", str(bundle), "--prompt", PROMPT, "--seconds", ".5", "-o", str(wav)]) == 0
    manifest = Bundle.load(bundle).manifest
    assert manifest.config["layers"] == layers
    assert max(manifest.parity["step"]["fp32"]["max_abs"].values()) <= 1e-4
    assert (manifest.licence, set(manifest.graphs["step"].files)) == ("unknown", {variant})
    assert wav.stat().st_size == 44 + 2 * 25 * manifest.config["hop"]


def test_steered_steps_say_what_hooked_layers_say(exported: Path) -> None:
    assert Bundle.load(exported).manifest.licence == "cc0-1.0"  # of the folder's card
    parity = Bundle.load(exported).manifest.parity["step"]
    for variant in ("fp32", "torchscript"):
        assert parity[variant]["positions"] == 64
        assert len(parity[variant]["max_abs"]) == 5
        assert max(parity[variant]["max_abs"].values()) <= 1e-4
    assert 0 < parity["int8"]["kl_mean"] < parity["int4"]["kl_mean"] < 0.25


def test_a_graph_of_other_weights_does_not_pass(network: Any, model: MusicgenModel, exported: Path) -> None:
    bundle = Bundle.load(exported)
    graphs = {name: bundle.graph(name, "fp32") for name in ("step", "cross")}
    weight = network.decoder.model.decoder.layers[1].fc1.weight
    with torch.no_grad():
        weight[0, 0] += 1.0
        steered = Steered(network, model.shape, model.tokens(PROMPT))
        weight[0, 0] -= 1.0
    with pytest.raises(ParityError, match="does not say what the network says"):
        step_figures(steered, "fp32", graphs)


@pytest.mark.parametrize("bits", [0, 8])
def test_coefficient_0_is_unsteered_bit_for_bit(network: Any, model: MusicgenModel, tmp_path: Path, bits: int) -> None:
    said = []
    for steered in (True, False):
        path = tmp_path / f"{steered}.onnx"
        write_step(network.decoder, model.shape, path, bits, steered=steered)
        names = tuple(each.name for each in step_outputs(model.shape))
        graph = open_graph(path, tuple(each.name for each in _inputs(model)), names)
        other = MusicgenModel(model.shape, model.tokens, {**_graphs(model), "step": graph})
        faders = [fader(direction(model), 0.0)] if steered else []
        generator = Generator(other, [take(other, *faders)], Settings(), frames=30)
        generator.begin()
        logits = _watched(generator)
        said.append((generator.all(), np.stack(logits)))
    np.testing.assert_array_equal(said[0][0], said[1][0])
    np.testing.assert_array_equal(said[0][1].view(np.uint32), said[1][1].view(np.uint32))


def _watched(generator: Generator) -> list[np.ndarray]:
    """The logits of each step to come."""
    logits, hear = [], generator._hear

    def heard(*how: Any) -> np.ndarray:
        logits.append(hear(*how))
        return logits[-1]

    generator._hear = heard  # type: ignore[method-assign]
    return logits


def _inputs(model: MusicgenModel) -> Any:
    from engines.musicgen.shape import step_inputs

    return step_inputs(model.shape)


def _graphs(model: MusicgenModel) -> dict[str, Any]:
    return {"text": model._text, "cross": model._cross, "decode": model.codec._decode, "encode": model.codec._encode}


@pytest.mark.parametrize("causal", [False, True])
def test_sound_in_chunks_is_the_sound_offline(musicgen_folder: Folder, tmp_path: Path, causal: bool) -> None:
    folder, bundle = musicgen_folder(1, causal), tmp_path / "b"
    assert main(["export", "musicgen", str(folder), "-o", str(bundle), "--formats", "onnx", "--quiet"]) == 0
    model, network = MusicgenModel.load(Bundle.load(bundle)), load_model(str(folder)).network
    frames = np.random.default_rng(2).integers(0, model.shape.vocabulary, (model.shape.books, 90))
    with torch.inference_mode():
        meant = network.audio_encoder.decode(torch.from_numpy(frames)[None, None], [None]).audio_values[0].numpy().T
    stream, said = CodecStream(model.codec), []
    for first, last in ((0, 9), (9, 10), (10, 40), (40, 60), (60, 90)):
        said.append(stream.put(frames[:, first:last]))
    whole = np.concatenate([*said, stream.end()])
    assert whole.shape == meant.shape
    assert np.sqrt(np.mean((whole - meant) ** 2)) <= 1e-3 * np.sqrt(np.mean(meant**2))
    assert model.shape.right == (1 if causal else 4)


@pytest.mark.parametrize("continued", [False, True])
def test_greedy_codes_are_those_of_generate(network: Any, model: MusicgenModel, continued: bool) -> None:
    """transformers' generate, with guidance, through its own delay pattern; from nothing, and from a sound."""
    sound = (0.3 * np.random.default_rng(0).standard_normal((10 * model.shape.hop, 1))).astype(np.float32)
    begun = model.codec.codes(sound) if continued else None
    before = 10 if continued else 0
    more = {} if begun is None else {"decoder_input_ids": torch.from_numpy(begun)}
    theirs = network.generate(
        input_ids=torch.tensor([model.tokens(PROMPT)]),
        attention_mask=torch.ones(1, len(model.tokens(PROMPT)), dtype=torch.int64),
        do_sample=False, guidance_scale=3.0, max_length=1 + before + 24 + 3, **more,
    )[0].numpy().T  # fmt: skip
    made = Generator(model, [take(model)], GREEDY, frames=before + 24).begin(begun).all()[0]
    whole = made if begun is None else np.concatenate([begun, made], axis=1)
    ours = model.codec.chunk(whole, 0, whole.shape[1])
    assert len(np.unique(made)) > 4
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_every_form_of_the_step_makes_sound_and_torchscript_the_same(model: MusicgenModel, exported: Path) -> None:
    bundle = Bundle.load(exported)
    meant = codes(model, take(model))
    for runtime in ("torchscript", "int8", "int4", "auto"):
        other = MusicgenModel.load(bundle, runtime)
        made = codes(other, take(other))
        assert made.shape == meant.shape
        if runtime == "torchscript":
            np.testing.assert_array_equal(made, meant)


def test_takes_side_by_side_are_what_they_are_alone(model: MusicgenModel) -> None:
    settings = Settings(top_k=20)
    steered = fader(direction(model), 0.6, units="rms")
    takes = [take(model), take(model, steered), take(model, seed=2, prompt="song"), take(model, prompt="")]
    together = codes(model, *takes, settings=settings)
    for each, made in zip(takes, together, strict=True):
        np.testing.assert_array_equal(codes(model, each, settings=settings)[0], made)
    assert not np.array_equal(together[0], together[1])
    assert not np.array_equal(together[0], together[2])


def test_a_steer_that_a_gate_or_a_schedule_lets_through_later_changes_what_comes_later(model: MusicgenModel) -> None:
    plain = codes(model, take(model))
    late = Fader("late", fader(direction(model), 1.0, units="rms").full, np.full(3, 20, np.float32),
                 lambda step: float(step >= 10))  # fmt: skip
    made = codes(model, take(model, late))
    np.testing.assert_array_equal(made[0, 0, :10], plain[0, 0, :10])
    assert not np.array_equal(made, plain)
    never = Fader("never", late.full, late.scale, named("constant"), 0.0)
    np.testing.assert_array_equal(codes(model, take(model, never)), plain)


def test_the_half_without_the_text_is_steered_only_when_asked(model: MusicgenModel) -> None:
    steered = take(model, fader(direction(model), 1.0, units="rms"))
    seen: dict[bool, np.ndarray] = {}
    for both in (False, True):
        generator = Generator(model, [steered], GREEDY, frames=4, steer_both=both)
        hear = generator._context.hear

        def heard(*count: int, hear: Any = hear, both: bool = both, **how: Any) -> Any:
            seen[both] = how["steer"]
            return hear(*count, **how)

        generator._context.hear = heard  # type: ignore[method-assign]
        generator.step()
    assert seen[False][:, 0].any()
    assert not seen[False][:, 1].any()
    np.testing.assert_array_equal(seen[True][:, 1], seen[False][:, 0])


def test_a_renewed_stream_goes_on_without_a_seam(model: MusicgenModel) -> None:
    """From all its columns the renewed one says what the old one goes on to say."""
    old = Generator(model, [take(model, fader(direction(model), 0.3, units="rms"))], GREEDY, window=120)
    for _ in range(30):
        old.step()
    new = old.renewed(30)
    mine, theirs = [new.step() for _ in range(4)], [old.step() for _ in range(4)]
    np.testing.assert_array_equal(np.stack(mine)[:, :, 0], np.stack(theirs)[:, :, 0])  # type: ignore[arg-type]


def test_two_channels_are_two_codebooks_at_each_delay(musicgen_folder: Folder, tmp_path: Path) -> None:
    bundle = tmp_path / "b"
    assert main(["export", "musicgen", str(musicgen_folder(2)), "-o", str(bundle), "--formats", "onnx", "--quiet"]) == 0
    model = MusicgenModel.load(Bundle.load(bundle))
    assert model.shape.delays == (0, 0, 1, 1, 2, 2, 3, 3)
    made = codes(model, take(model))[0]
    sound = model.codec.sound(made)
    assert sound.shape == (20 * model.shape.hop, 2)
    assert not np.array_equal(sound[:, 0], sound[:, 1])
    np.testing.assert_array_equal(model.codec.codes(sound)[0::2].shape, (4, 20))


def test_a_file_of_any_rate_is_continued_and_directions_are_heard(
    exported: Path, model: MusicgenModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import soundfile

    file, begun = tmp_path / "c.safetensors", tmp_path / "begun.wav"
    write_direction(direction(model), file)
    assert read_direction(file).about.model == model.shape.model_hash
    soundfile.write(begun, 0.2 * np.random.default_rng(0).standard_normal((11_025, 2)), 11_025)
    command = ["generate", "musicgen", str(exported), "--runtime", "fp32", "--seconds", ".4", "--seed", "4",
               "--continue", str(begun), "-o", str(tmp_path / "o.wav"),
               "--direction", f"{file},units=rms,schedule=0:1/50:0", "--strengths", "0", ".8"]  # fmt: skip
    assert main(command) == 0
    base, steered = (soundfile.read(tmp_path / name)[0] for name in ("o-0.wav", "o-0.8.wav"))
    assert len(base) == len(steered) == (50 + 20) * model.shape.hop
    early = 40 * model.shape.hop
    np.testing.assert_array_equal(base[:early], steered[:early])
    assert not np.array_equal(base, steered)
    assert main([*command[:-5], "--strengths", "90", "--direction", str(file)]) == 0
    assert "held at 1" in capsys.readouterr().err


def test_sound_that_fills_all_that_is_asked_for_is_refused(model: MusicgenModel) -> None:
    begun = np.zeros((model.shape.books, 20), np.int64)
    with pytest.raises(SidemanError, match="as long as all that is asked for"):
        Generator(model, [take(model)], GREEDY, frames=20).begin(begun)
    with pytest.raises(SidemanError, match="a duration of nothing"):
        Generator(model, [take(model)], GREEDY, frames=0)
