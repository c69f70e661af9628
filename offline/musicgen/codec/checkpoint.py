"""What a training of the codec leaves: its best weights, and a folder that EncodecModel.from_pretrained reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import SidemanError
from offline.hparams import HPARAMS
from offline.musicgen.codec.config import read_hparams
from offline.trainer import BEST, read_weights

if TYPE_CHECKING:
    from offline.musicgen.codec.network import CodecNetwork

MODEL = "model"
"""Of a run: the folder in Hugging Face's layout."""


def load_checkpoint(folder: Path) -> CodecNetwork:
    """The network of a run with its best weights, in evaluation mode. Raises SidemanError if there are none yet."""
    from offline.musicgen.codec.network import CodecNetwork

    config = read_hparams(folder)["config"]
    path = folder / BEST
    if not path.is_file():
        raise SidemanError(f"{folder} has no {BEST}: its codebooks are not begun yet; go on with --resume")
    network = CodecNetwork(config)
    try:
        network.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise SidemanError(f"{path} does not fit {folder / HPARAMS}; train again") from error
    return network.eval()


def publish(folder: Path) -> Path:
    """Write the best weights of a run as folder/model, in Hugging Face's layout; that folder."""
    network = load_checkpoint(folder)
    network.model.save_pretrained(folder / MODEL)
    return folder / MODEL


def load_codec(folder: Path) -> Any:
    """An EncodecModel in evaluation mode from a run or from a folder in Hugging Face's layout.

    Raises SidemanError for a folder that is neither.
    """
    from transformers import EncodecModel

    if (folder / HPARAMS).is_file():
        return load_checkpoint(folder).model
    if not (folder / "config.json").is_file():
        raise SidemanError(f"{folder} is no codec: it holds neither {HPARAMS} of a training nor a config.json")
    try:
        return EncodecModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise SidemanError(f"{folder} is no codec that transformers can load: {error}") from error
