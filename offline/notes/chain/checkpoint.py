"""What a training of the chain model leaves: its network with the best weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import SidemanError
from offline.hparams import HPARAMS
from offline.notes.chain.config import read_hparams
from offline.trainer import BEST, read_weights

if TYPE_CHECKING:
    from offline.notes.chain.network import ChainNetwork


def load_checkpoint(folder: Path) -> tuple[ChainNetwork, dict[str, Any]]:
    """The network of a run with its best weights, in evaluation mode, and what hparams.json says.

    Raises SidemanError for a folder that is no finished training.
    """
    from offline.notes.chain.network import ChainNetwork

    table = read_hparams(folder)
    network = ChainNetwork(table["config"], len(table["genres"]))
    path = folder / BEST
    if not path.is_file():
        raise SidemanError(f"{folder} has no {BEST}: the training is not done; go on with --resume")
    try:
        network.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise SidemanError(f"{path} does not fit {folder / HPARAMS}; train again") from error
    return network.eval(), table
