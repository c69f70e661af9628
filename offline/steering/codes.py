"""Codes: sound as a MusicGen's decoder reads it when it generates, and the text it reads beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from offline.steering.model import Model, load_tokenizer

if TYPE_CHECKING:
    import torch

SECONDS_MAX = 30.0
"""MusicGen's own positions end here."""

PROMPT_CHARS_MAX = 2000


def read_sound(path: Path, rate_hz: int) -> NDArray[np.float32]:
    """A sound file as mono [samples] at a rate. Raises SidemanError for one that cannot be read."""
    import soundfile
    import soxr

    try:
        with soundfile.SoundFile(path) as file:
            own_hz = int(file.samplerate)
            frames = file.read(round(SECONDS_MAX * own_hz), dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:  # libsndfile's own is a RuntimeError
        reason = str(error).rpartition(": ")[2].rstrip(".")
        raise SidemanError(f"{path} cannot be read: {reason}; prepare the set again") from error
    mono = frames.mean(axis=1)
    if not len(mono) or not np.isfinite(mono).all():
        raise SidemanError(f"{path} is empty or holds numbers that are not finite; prepare the set again")
    return np.asarray(mono if own_hz == rate_hz else soxr.resample(mono, own_hz, rate_hz), np.float32)


def codes_of(model: Model, sound: torch.Tensor) -> torch.Tensor:
    """Codes [batch, codebooks, frames] of mono sound [batch, samples] at the model's rate."""
    encoder, books = model.network.audio_encoder, model.codebooks // model.channels
    fitting = [
        bandwidth
        for bandwidth in encoder.config.target_bandwidths
        if encoder.quantizer.get_num_quantizers_for_bandwidth(bandwidth) == books
    ]
    if not fitting:
        raise SidemanError(f"{model.name}: its codec has no bandwidth that gives {books} codebooks")
    found = encoder.encode(sound[:, None, :], bandwidth=fitting[0]).audio_codes
    if len(found) != 1:
        raise SidemanError(f"{model.name}: its codec cuts sound into chunks (chunk_length_s)")
    codes: torch.Tensor = found[0]
    return codes.repeat_interleave(model.channels, dim=1)  # a stereo model hears the same on both sides


def delayed(codes: torch.Tensor, padding: int, channels: int = 1) -> torch.Tensor:
    """What the decoder reads, [batch, codebooks, frames + 1]: a first token, then codebook k comes k frames late.

    The columns after the last frame, in which only late codebooks still say something, are left out: generation stops
    before it would read them.
    """
    batch, books, frames = codes.shape
    read = codes.new_full((batch, books, frames + 1), padding)
    for book in range(books):
        late = book // channels
        read[:, book, late + 1 :] = codes[:, book, : frames - late]
    return read


def condition(model: Model, prompt: str) -> torch.Tensor:
    """What cross-attention reads, [1, tokens, d]: of a text, or zeros, which is what no text is to the decoder."""
    import torch

    if not prompt:
        return torch.zeros(1, 1, model.width, device=model.device)
    if len(prompt) > PROMPT_CHARS_MAX:
        raise SidemanError(f"--prompt has {len(prompt):,} characters; at most {PROMPT_CHARS_MAX:,}")
    network = model.network
    tokens = load_tokenizer(model.name)([prompt], return_tensors="pt", truncation=True, max_length=512)
    hidden = network.text_encoder(tokens.input_ids.to(model.device)).last_hidden_state
    if hasattr(network, "enc_to_dec_proj"):
        hidden = network.enc_to_dec_proj(hidden)
    found: torch.Tensor = hidden
    return found
