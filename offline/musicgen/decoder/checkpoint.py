"""What a training of the decoder leaves: its best weights, and a folder in the hub's layout of a MusicGen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import SidemanError
from offline.hparams import HPARAMS
from offline.licences import expression
from offline.musicgen.codec.checkpoint import load_codec
from offline.musicgen.decoder.config import read_hparams
from offline.musicgen.decoder.text import tokenizer_of
from offline.trainer import BEST, read_weights

if TYPE_CHECKING:
    from offline.musicgen.decoder.network import DecoderNetwork

MODEL, CODEC, SOURCES = "model", "codec", "sources.json"
"""Of a run: the folder in the hub's layout, the codec whose codes it speaks; in that layout: what it learned from."""


def load_checkpoint(folder: Path) -> DecoderNetwork:
    """The network of a run with its best weights, in evaluation mode. Raises SidemanError if there are none."""
    from offline.musicgen.decoder.network import DecoderNetwork

    table = read_hparams(folder)
    path = folder / BEST
    if not path.is_file():
        raise SidemanError(f"{folder} has no {BEST} yet: it is written after the first epoch; go on with --resume")
    network = DecoderNetwork(table["config"], len(table["pieces"]), table["books"], table["codes"])
    try:
        network.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise SidemanError(f"{path} does not fit {folder / HPARAMS}; train again") from error
    return network.eval()


def publish(folder: Path) -> Path:
    """Write a run's best weights, its codec and its tokenizer as folder/model, in the hub's layout; that folder."""
    from transformers import (
        EncodecFeatureExtractor,
        GenerationConfig,
        MusicgenForConditionalGeneration,
        MusicgenProcessor,
    )
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    table = read_hparams(folder)
    network, codec = load_checkpoint(folder), load_codec(folder / CODEC)
    whole: Any = MusicgenForConditionalGeneration(
        text_encoder=network.text, audio_encoder=codec, decoder=network.decoder
    )
    if network.projection is not None:
        whole.enc_to_dec_proj.load_state_dict(network.projection.state_dict())
    padding = table["codes"]
    whole.generation_config = GenerationConfig(
        bos_token_id=padding, decoder_start_token_id=padding, pad_token_id=padding, do_sample=True, guidance_scale=3.0,
        max_length=1500,
    )  # fmt: skip
    target = folder / MODEL
    whole.save_pretrained(target)
    rate_hz = int(codec.config.sampling_rate)
    MusicgenProcessor(
        EncodecFeatureExtractor(feature_size=1, sampling_rate=rate_hz), tokenizer_of(table["pieces"])
    ).save_pretrained(target)
    (target / SOURCES).write_text(json.dumps(table["sources"], indent=1) + "\n", encoding="utf-8")
    (target / "README.md").write_text(_card(table, rate_hz), encoding="utf-8")
    return target


def _card(table: dict[str, Any], rate_hz: int) -> str:
    """The model card: its front matter, and what it was trained on."""
    config, sources = table["config"], table["sources"]
    words = len(table["pieces"])
    rows = "\n".join(f"| {each['name']} | {each['licence'] or 'not told'} | {each['pieces']:,} |" for each in sources)
    return f"""---
license: "{expression(each["licence"] for each in sources)}"
library_name: transformers
pipeline_tag: text-to-audio
---

A MusicGen trained by `sideman train musicgen`: {config.layers} layers of width {config.width},
{table["books"]} codebooks of {table["codes"]:,} codes, sound of {rate_hz:,} Hz,
a text encoder that knows {words:,} pieces. The licence asks for the terms of all sources.

| trained on | licence | clips |
|---|---|---|
{rows}
"""
