"""`sideman train notes DATASET --preset small|base|seed`: the chain model's presets, and the seed's flat GPT."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from engines.errors import SidemanError
from offline.knobs import changed
from offline.notes.chain.config import PRESETS as CHAIN
from offline.notes.chain.config import ChainConfig
from offline.notes.gpt.config import PRESETS as GPT
from offline.notes.gpt.config import GptConfig

DEFAULT = "small"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman train notes`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a folder from prepare notes")
    parser.add_argument(
        "--preset", default=DEFAULT, metavar="NAME",
        help=f"{', '.join(CHAIN)}, or {', '.join(GPT)}: the flat GPT on REMI tokens [{DEFAULT}]",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, metavar="RUN", help="folder of the run [runs/notes/TIME]")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps [auto]")
    parser.add_argument("--seed", type=int, help="of weights, order and augmentation")
    parser.add_argument("--resume", action="store_true", help="go on with the training in the folder of -o")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a knob; may be repeated"
    )


def run(args: argparse.Namespace) -> int:
    """Train; 130 after Ctrl-C. Raises SidemanError for a mistake."""
    from offline.trainer import Interrupted

    if args.resume and args.output is None:
        raise SidemanError("--resume needs -o, the folder of the training to go on with")
    folder = args.output or Path("runs") / "notes" / time.strftime("%Y%m%d_%H%M%S")
    config = _config(args)
    try:
        if isinstance(config, GptConfig):
            from offline.notes.gpt.train import train as train_gpt

            train_gpt(args.dataset, config, folder, args.device, args.resume)
        else:
            from offline.notes.chain.train import train as train_chain

            train_chain(args.dataset, config, folder, args.device, args.resume)
    except Interrupted:
        again = " ".join(["sideman train notes", *_words(args), "--resume -o", str(folder)])
        print(f"\ninterrupted, and saved; go on with: {again}", file=sys.stderr)
        return 130
    print(f"{folder}: trained; make a bundle of it with: sideman export notes {folder} -o BUNDLE")
    return 0


def _config(args: argparse.Namespace) -> ChainConfig | GptConfig:
    presets: dict[str, ChainConfig | GptConfig] = {**CHAIN, **GPT}
    if args.preset not in presets:
        raise SidemanError(f"there is no preset {args.preset}: {', '.join(presets)}")
    seed = [] if args.seed is None else [f"seed={args.seed}"]
    return changed(presets[args.preset], [*args.set, *seed])


def _words(args: argparse.Namespace) -> list[str]:
    words = [str(args.dataset), "--preset", args.preset]
    words += [] if args.seed is None else ["--seed", str(args.seed)]
    for setting in args.set:
        words += ["--set", setting]
    return words
