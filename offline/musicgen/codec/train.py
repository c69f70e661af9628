"""`sideman train codec DATASET`: an EnCodec of our own, on a folder from prepare musicgen.

The folder of a run: hparams.json, log.csv, last.pt to go on from, best.pt, and model, a folder that
EncodecModel.from_pretrained reads.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import SidemanError
from offline.hparams import HPARAMS
from offline.musicgen.codec.checkpoint import publish
from offline.musicgen.codec.config import PRESETS, CodecConfig, read_hparams, write_hparams
from offline.train_command import add_options, config_of, folder_of, interrupted
from offline.trainer import BEST, MAY_CHANGE, Interrupted, Task, Trainer, TrainerConfig, choose_device

if TYPE_CHECKING:
    from torch import Tensor, nn

    from offline.musicgen.index import Clip

DEFAULT = "small"
NOT_BEGUN = math.inf
"""The loss that validation tells while there are no codes: nothing to keep."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman train codec`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a folder from prepare musicgen")
    parser.add_argument("--preset", default=DEFAULT, metavar="NAME", help=f"{', '.join(PRESETS)} [{DEFAULT}]")
    add_options(parser, "codec")


def run(args: argparse.Namespace) -> int:
    """Train; 130 after Ctrl-C. Raises SidemanError for a mistake."""
    folder = folder_of(args, "codec")
    config = config_of(args, PRESETS, args.preset)
    try:
        train(args.dataset, config, folder, args.device, args.resume)
    except Interrupted:
        if (folder / BEST).is_file():
            publish(folder)
        return interrupted(args, folder, "codec", args.dataset)
    print(f"{folder / 'model'}: trained; judge it with: sideman evaluate codec {args.dataset} --codec {folder}")
    return 0


def train(data: Path, config: CodecConfig, folder: Path, device_name: str = "auto", resume: bool = False) -> None:
    """Train, and write folder/model.

    Raises SidemanError for unusable data or a folder with another training, Interrupted after Ctrl-C.
    """
    from offline.musicgen.codec.data import clips_of

    device = choose_device(device_name)
    if not resume and (folder / HPARAMS).is_file():
        raise SidemanError(f"{folder} holds a training already: go on with --resume, or give another -o")
    learn, judge = (clips_of(data, split, config.rate_hz) for split in ("train", "validation"))
    if resume and (folder / HPARAMS).is_file():
        before = read_hparams(folder)
        same = {name: getattr(config, name) for name in MAY_CHANGE}
        if replace(before["config"], **same) != config or before["clips"] != len(learn):
            raise SidemanError(
                f"{folder} was begun with other settings or data: resume with the same, or give another -o"
            )
    write_hparams(folder, config, {"data": str(data), "clips": len(learn), "sources": sources_of(learn)})
    hours = sum(clip.seconds for clip in learn) / 3600
    print(f"{hours:.1f} h in {len(learn):,} clips, validation {len(judge):,}; {device}; {folder}", file=sys.stderr)
    trainer(data, (learn, judge), config, folder, device).run(resume)
    if (folder / BEST).is_file():
        publish(folder)


def sources_of(clips: list[Clip]) -> list[dict[str, Any]]:
    """Kinds of source, licences and numbers of the clips, for a manifest."""
    counts = sorted(Counter((clip.source, clip.licence) for clip in clips).items())
    return [{"name": name, "licence": licence, "clips": count} for (name, licence), count in counts]


def trainer(
    data: Path, clips: tuple[list[Clip], list[Clip]], config: CodecConfig, folder: Path, device: Any
) -> Trainer:
    """The trainer of a codec, on clips to learn from and to judge by: by the training's loss, with codes."""
    import torch

    from offline.musicgen.codec.beginning import begin_weights
    from offline.musicgen.codec.data import Cuts, fixed_cuts
    from offline.musicgen.codec.losses import MelLoss, si_sdr_db, time_loss
    from offline.musicgen.codec.network import CodecNetwork

    learn, judge = clips
    torch.manual_seed(config.seed)
    network = CodecNetwork(config).to(device)
    begin_weights(network.model, Cuts(data, learn, config, 0, device).batch(0))
    mel = MelLoss(config.rate_hz, device)
    held = torch.from_numpy(fixed_cuts(data, judge, config.judged, config.cut_frames)[0])[:, None].to(device)

    def total(made: Tensor, real: Tensor, distance: Tensor) -> Tensor:
        with torch.autocast(device.type, enabled=False):
            ours, theirs = made[:, 0].float(), real[:, 0].float()
            return (
                config.time_weight * time_loss(ours, theirs)
                + config.mel_weight * mel(ours, theirs)
                + config.commit_weight * distance.float()
            )

    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        made, distance, codes = model(batch)
        if codes is None:  # the logarithms of near silence would drown the waveform, which is to be found first
            with torch.autocast(device.type, enabled=False):
                return time_loss(made[:, 0].float(), batch[:, 0])
        return total(made, batch, distance)

    def validate(model: nn.Module) -> dict[str, float]:
        for mean, now in zip(model.buffers(), network.buffers(), strict=True):
            mean.copy_(now)  # the trainer averages weights alone; codebooks are averages themselves
        if not network.begun:
            return {"loss": NOT_BEGUN, "mel": 0.0, "time": 0.0, "si_sdr_db": 0.0, "used": 0.0}
        rows, used = [], torch.zeros(config.codebooks, config.codes, device=device)
        for batch in torch.split(held, config.batch):
            made, distance, codes = model(batch)
            ours, theirs = made[:, 0].float(), batch[:, 0]
            rows.append(torch.stack([
                total(made, batch, distance), mel(ours, theirs), time_loss(ours, theirs),
                si_sdr_db(ours, theirs).mean(),
            ]))  # fmt: skip
            for book in range(config.codebooks):
                used[book] += torch.bincount(codes[book].flatten(), minlength=config.codes)
        found = dict(zip(("loss", "mel", "time", "si_sdr_db"), torch.stack(rows).mean(0).tolist(), strict=True))
        share = used / used.sum(1, keepdim=True)
        bits = -(share * torch.log2(share.clamp_min(1e-12))).sum(1)
        return {**found, "used": float((2.0**bits).mean()) / config.codes}

    task = Task(network, lambda epoch: Cuts(data, learn, config, epoch, device), loss, validate)
    loop = TrainerConfig(
        epochs=config.epochs, learning_rate=config.learning_rate, warmup=config.warmup, decay=config.decay,
        weight_decay=config.weight_decay, average=config.average, patience=config.patience,
        precision=config.precision, minutes=float(config.minutes), seed=config.seed,
    )  # fmt: skip
    return Trainer(task, loop, folder, device, "codec")
