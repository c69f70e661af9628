"""`sideman train musicgen DATA --codec CODEC`: a MusicGen's decoder and text encoder, on folders from prepare musicgen.

As Copet et al. (Simple and Controllable Music Generation, 2023): the codes of a frozen codec, the delay pattern, the
cross-entropy of every codebook alike, and a text that is left out at times, for guidance.

The folder of a run: hparams.json, log.csv, last.pt to go on from, best.pt, codec (a copy), and model, a folder that
MusicgenForConditionalGeneration.from_pretrained reads.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import SidemanError
from offline.hparams import HPARAMS
from offline.licences import SYNTHESISED
from offline.musicgen.decoder.checkpoint import CODEC, publish
from offline.musicgen.decoder.config import PRESETS, DecoderConfig, read_hparams, write_hparams
from offline.musicgen.decoder.data import Cuts, Example, Form, examples_of
from offline.musicgen.decoder.text import Piece, pieces_of, tokenizer_of
from offline.train_command import add_options, config_of, folder_of, interrupted
from offline.trainer import BEST, MAY_CHANGE, Interrupted, Task, Trainer, TrainerConfig, choose_device

if TYPE_CHECKING:
    from torch import Tensor, nn

    from offline.musicgen.decoder.data import Batch

DEFAULT = "small"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman train musicgen`."""
    parser.add_argument("dataset", type=Path, nargs="+", metavar="DATA", help="folders from prepare musicgen")
    parser.add_argument(
        "--codec",
        type=Path,
        required=True,
        metavar="CODEC",
        help="a run of train codec, or a folder for from_pretrained",
    )
    parser.add_argument("--preset", default=DEFAULT, metavar="NAME", help=f"{', '.join(PRESETS)} [{DEFAULT}]")
    add_options(parser, "musicgen")


def run(args: argparse.Namespace) -> int:
    """Train; 130 after Ctrl-C. Raises SidemanError for a mistake."""
    folder = folder_of(args, "musicgen")
    config = config_of(args, PRESETS, args.preset)
    data = " ".join(map(str, args.dataset))
    try:
        train(args.dataset, args.codec, config, folder, args.device, args.resume)
    except Interrupted:
        if (folder / BEST).is_file():
            publish(folder)
        return interrupted(args, folder, "musicgen", data, "--codec", args.codec)
    print(f"{folder / 'model'}: trained; judge it with: sideman evaluate musicgen {folder} --data {data}")
    return 0


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What is learned from and judged by, and how its codes and words are written."""

    learn: list[Example]
    judge: list[Example]
    pieces: tuple[Piece, ...]
    form: Form


def train(  # noqa: PLR0917  # as the command has them
    data: Sequence[Path], codec: Path, config: DecoderConfig, folder: Path, device_name: str = "auto",
    resume: bool = False,
) -> None:  # fmt: skip
    """Train, and write folder/model.

    Raises SidemanError for unusable data or a folder with another training, Interrupted after Ctrl-C.
    """
    device = choose_device(device_name)
    if not resume and (folder / HPARAMS).is_file():
        raise SidemanError(f"{folder} holds a training already: go on with --resume, or give another -o")
    material, digest, network_codec = _material(data, codec, config, device)
    facts = {
        "data": [str(each) for each in data], "codec": digest, "clips": len(material.learn),
        "books": material.form.books, "codes": material.form.codes,
        "pieces": [list(piece) for piece in material.pieces], "sources": sources_of(material.learn),
    }  # fmt: skip
    if resume and (folder / HPARAMS).is_file():
        _same(folder, config, facts)
    write_hparams(folder, config, facts)
    network_codec.save_pretrained(folder / CODEC)
    hours = sum(example.clip.seconds for example in material.learn) / 3600
    print(
        f"{hours:.1f} h in {len(material.learn):,} clips, validation {len(material.judge):,}, {len(material.pieces):,} "
        f"words; {device}; {folder}", file=sys.stderr,
    )  # fmt: skip
    trainer(material, config, folder, device).run(resume)
    if (folder / BEST).is_file():
        publish(folder)


def _material(data: Sequence[Path], codec: Path, config: DecoderConfig, device: Any) -> tuple[Material, str, Any]:
    """Clips and their codes; the hash of the codec, and the codec."""
    from offline.musicgen.codec.checkpoint import load_codec
    from offline.musicgen.decoder.codes import check_codec, codec_hash
    from offline.musicgen.index import SOURCES

    loaded = load_codec(codec).to(device)
    check_codec(loaded, str(codec))
    digest = codec_hash(loaded)
    learn = examples_of(data, "train", loaded, digest)
    kinds = len(SOURCES)
    judge = examples_of(data, "validation", loaded, digest, -(-config.judged // (kinds * len(data))))
    pieces = pieces_of(example.clip.prompt for example in learn)
    rate = loaded.config.sampling_rate / loaded.config.hop_length
    form = Form(int(loaded.config.num_quantizers), int(loaded.config.codebook_size), float(rate), device)
    return Material(learn, judge, pieces, form), digest, loaded.cpu()


def _same(folder: Path, config: DecoderConfig, facts: dict[str, Any]) -> None:
    """Raise SidemanError where a training that goes on would be another one."""
    before = read_hparams(folder)
    kept = {name: getattr(config, name) for name in MAY_CHANGE}
    if before["codec"] != facts["codec"]:
        raise SidemanError(f"{folder} was begun with another codec: its own is in {folder / CODEC}")
    if replace(before["config"], **kept) != config or any(before[key] != facts[key] for key in ("clips", "pieces")):
        raise SidemanError(f"{folder} was begun with other settings or data: resume with the same, or give another -o")


def sources_of(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Collections, their licences and numbers of clips, for a manifest.

    A song's group begins with its collection's name; what has none goes by its kind.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for example in examples:
        clip = example.clip
        collection, colon, _ = clip.group.partition(":")
        name = f"{collection} ({clip.source})" if colon else clip.source
        counts[name, clip.licence or (SYNTHESISED if clip.source == "concepts" else "")] += 1
    return [{"name": name, "licence": licence, "pieces": count} for (name, licence), count in sorted(counts.items())]


def trainer(material: Material, config: DecoderConfig, folder: Path, device: Any) -> Trainer:
    """The trainer of a decoder."""
    import torch

    from offline.musicgen.decoder.judge import costs, nats, others_texts
    from offline.musicgen.decoder.network import DecoderNetwork

    form, tokenizer = material.form, tokenizer_of(material.pieces)
    torch.manual_seed(config.seed)
    network = DecoderNetwork(config, len(material.pieces), form.books, form.codes).to(device)
    cuts = Cuts(material.learn, tokenizer, config, form)
    frames = form.frames(config.cut_ms)
    own = [example.clip.prompt for example in material.judge]
    others = others_texts(material.judge)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        found: Tensor = nats(model, batch).sum() / (batch.targets >= 0).sum()
        return found

    def validate(model: nn.Module) -> dict[str, float]:
        told, untold = (
            costs(model, tokenizer, form, material.judge, texts, frames, config.batch) for texts in (own, others)
        )
        books = {f"book{book}": float(cost) for book, cost in enumerate(told.mean(0))}
        return {"loss": float(told.mean()), **books, "text": float((untold - told).mean())}

    task = Task(network, cuts.epoch, loss, validate)
    loop = TrainerConfig(
        epochs=config.epochs, learning_rate=config.learning_rate, warmup=config.warmup, decay=config.decay,
        weight_decay=config.weight_decay, average=config.average, patience=config.patience,
        precision=config.precision, minutes=float(config.minutes), seed=config.seed, beta=0.95,
    )  # fmt: skip
    return Trainer(task, loop, folder, device, "musicgen")
