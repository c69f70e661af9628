"""`sideman train notes DATASET --preset small|base|seed`: the chain model's presets, and the seed's flat GPT."""

from __future__ import annotations

import argparse
from pathlib import Path

from offline.notes.chain.config import PRESETS as CHAIN
from offline.notes.chain.config import ChainConfig
from offline.notes.gpt.config import PRESETS as GPT
from offline.notes.gpt.config import GptConfig
from offline.train_command import add_options, config_of, folder_of, interrupted

DEFAULT = "small"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman train notes`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a folder from prepare notes")
    parser.add_argument(
        "--preset", default=DEFAULT, metavar="NAME",
        help=f"{', '.join(CHAIN)}, or {', '.join(GPT)}: the flat GPT on REMI tokens [{DEFAULT}]",
    )  # fmt: skip
    add_options(parser, "notes")


def run(args: argparse.Namespace) -> int:
    """Train; 130 after Ctrl-C. Raises SidemanError for a mistake."""
    from offline.trainer import Interrupted

    presets: dict[str, ChainConfig | GptConfig] = {**CHAIN, **GPT}
    folder, config = folder_of(args, "notes"), config_of(args, presets, args.preset)
    try:
        if isinstance(config, GptConfig):
            from offline.notes.gpt.train import train as train_gpt

            train_gpt(args.dataset, config, folder, args.device, args.resume)
        else:
            from offline.notes.chain.train import train as train_chain

            train_chain(args.dataset, config, folder, args.device, args.resume)
    except Interrupted:
        return interrupted(args, folder, "notes", args.dataset)
    print(f"{folder}: trained; make a bundle of it with: sideman export notes {folder} -o BUNDLE")
    return 0
