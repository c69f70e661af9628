"""`sideman train drums DATASET --model groove|lstm`: the options of both, and the choice between them."""

from __future__ import annotations

import argparse
from pathlib import Path

from offline.drums.groove.config import PRESETS
from offline.train_command import add_options, config_of, folder_of, interrupted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman train drums`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a folder from prepare drums")
    parser.add_argument("--model", choices=("groove", "lstm"), default="groove", help="[groove]")
    parser.add_argument("--preset", metavar="NAME", help=f"groove: {', '.join(PRESETS)} [full]; lstm: a config [tuned]")
    add_options(parser, "MODEL")


def run(args: argparse.Namespace) -> int:
    """Train; 130 after Ctrl-C. Raises SidemanError for a mistake."""
    folder = folder_of(args, args.model)
    return _lstm(args, folder) if args.model == "lstm" else _groove(args, folder)


def _groove(args: argparse.Namespace, folder: Path) -> int:
    from offline.drums.groove.train import train
    from offline.trainer import Interrupted

    config = config_of(args, PRESETS, args.preset or "full")
    try:
        train(args.dataset, config, folder, args.device, args.resume)
    except Interrupted:
        return interrupted(args, folder, "drums", args.dataset, "--model", args.model)
    print(f"{folder}: trained; make a bundle of it with: sideman export drums {folder} -o BUNDLE")
    return 0


def _lstm(args: argparse.Namespace, folder: Path) -> int:
    import msgspec

    from offline.drums.lstm.config import load_config, parse_config
    from offline.drums.lstm.train import train

    table = msgspec.to_builtins(load_config(args.preset or "tuned"))
    for setting in [*args.set, *([f"seed={args.seed}"] if args.seed is not None else [])]:
        key, _, text = setting.partition("=")
        try:
            table[key] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            table[key] = text
    train(args.dataset, parse_config(table, "--set"), folder)
    print(f"{folder}: trained; make a bundle of it with: sideman export drums {folder} -o BUNDLE")
    return 0
