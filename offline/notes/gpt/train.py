"""Training the flat GPT (`sideman train notes FOLDER --preset seed`).

The folder of a run: hparams.json, log.csv, last.pt to go on from (the seed's ckpt_latest) and best.pt, the averaged
weights with the best validation (its ckpt_best).
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import SidemanError
from offline.hparams import HPARAMS
from offline.notes.gpt.config import GptConfig, read_hparams, write_hparams
from offline.trainer import BEST, MAY_CHANGE, Task, Trainer, TrainerConfig, choose_device, read_weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from offline.notes.gpt.dataset import Windows
    from offline.notes.gpt.network import GptNetwork


def train(data: Path, config: GptConfig, folder: Path, device_name: str = "auto", resume: bool = False) -> None:
    """Train on the tokens of the train split of `data`, choosing by those of its validation split.

    Raises SidemanError for unusable data or a folder with another training, Interrupted after Ctrl-C.
    """
    import torch

    from offline.notes.gpt.data import read_tokens, sources_of
    from offline.notes.gpt.dataset import Windows

    device = choose_device(device_name)
    if not resume and (folder / HPARAMS).is_file():
        raise SidemanError(f"{folder} holds a training already: go on with --resume, or give another -o")
    learn = Windows(read_tokens(data, "train", config.nc), config.sequence)
    judge = Windows(read_tokens(data, "validation", True), config.sequence)
    words = learn.data.words
    if resume and (folder / HPARAMS).is_file():
        before = read_hparams(folder)
        same = {name: getattr(config, name) for name in MAY_CHANGE if hasattr(config, name)}
        if tuple(before["vocabulary"]) != words:
            raise SidemanError(f"{folder} was begun with another vocabulary than that of {data}: give another -o")
        if replace(before["config"], **same) != config:
            raise SidemanError(f"{folder} was begun with other settings: resume with the same, or give another -o")
    facts = {"vocabulary": list(words), "data": str(data), "sources": sources_of(data, config.nc)}
    write_hparams(folder, config, facts)
    torch.manual_seed(config.seed)
    network = network_of(config, len(words))
    parameters = sum(each.numel() for each in network.parameters())
    print(
        f"{len(learn.data.tokens):,} tokens of {len(learn.data)} pieces, validation {len(judge.data.tokens):,}; "
        f"{parameters:,} parameters; {device}; {folder}",
        file=sys.stderr,
    )
    trainer(network, (learn, judge), config, folder, device).run(resume)


def trainer(
    network: GptNetwork, data: tuple[Windows, Windows], config: GptConfig, folder: Path, device: torch.device
) -> Trainer:
    """The trainer: cross-entropy in nats a token; validation is the first window of pieces from all over the split.

    data: to learn from, and to judge by
    """
    from offline.notes.gpt.dataset import GptEpoch, pairs

    learn, judge = data
    held = judge.rows(judge.spread(config.judged))

    def validate(model: nn.Module) -> dict[str, float]:
        nats, count = 0.0, 0
        for first in range(0, len(held), config.batch):
            read, target = pairs(held[first : first + config.batch], judge.pad, device)
            tokens = int((target >= 0).sum())
            nats, count = nats + float(loss_of(model, (read, target))) * tokens, count + tokens
        loss = nats / max(1, count)
        return {"loss": loss, "perplexity": math.exp(min(loss, 50.0))}

    task = Task(
        network,
        lambda epoch: GptEpoch(learn, config, epoch, device),
        loss_of,
        validate,
    )
    loop = TrainerConfig(
        epochs=config.epochs, learning_rate=config.learning_rate, warmup=config.warmup, decay=config.decay,
        weight_decay=config.weight_decay, accumulate=config.accumulate, average=config.average,
        patience=config.patience, precision=config.precision, seed=config.seed,
    )  # fmt: skip
    return Trainer(task, loop, folder, device, "remi")


def loss_of(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean nats of the targets of a batch that are not IGNORED."""
    from torch.nn import functional

    from offline.notes.gpt.dataset import IGNORED

    read, target = batch
    return functional.cross_entropy(model(read).flatten(0, 1).float(), target.flatten(), ignore_index=IGNORED)


def network_of(config: GptConfig, vocabulary: int) -> GptNetwork:
    """The network of a config."""
    from offline.notes.gpt.network import GptNetwork, GptShape

    return GptNetwork(
        GptShape(vocabulary, config.width, config.layers, config.heads, config.key_heads, config.hidden,
                 config.dropout)
    )  # fmt: skip


def load_checkpoint(folder: Path) -> tuple[GptNetwork, dict[str, Any]]:
    """The network of a run with its best weights, in evaluation mode, and what hparams.json says.

    Raises SidemanError for a folder that is no finished training, or weights of another vocabulary.
    """
    table = read_hparams(folder)
    network = network_of(table["config"], len(table["vocabulary"]))
    path = folder / BEST
    if not path.is_file():
        raise SidemanError(f"{folder} has no {BEST}: no epoch is done yet; go on with --resume")
    weights = read_weights(path)
    embed = weights.get("embed.weight")
    if embed is not None and len(embed) != len(table["vocabulary"]):
        raise SidemanError(
            f"{path} is of a vocabulary of {len(embed)} tokens, {folder / HPARAMS} of one of "
            f"{len(table['vocabulary'])}: they are not of one training"
        )
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise SidemanError(f"{path} does not fit {folder / HPARAMS}; train again") from error
    network.eval()
    return network, table
