"""What a training of the groove model leaves: its networks with their best weights, or the whole as a DrumModel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.drums.groove import GrooveModel
from engines.errors import SidemanError
from engines.runtime import Graph
from offline.drums.groove.config import FEEL_FOLDER, STEP_FOLDER, GrooveConfig, read_hparams
from offline.hparams import HPARAMS
from offline.trainer import BEST, read_weights

if TYPE_CHECKING:
    from torch import nn

    from offline.drums.groove.network import HumaniserNetwork, StepNetwork


def step_network(config: GrooveConfig, styles: int) -> StepNetwork:
    """The step network of a config."""
    from offline.drums.groove.network import StepNetwork, StepShape

    return StepNetwork(StepShape(styles, config.width, config.layers, config.candidate, config.heads, config.dropout))


def humaniser_network(config: GrooveConfig, styles: int) -> HumaniserNetwork:
    """The humaniser of a config."""
    from offline.drums.groove.network import HumaniserNetwork, HumaniserShape

    return HumaniserNetwork(HumaniserShape(styles, config.feel_width, config.feel_layers, config.feel_dropout))


def load_checkpoint(folder: Path) -> tuple[StepNetwork, HumaniserNetwork, dict[str, Any]]:
    """Both networks of a run with their best weights, in evaluation mode, and what hparams.json says.

    Raises SidemanError for a folder that is no finished training.
    """
    table = read_hparams(folder)
    step = step_network(table["config"], len(table["styles"]))
    humaniser = humaniser_network(table["config"], len(table["styles"]))
    for network, name in ((step, STEP_FOLDER), (humaniser, FEEL_FOLDER)):
        path = folder / name / BEST
        if not path.is_file():
            raise SidemanError(f"{folder} has no {name}/{BEST}: the training is not done; go on with --resume")
        try:
            network.load_state_dict(read_weights(path))
        except RuntimeError as error:
            raise SidemanError(f"{path} does not fit {folder / HPARAMS}; train again") from error
        network.eval()
    return step, humaniser, table


def load_model(folder: Path) -> GrooveModel:
    """A run as a DrumModel, played by PyTorch. Raises SidemanError as load_checkpoint."""
    from offline.drums.groove.network import HumaniserModule

    step, humaniser, table = load_checkpoint(folder)
    return GrooveModel(as_graph(step), as_graph(HumaniserModule(humaniser).eval()), table)


def as_graph(module: nn.Module) -> Graph:
    """A module whose arguments have the names of the graph's inputs, as a Graph."""
    import torch

    def run(**inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        with torch.inference_mode():
            said = module(**{name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()})
        return tuple(each.numpy() for each in (said if isinstance(said, tuple) else (said,)))

    return run
