"""MusicGen folders in the hub's layout, of random weights, few layers, one or two channels, and two kinds of codec."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LAYERS, WIDTH, HEADS = 3, 64, 4
VOCABULARY = 64


@pytest.fixture(scope="session")
def musicgen_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    made: dict[Any, Path] = {}

    def folder(channels: int = 1, causal: bool = False) -> Path:
        key = (channels, causal)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("musicgen")
            _save(made[key], channels, causal)
        return made[key]

    return folder


def _save(folder: Path, channels: int, causal: bool) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra train")
    transformers = pytest.importorskip("transformers", reason="needs the extra train")
    books = 4 * channels
    text = transformers.T5Config(vocab_size=_tokenizer(folder), d_model=48, d_kv=12, d_ff=64, num_layers=2, num_heads=4)
    audio = transformers.EncodecConfig(
        target_bandwidths=[4 * 50 * 6 / 1000], sampling_rate=8000, upsampling_ratios=[5, 4, 4, 2],
        codebook_size=VOCABULARY, num_filters=4, hidden_size=16, use_causal_conv=causal,
        use_conv_shortcut=False,
    )  # fmt: skip
    decoder = transformers.MusicgenDecoderConfig(
        vocab_size=VOCABULARY, num_hidden_layers=LAYERS, hidden_size=WIDTH, num_attention_heads=HEADS,
        ffn_dim=4 * WIDTH, num_codebooks=books, audio_channels=channels, pad_token_id=VOCABULARY,
        bos_token_id=VOCABULARY, max_position_embeddings=400,
    )  # fmt: skip
    torch.manual_seed(5)
    config = transformers.MusicgenConfig(
        text_encoder=text.to_dict(), audio_encoder=audio.to_dict(), decoder=decoder.to_dict()
    )
    network = transformers.MusicgenForConditionalGeneration(config)
    with torch.no_grad():
        for layer in network.audio_encoder.quantizer.layers:
            layer.codebook.embed.normal_()
        for weight in network.decoder.parameters():
            if weight.dim() > 1:
                weight.mul_(4)  # so that what is said depends on what is heard
    network.generation_config.decoder_start_token_id = VOCABULARY
    network.generation_config.pad_token_id = VOCABULARY
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.eval().save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: cc0-1.0\n---\nRandom weights.\n")


def _tokenizer(folder: Path) -> int:
    """A unigram tokenizer of T5's kind; how many pieces it has."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz0123456789-,.!()#\u2581"
    words = ("\u2581drum", "\u2581rock", "\u2581song", "s", "and", "loud")
    scored = [(letter, -6.0 - number / 50) for number, letter in enumerate(letters)]
    scored += [(word, -4.0) for word in words if word not in letters]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *scored]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    names = dict(zip(("pad_token", "eos_token", "unk_token"), (name for name, _ in pieces), strict=False))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return len(pieces)
