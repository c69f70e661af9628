"""Activations: read where steering is added, of sound fed as when it is generated, and read once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engines.errors import SidemanError

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("transformers", reason="needs the extra train")

from offline.steering.activations import TOKENS, Activations  # noqa: E402
from offline.steering.codes import codes_of, condition, delayed, read_sound  # noqa: E402
from offline.steering.examples import Clip  # noqa: E402
from offline.steering.model import Model, hash_of, load_model  # noqa: E402
from offline.steering.residual import steered, watched  # noqa: E402
from offline.steering.tiny import write_tiny  # noqa: E402

Tensor = torch.Tensor


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(str(write_tiny(tmp_path_factory.mktemp("model"), "small", layers=3)))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("clips")
    time_s = np.arange(16_000) / 32_000
    made = []
    for row, pitch_hz in enumerate((220.0, 330.0, 440.0, 550.0, 660.0)):
        path = folder / f"{row}.wav"
        frames = len(time_s) if row < 4 else 20_000  # the last one is longer
        sound = 0.3 * np.sin(2 * np.pi * pitch_hz * np.arange(frames) / 32_000)
        soundfile.write(path, sound, 32_000, subtype="PCM_16")
        made.append(Clip(row, path, float(row % 2)))
    return made


def decoded(model: Model, read: Tensor, text: Tensor, **options: Any) -> Any:
    return model.network.decoder.model(read.flatten(0, 1), encoder_hidden_states=text, use_cache=False, **options)


def heard(model: Model, clips: list[Clip]) -> Tensor:
    """What the decoder reads of clips."""
    sounds = torch.from_numpy(np.stack([read_sound(clip.path, model.rate_hz) for clip in clips]))
    return delayed(codes_of(model, sounds), model.padding)


def test_what_is_recorded_is_the_residual_stream_before_the_final_norm(model: Model, clips: list[Clip]) -> None:
    read, text, seen = heard(model, clips[:2]), condition(model, ""), {}
    with torch.inference_mode(), watched(model.decoder_layers(), lambda layer, hidden: seen.update({layer: hidden})):
        output = decoded(model, read, text.expand(2, -1, -1), output_hidden_states=True)
    assert sorted(seen) == [0, 1, 2]
    norm = model.network.decoder.model.decoder.layer_norm
    assert torch.equal(norm(seen[2]), output.last_hidden_state)
    assert not torch.allclose(seen[2], output.last_hidden_state)
    assert torch.equal(seen[0], output.hidden_states[1]), "after the first layer"


def test_what_is_added_is_seen_at_the_same_point_and_by_all_that_follows(model: Model, clips: list[Clip]) -> None:
    read, text = heard(model, clips[:2]), condition(model, "").expand(2, -1, -1)
    steer = torch.zeros(3, 2, model.width)
    steer[1, 0] = torch.randn(model.width, generator=torch.Generator().manual_seed(0))

    def run(pushed: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        layers = model.decoder_layers()
        with torch.inference_mode(), steered(layers, pushed), watched(layers, lambda _, hidden: found.append(hidden)):
            last = decoded(model, read, text).last_hidden_state
        return [*found, last]

    plain, pushed = run(torch.zeros(3, 2, model.width)), run(steer)
    assert torch.equal(plain[0], pushed[0])
    assert torch.allclose(pushed[1] - plain[1], steer[1][:, None, :].expand_as(plain[1]), atol=1e-5)
    assert (pushed[2][0] - plain[2][0]).abs().max() > 0.1
    assert torch.allclose(pushed[3][1], plain[3][1], atol=1e-6), "the other one of the batch is left alone"
    with torch.inference_mode():
        assert torch.equal(decoded(model, read, text).last_hidden_state, plain[3]), "nothing of it stays; 0 is nothing"


def test_a_layer_that_hands_on_a_tuple_is_read_and_steered_too() -> None:
    class Layer(torch.nn.Module):  # as those of older versions of transformers
        def forward(self, hidden: Tensor) -> tuple[Tensor, str]:
            return hidden * 2.0, "attention"

    layer, seen = Layer(), []
    with steered([layer], torch.ones(1, 1, 4)), watched([layer], lambda _, hidden: seen.append(hidden)):
        hidden, other = layer(torch.ones(1, 3, 4))
    assert other == "attention"
    assert torch.equal(hidden, torch.full((1, 3, 4), 3.0))
    assert torch.equal(seen[0], hidden)


def test_codes_are_delayed_as_when_they_are_generated(model: Model) -> None:
    codes = torch.randint(0, 64, (2, 4, 9), generator=torch.Generator().manual_seed(0))
    first = torch.full((8, 1), model.padding)
    prompt = torch.cat([first, codes.flatten(0, 1)], 1)
    _, mask = model.network.decoder.build_delay_pattern_mask(prompt, model.padding, max_length=30)
    assert torch.equal(delayed(codes, model.padding)[:, 0], mask.view(2, 4, 30)[:, 0, :10])
    # transformers goes on with the late codebooks' last frames, which are still to be generated when we stop.
    theirs = model.network.decoder.apply_delay_pattern_mask(mask, mask).view(2, 4, 30)[..., :10]
    assert torch.equal(delayed(codes, model.padding), theirs)


def test_stereo_codebooks_come_in_pairs_that_are_equally_late() -> None:
    codes = torch.arange(4)[None, :, None].expand(1, 4, 5) + 1
    read = delayed(codes, 0, channels=2)
    assert read[0].tolist() == [[0, 1, 1, 1, 1, 1], [0, 2, 2, 2, 2, 2], [0, 0, 3, 3, 3, 3], [0, 0, 4, 4, 4, 4]]


def test_no_text_is_what_generation_takes_for_its_unconditioned_half(model: Model, clips: list[Clip]) -> None:
    read, nothing = heard(model, clips[:1]), model.network.get_unconditional_inputs(1)
    with torch.inference_mode():
        theirs = model.network(
            decoder_input_ids=read.flatten(0, 1), encoder_outputs=nothing.encoder_outputs,
            attention_mask=nothing.attention_mask,
        ).logits  # fmt: skip
        ours = model.network.decoder(read.flatten(0, 1), encoder_hidden_states=condition(model, "")).logits
        text = model.network.decoder(read.flatten(0, 1), encoder_hidden_states=condition(model, "a bass")).logits
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert not torch.allclose(ours, text, atol=1e-2)


@pytest.mark.parametrize("pooling", ["mean", "last", "none"])
def test_activations_are_pooled_over_all_but_the_first_token(
    pooling: str, model: Model, clips: list[Clip], tmp_path: Path
) -> None:
    own = Activations(model, tmp_path, "data", pooling)
    assert own.read(clips, batch=3) == 5
    seen: list[Tensor] = []
    with torch.inference_mode(), watched(model.decoder_layers(), lambda _, hidden: seen.append(hidden)):
        decoded(model, heard(model, clips[1:2]), condition(model, ""))
    stream = torch.stack(seen)[:, 0].numpy()  # [layers, 26, d]
    assert stream.shape[1] == 26, "half a second at 50 frames a second, and the first token"
    wanted = {"mean": stream[:, 1:].mean(1, keepdims=True), "last": stream[:, -1:], "none": stream[:, [6, 12, 18, 25]]}
    for layer in range(3):
        found = own.layer(clips, layer)
        assert found.shape == (5 * own.tokens, model.width)
        assert found[own.tokens : 2 * own.tokens] == pytest.approx(wanted[pooling][layer], abs=1e-4)
    assert own.tokens == (TOKENS if pooling == "none" else 1)
    lengths = np.sqrt((stream[:, 1:] ** 2).sum(2).mean(1))
    assert own.scale(clips[1:2]) == pytest.approx(lengths, rel=1e-4)


def test_what_was_heard_is_not_heard_again(model: Model, clips: list[Clip], tmp_path: Path) -> None:
    own = Activations(model, tmp_path, "data")
    assert own.read(clips[:2], batch=8) == 2
    assert own.read(clips, batch=8) == 3
    assert own.read(clips, batch=8) == 0
    assert Activations(model, tmp_path, "data", prompt="a bass").read(clips[:1], batch=8) == 1
    assert Activations(model, tmp_path, "other data").read(clips[:1], batch=8) == 1
    assert Activations(replace(model, hash="0" * 64), tmp_path, "data").read(clips[:1], batch=8) == 1


def test_a_damaged_file_is_named(model: Model, clips: list[Clip], tmp_path: Path) -> None:
    own = Activations(model, tmp_path, "data")
    own.read(clips[:1], batch=1)
    file = next(tmp_path.rglob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(SidemanError, match=r"000000\.safetensors is damaged; remove it"):
        own.layer(clips[:1], 0)


def test_a_batch_changes_nothing(model: Model, clips: list[Clip], tmp_path: Path) -> None:
    alone, together = Activations(model, tmp_path / "1", "data"), Activations(model, tmp_path / "5", "data")
    alone.read(clips, batch=1)
    together.read(clips, batch=5)
    assert alone.layer(clips, 2) == pytest.approx(together.layer(clips, 2), abs=1e-4)


def test_sounds_are_brought_to_the_models_rate_and_bad_ones_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((8_000, 2)), 16_000)
    assert read_sound(path, 32_000).shape == (16_000,)
    path.write_bytes(b"no sound")
    with pytest.raises(SidemanError, match=r"a\.wav cannot be read"):
        read_sound(path, 32_000)
    soundfile.write(path, np.full(100, np.nan), 16_000, subtype="FLOAT")
    with pytest.raises(SidemanError, match="not finite"):
        read_sound(path, 32_000)


def test_the_hash_is_of_the_decoder_alone(model: Model) -> None:
    assert hash_of(model.network) == model.hash
    codec = model.network.audio_encoder.quantizer.layers[0].codebook.embed
    head = model.network.decoder.lm_heads[0].weight
    for tensor, same in ((codec, True), (head, False)):
        tensor[0, 0] += 1.0
        assert (hash_of(model.network) == model.hash) is same
        tensor[0, 0] -= 1.0


def test_a_model_that_is_not_there_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://hub.invalid")
    with pytest.raises(SidemanError, match="hf download nobody/musicgen --local-dir"):
        load_model("nobody/musicgen")
    with pytest.raises(SidemanError, match="there is no folder"):
        load_model(str(tmp_path / "none"))
    with pytest.raises(SidemanError, match=r"no config\.json"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(SidemanError, match="is a t5"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(SidemanError, match="cannot be read"):
        load_model(str(tmp_path))
