"""Tiny models: MusicGens of random weights, saved as the hub's folders are, so that all that is done with a real one
can be tried in seconds, without a network.

Each has the layers, codebooks, frame rate and parts of the released size, and a width that fits a test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engines.errors import SidemanError

SIZES: dict[str, tuple[int, int, int]] = {"small": (24, 32, 2), "medium": (48, 48, 3), "large": (48, 64, 4)}
"""Size to decoder layers, which are the released model's, width and heads (its: 1,024, 1,536, 2,048; 16, 24, 32)."""

CODES = 64
WORDS = 8
"""Of the released models: 2,048 codes; a vocabulary of 32,128."""


def write_tiny(folder: Path, size: str = "small", seed: int = 0, layers: int | None = None) -> Path:
    """Write a model into a folder. layers: of the decoder, instead of the size's. Raises SidemanError."""
    import torch
    from transformers import (
        EncodecConfig,
        EncodecFeatureExtractor,
        GenerationConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        MusicgenProcessor,
        T5Config,
        T5Tokenizer,
    )
    from transformers.utils import logging

    if size not in SIZES:
        raise SidemanError(f"there is no size {size}: {', '.join(SIZES)}")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    depth, width, heads = SIZES[size]
    letters = [chr(ord("a") + i) for i in range(26)]
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *((letter, -3.0) for letter in letters)]
    text = T5Config(
        vocab_size=len(words), d_model=24, d_kv=8, d_ff=32, num_layers=2, num_heads=2, feed_forward_proj="relu",
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    audio = EncodecConfig(  # of facebook/encodec_32khz, with fewer filters
        sampling_rate=32_000, audio_channels=1, normalize=False, num_filters=4, hidden_size=16, codebook_dim=16,
        upsampling_ratios=[8, 5, 4, 4], codebook_size=CODES, target_bandwidths=[1.2], use_causal_conv=False,
        num_lstm_layers=1, use_conv_shortcut=False,
    )  # fmt: skip
    decoder = MusicgenDecoderConfig(
        vocab_size=CODES, num_hidden_layers=layers or depth, ffn_dim=4 * width, num_attention_heads=heads,
        hidden_size=width, num_codebooks=4, audio_channels=1, pad_token_id=CODES, bos_token_id=CODES,
    )  # fmt: skip
    before = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        network = MusicgenForConditionalGeneration(
            MusicgenConfig(text_encoder=text, audio_encoder=audio, decoder=decoder)
        )
        with torch.no_grad():
            _hear(network.audio_encoder)
            for embedding in network.decoder.model.decoder.embed_tokens:
                embedding.weight.normal_()
            for module in network.decoder.modules():
                if isinstance(module, torch.nn.Linear):  # the .02 that it starts with adds nothing to the stream
                    module.weight.normal_(0.0, module.in_features**-0.5)
    finally:
        torch.set_rng_state(before)
    network.generation_config = GenerationConfig(
        bos_token_id=CODES, decoder_start_token_id=CODES, pad_token_id=CODES, do_sample=True, guidance_scale=3.0,
        max_length=1500,
    )  # fmt: skip
    network.save_pretrained(folder)
    processor = MusicgenProcessor(
        EncodecFeatureExtractor(feature_size=1, sampling_rate=32_000), T5Tokenizer(vocab=words, extra_ids=0)
    )
    processor.save_pretrained(folder)
    return folder


def _hear(codec: Any) -> None:
    """Take each codebook from what its place leaves of tones and noise: of the zeros it starts with all codes are 0."""
    import torch

    time_s = torch.arange(16_000) / 32_000
    tones = [torch.sin(2 * torch.pi * 32.7 * 2 ** (step / 8) * time_s) for step in range(56)]
    sounds = torch.stack([*tones, *(torch.randn(16_000) * 0.5**power for power in range(1, 9))]) * 0.5
    left = codec.encoder(sounds[:, None, :]).permute(0, 2, 1).flatten(0, 1)
    for layer in codec.quantizer.layers:
        book = layer.codebook
        book.embed.copy_(left[torch.randperm(len(left))[:CODES]])
        left = left - book.decode(book.encode(left))
