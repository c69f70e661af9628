"""Models: any MusicGen that transformers reads, from a folder or the hub, and what of it steering needs to know."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import SidemanError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Model:
    """A model ready to read. network: a MusicgenForConditionalGeneration in float32, evaluating.

    name:     as it was asked for; hash: SHA-256 of its decoder's tensors
    layers, width: of the decoder; codebooks, rate_hz, frame_rate_hz: of the codes and the sound
    padding:  the token where no code is, and the first one
    """

    network: Any
    name: str
    hash: str
    layers: int
    width: int
    codebooks: int
    channels: int
    rate_hz: int
    frame_rate_hz: float
    padding: int

    @property
    def device(self) -> torch.device:
        """Where it is."""
        found: torch.device = self.network.device
        return found

    def decoder_layers(self) -> Any:
        """The modules after each of which the residual stream is read and steered."""
        return self.network.decoder.model.decoder.layers


def load_model(name: str, device: torch.device | None = None) -> Model:
    """A model by the path of its folder, or by its hub id. Raises SidemanError if there is none that can be read."""
    import torch
    from transformers import MusicgenForConditionalGeneration

    network = _pretrained(name, MusicgenForConditionalGeneration, dtype=torch.float32)
    network = network.eval().requires_grad_(False).to(device or torch.device("cpu"))
    decoder, audio = network.config.decoder, network.config.audio_encoder
    return Model(
        network, name, hash_of(network), decoder.num_hidden_layers, decoder.hidden_size, decoder.num_codebooks,
        decoder.audio_channels, audio.sampling_rate, audio.sampling_rate / audio.hop_length, decoder.pad_token_id,
    )  # fmt: skip


def load_tokenizer(name: str) -> Any:
    """The tokenizer of the model's text encoder. Raises SidemanError if there is none."""
    from transformers import AutoTokenizer

    return _pretrained(name, AutoTokenizer)


def hash_of(network: Any) -> str:
    """SHA-256 over the decoder's tensors in order of name: name, shape and float32 values of each."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(network.decoder.state_dict().items()):
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        digest.update(memoryview(tensor.detach().to("cpu", torch.float32).contiguous().numpy()).cast("B"))
    return digest.hexdigest()


def _pretrained(name: str, kind: Any, **options: Any) -> Any:
    """kind.from_pretrained, quiet, and with one line for what can go wrong."""
    from transformers import AutoConfig
    from transformers.utils import logging

    folder = Path(name).expanduser()
    local = folder.exists()
    if not local and (name.startswith((".", "/", "~")) or name.count("/") != 1):
        raise SidemanError(f"there is no folder {name}, and a hub id is written OWNER/NAME")
    if local and not (folder / "config.json").is_file():
        raise SidemanError(f"{name} has no config.json; give the folder that from_pretrained would read")
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    where, alone = (str(folder) if local else name), local or not _hub_answers()
    try:
        config = AutoConfig.from_pretrained(where, local_files_only=alone)
        if config.model_type != "musicgen":
            raise SidemanError(f"{name} is a {config.model_type}; only models of the type musicgen are read")
        return kind.from_pretrained(where, local_files_only=alone, **options)
    except (OSError, ValueError, RuntimeError) as error:  # what transformers raises for all that is not there
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if local:
            raise SidemanError(f"{name} cannot be read: {first:.200}") from error
        raise SidemanError(
            f"{name} is no folder here and cannot be fetched from the hub; where there is a network, "
            f"`hf download {name} --local-dir FOLDER` makes a folder that can be given instead"
        ) from error


def _hub_answers() -> bool:
    """Whether the hub's name is known here: its own library asks six times, for half a minute, before it gives up."""
    import socket
    from urllib.parse import urlsplit

    from huggingface_hub import constants

    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True
