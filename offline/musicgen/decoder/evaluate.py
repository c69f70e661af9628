"""`sideman evaluate musicgen RUN --data DATA`: what held-out codes cost a decoder, in bits, beside baselines.

For each kind of source and codebook, on the same cuts: told the clip's own text, another clip's of the same source, or
none; and by how often each code is (unigram), and which follows which in its book (bigram), learned from the train
split of the same data. What another clip's text costs more is how much the model goes by its prompt.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from offline.csvfile import Cell, write_csv
from offline.data.labels import SPLITS

RESULTS = "musicgen.csv"
OWN, OTHER, NONE = "own text", "another clip's text", "no text"
TOGETHER = 8
"""Clips judged at once."""

_MAX_CLIPS = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman evaluate musicgen`."""
    parser.add_argument("folder", type=Path, metavar="RUN", help="a run of train musicgen")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DATA", help="folders from prepare musicgen"
    )
    parser.add_argument("--split", default="validation", metavar="SPLIT", help="which clips: validation or test")
    parser.add_argument("--clips", type=int, default=240, metavar="N", help="at most, of each source [240]")
    parser.add_argument("--seconds", type=float, metavar="S", help="of each clip, from its beginning [the training's]")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps [auto]")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help=f"where {RESULTS} goes [not written]")


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns 0. Raises SidemanError for a mistake."""
    from offline.trainer import choose_device

    if args.split not in SPLITS:
        raise SidemanError(f"--split {args.split}: there are {', '.join(SPLITS)}")
    if not 1 <= args.clips <= _MAX_CLIPS or not 0.2 <= (args.seconds or 1.0) <= 30.0:
        raise SidemanError(f"--clips goes from 1 to {_MAX_CLIPS:,}, --seconds from 0.2 to 30")
    device = choose_device(args.device)
    rows = figures(args.folder, args.data, args.split, args.clips, args.seconds, device)
    from offline.musicgen.codec.evaluate import table

    print(table(rows))
    bits = {str(row["way"]): float(row["bits"] or 0.0) for row in rows if row["source"] == "all"}
    print(
        f"bits a code, of {math.log2(_codes(args.folder)):g}; its text is worth {bits[NONE] - bits[OWN]:.3f} against "
        f"none, {bits[OTHER] - bits[OWN]:.3f} against another clip's of the same source"
    )
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        write_csv(args.output / RESULTS, rows)
    return 0


def figures(  # noqa: PLR0917  # as the command has them
    folder: Path, data: Sequence[Path], split: str, most: int, seconds: float | None, device: Any
) -> list[dict[str, Cell]]:
    """A row for each way of guessing, over all sources and for each: clips, codes, bits a code, those of each book.

    error: the standard error of the bits, over clips. Raises SidemanError for a run without weights, or unusable data.
    """
    from offline.musicgen.codec.checkpoint import load_codec
    from offline.musicgen.decoder.baselines import bigram, unigram
    from offline.musicgen.decoder.checkpoint import CODEC, load_checkpoint
    from offline.musicgen.decoder.codes import codec_hash
    from offline.musicgen.decoder.config import read_hparams
    from offline.musicgen.decoder.data import Form, examples_of
    from offline.musicgen.decoder.judge import costs, others_texts
    from offline.musicgen.decoder.text import tokenizer_of

    hparams = read_hparams(folder)
    network = load_checkpoint(folder).to(device)
    codec = load_codec(folder / CODEC).to(device)
    digest = codec_hash(codec)
    judged = examples_of(data, split, codec, digest, most)
    learned = [example.codes for example in examples_of(data, "train", codec, digest)]
    form = Form(hparams["books"], hparams["codes"], float(codec.config.sampling_rate / codec.config.hop_length), device)
    frames = form.frames(hparams["config"].cut_ms if seconds is None else round(1000 * seconds))
    tokenizer = tokenizer_of(hparams["pieces"])
    own = [example.clip.prompt for example in judged]
    cuts = [example.codes[:, :frames] for example in judged]
    ways: dict[str, NDArray[np.float64]] = {}
    for way, texts in ((OWN, own), (OTHER, others_texts(judged)), (NONE, [""] * len(own))):
        ways[way] = costs(network, tokenizer, form, judged, texts, frames, TOGETHER) / math.log(2.0)
    ways["bigram"] = bigram(learned, cuts, form.codes)
    ways["unigram"] = unigram(learned, cuts, form.codes)
    kinds = np.array([example.clip.source for example in judged])
    counts = np.array([cut.size for cut in cuts])
    rows: list[dict[str, Cell]] = []
    for way, bits in ways.items():
        for kind in ("all", *sorted(set(kinds))):
            chosen = np.ones(len(kinds), bool) if kind == "all" else kinds == kind
            of_clip = bits[chosen].mean(1)
            row: dict[str, Cell] = {"way": way, "source": str(kind), "clips": int(chosen.sum())}
            row |= {"codes": int(counts[chosen].sum()), "bits": float(of_clip.mean())}
            row["error"] = float(of_clip.std(ddof=1) / math.sqrt(len(of_clip))) if len(of_clip) > 1 else None
            rows.append(row | {f"book{book}": float(value) for book, value in enumerate(bits[chosen].mean(0))})
    return rows


def _codes(folder: Path) -> int:
    from offline.musicgen.decoder.config import read_hparams

    return int(read_hparams(folder)["codes"])
