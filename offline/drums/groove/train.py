"""Training the groove model (`sideman train drums DATASET --model groove`).

The folder of a run: hparams.json, and for each of the two networks a folder (step, humaniser) with log.csv, last.pt to
go on from and best.pt, the averaged weights with the best validation.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.drums.features import FEATURE_VERSION
from engines.errors import SidemanError
from engines.music import STEP_TICKS
from offline.drums.dataset import DrumDataset
from offline.drums.groove.checkpoint import humaniser_network, step_network
from offline.drums.groove.config import FEEL_FOLDER, STEP_FOLDER, GrooveConfig, read_hparams, write_hparams
from offline.hparams import HPARAMS
from offline.trainer import MAY_CHANGE, Task, Trainer, TrainerConfig, choose_device

if TYPE_CHECKING:
    from torch import Tensor, nn

    from offline.drums.groove.data import Corpus, FeelBatch, StepBatch

GROOVE = "Groove MIDI Dataset"


def train(data: Path, config: GrooveConfig, folder: Path, device_name: str = "auto", resume: bool = False) -> None:
    """Train both networks on data/train.npz, choosing by data/validation.npz.

    Raises SidemanError for unusable data or a folder with another training, Interrupted after Ctrl-C.
    """
    from offline.drums.groove.data import Corpus, density_quantiles, playable

    device = choose_device(device_name)
    if not resume and (folder / HPARAMS).is_file():
        raise SidemanError(f"{folder} holds a training already: go on with --resume, or give another -o")
    whole = DrumDataset.load(data / "train.npz")
    chosen = whole.select(~whole.piece_nc & playable(whole))
    styles = tuple(sorted({str(style) for style in chosen.piece_style} - {""}))
    facts = {
        "feature_version": FEATURE_VERSION,
        "styles": list(styles),
        "density_quantiles": [round(float(q), 6) for q in density_quantiles(chosen)],
        "data": str(data),
        "sources": sources_of(chosen),
    }
    if resume and (folder / HPARAMS).is_file():
        before = read_hparams(folder)
        same = {name: getattr(config, name) for name in MAY_CHANGE if hasattr(config, name)}
        if replace(before["config"], **same) != config or before["styles"] != facts["styles"]:
            raise SidemanError(
                f"{folder} was begun with other settings or data: resume with the same, or give another -o"
            )
    write_hparams(folder, config, facts)
    quantiles = np.array(facts["density_quantiles"])
    learn = Corpus.of(chosen, styles, quantiles)
    judge = Corpus.of(DrumDataset.load(data / "validation.npz"), styles, quantiles)
    print(
        f"{len(learn):,} steps of {len(chosen)} pieces, validation {len(judge):,}; {device}; {folder}", file=sys.stderr
    )
    step_trainer(learn, judge, config, folder / STEP_FOLDER, device).run(resume)
    if config.feel_epochs:
        feel_trainer(learn, judge, config, folder / FEEL_FOLDER, device).run(resume)


def sources_of(dataset: DrumDataset) -> list[dict[str, Any]]:
    """Sources, licences and pieces of a data set, for a manifest."""
    names = zip(dataset.piece_source.tolist(), dataset.piece_licence.tolist(), strict=True)
    counts = sorted(Counter(names).items())
    return [{"name": name, "licence": licence, "pieces": pieces} for (name, licence), pieces in counts]


def step_trainer(learn: Corpus, judge: Corpus, config: GrooveConfig, folder: Path, device: Any) -> Trainer:
    """The trainer of the step network; its validation loss is the mean of Groove's and the others' bits a bar."""
    import torch

    from offline.drums.groove.data import Augmentation, StepEpoch, StepScore

    torch.manual_seed(config.seed)
    network = step_network(config, len(learn.styles))
    told = Augmentation(**{field.name: getattr(config, field.name) for field in fields(Augmentation)})
    score = StepScore(judge, device)
    groove, rest = parts_of(judge)

    def loss(model: nn.Module, batch: StepBatch) -> Tensor:
        return -_log_probability(model, batch).mean()

    def validate(model: nn.Module) -> dict[str, float]:
        bits = torch.cat([-_log_probability(model, batch).cpu() for batch in score.batches()]).numpy() / math.log(2)
        found = {
            name: float(bits[part].mean()) * 16 for name, part in (("groove", groove), ("rest", rest)) if part.any()
        }
        return {"loss": sum(found.values()) / max(1, len(found)) if found else float(bits.mean()) * 16, **found}

    task = Task(
        network,
        lambda epoch: StepEpoch(learn, told, config.batch, (config.seed, epoch), device),
        loss,
        validate,
    )
    return Trainer(task, trainer_config(config, config.epochs), folder, device, "step")


def _log_probability(model: nn.Module, batch: StepBatch) -> Tensor:
    result: Tensor = model.log_probability(batch.past, batch.copies, batch.agreement, batch.context, batch.mask)  # type: ignore[operator]
    return result


def feel_trainer(learn: Corpus, judge: Corpus, config: GrooveConfig, folder: Path, device: Any) -> Trainer:
    """The trainer of the humaniser; validation hears the real past in half of the steps, as training does in more."""
    import torch
    from torch.nn import functional

    from offline.drums.groove.data import FeelAugmentation, FeelData, FeelEpoch

    torch.manual_seed(config.seed + 1)
    network = humaniser_network(config, len(learn.styles))
    sources = tuple(config.feel_sources.split(","))
    data, held = FeelData(learn, sources, device), FeelData(judge, sources, device)

    told = FeelAugmentation(
        config.feel_hide_past, config.feel_lose_lag, config.feel_louder, config.feel_later * STEP_TICKS
    )

    def losses(model: nn.Module, batch: FeelBatch) -> Tensor:
        logits = model(batch.around, batch.heard, batch.means, batch.context)
        nats = functional.cross_entropy(logits.flatten(0, 2), batch.bins.flatten(), reduction="none")
        return nats.reshape(batch.bins.shape).sum(dim=1)[batch.on]

    def validate(model: nn.Module) -> dict[str, float]:
        found = {}
        for name, knows in (("continuing", True), ("hits_only", False)):
            parts = []
            for first in range(0, len(held.rows), 4096):
                rows = held.rows[first : first + 4096]
                told = torch.ones(3, len(rows), dtype=torch.bool)
                parts.append(losses(model, held.batch(rows, True, told, np.full(len(rows), knows))).cpu())
            found[name] = float(torch.cat(parts).mean())
        return {"loss": (found["continuing"] + found["hits_only"]) / 2, **found}

    task = Task(
        network,
        lambda epoch: FeelEpoch(data, told, config.feel_batch, (config.seed, epoch)),
        lambda model, batch: losses(model, batch).mean(),
        validate,
    )
    loop = replace(
        trainer_config(config, config.feel_epochs),
        learning_rate=config.feel_learning_rate,
        weight_decay=config.feel_weight_decay,
    )
    return Trainer(task, loop, folder, device, "humaniser")


def trainer_config(config: GrooveConfig, epochs: int) -> TrainerConfig:
    """The loop's share of the config."""
    return TrainerConfig(
        epochs=epochs, learning_rate=config.learning_rate, decay=config.decay, weight_decay=config.weight_decay,
        average=config.average, patience=config.patience, precision=config.precision, seed=config.seed,
    )  # fmt: skip


def parts_of(corpus: Corpus) -> tuple[Any, Any]:
    """Steps of 4/4 pieces of Groove, and of the rest: bool [S] each."""
    dataset = corpus.dataset
    common = (dataset.piece_meter == (4, 4)).all(axis=1)
    groove = np.array([str(name).startswith(GROOVE) for name in dataset.piece_source], bool)
    lengths = np.diff(dataset.piece_start)
    return np.repeat(common & groove, lengths), np.repeat(common & ~groove, lengths)
