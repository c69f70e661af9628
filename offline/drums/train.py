"""`sideman train drums DATASET --model groove|lstm`: the options of both, and the choice between them."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from engines.errors import SidemanError
from offline.drums.groove.config import PRESETS, GrooveConfig
from offline.knobs import changed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman train drums`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a folder from prepare drums")
    parser.add_argument("--model", choices=("groove", "lstm"), default="groove", help="[groove]")
    parser.add_argument("--preset", metavar="NAME", help=f"groove: {', '.join(PRESETS)} [full]; lstm: a config [tuned]")
    parser.add_argument("-o", "--output", type=Path, metavar="RUN", help="folder of the run [runs/MODEL/TIME]")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps [auto]; groove only")
    parser.add_argument("--seed", type=int, help="of weights, order and augmentation")
    parser.add_argument("--resume", action="store_true", help="go on with the training in the folder of -o")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a knob; may be repeated"
    )


def run(args: argparse.Namespace) -> int:
    """Train; 130 after Ctrl-C. Raises SidemanError for a mistake."""
    if args.resume and args.output is None:
        raise SidemanError("--resume needs -o, the folder of the training to go on with")
    folder = args.output or Path("runs") / args.model / time.strftime("%Y%m%d_%H%M%S")
    return _lstm(args, folder) if args.model == "lstm" else _groove(args, folder)


def _groove(args: argparse.Namespace, folder: Path) -> int:
    from offline.drums.groove.train import train
    from offline.trainer import Interrupted

    name = args.preset or "full"
    if name not in PRESETS:
        raise SidemanError(f"the groove model has no preset {name}: {', '.join(PRESETS)}")
    config: GrooveConfig = changed(PRESETS[name], args.set)
    if args.seed is not None:
        config = replace(config, seed=args.seed)
        config.check()
    try:
        train(args.dataset, config, folder, args.device, args.resume)
    except Interrupted:
        again = " ".join(["sideman train drums", *_words(args), "--resume -o", str(folder)])
        print(f"\ninterrupted, and saved; go on with: {again}", file=sys.stderr)
        return 130
    print(f"{folder}: trained; make a bundle of it with: sideman export drums {folder} -o BUNDLE")
    return 0


def _words(args: argparse.Namespace) -> list[str]:
    words = [str(args.dataset), "--model", args.model]
    for option, value in (("--preset", args.preset), ("--seed", args.seed)):
        words += [option, str(value)] if value is not None else []
    for setting in args.set:
        words += ["--set", setting]
    return words


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
