"""What every `sideman train` command takes and says, whatever it trains."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from engines.errors import SidemanError
from offline.knobs import Knobs, changed

K = TypeVar("K", bound=Knobs)


def add_options(parser: argparse.ArgumentParser, runs: str) -> None:
    """runs: where a run goes if nothing is said, below `runs`."""
    parser.add_argument("-o", "--output", type=Path, metavar="RUN", help=f"folder of the run [runs/{runs}/TIME]")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps [auto]")
    parser.add_argument("--seed", type=int, help="of weights, order and all that is drawn")
    parser.add_argument("--resume", action="store_true", help="go on with the training in the folder of -o")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a knob; may be repeated"
    )


def folder_of(args: argparse.Namespace, runs: str) -> Path:
    """Of the run. Raises SidemanError where it is not said which one goes on."""
    if args.resume and args.output is None:
        raise SidemanError("--resume needs -o, the folder of the training to go on with")
    return args.output or Path("runs") / runs / time.strftime("%Y%m%d_%H%M%S")


def config_of(args: argparse.Namespace, presets: Mapping[str, K], preset: str) -> K:
    """A preset with the knobs that were changed, and the seed. Raises SidemanError for what is not there."""
    if preset not in presets:
        raise SidemanError(f"there is no preset {preset}: {', '.join(presets)}")
    seed = [] if args.seed is None else [f"seed={args.seed}"]
    return changed(presets[preset], [*args.set, *seed])


def interrupted(args: argparse.Namespace, folder: Path, *words: object) -> int:
    """Say how to go on, after Ctrl-C; the exit status. words: of the command before its options, "notes", DATASET."""
    said = [*words]
    for option in ("preset", "seed"):
        value = getattr(args, option)
        said += [f"--{option}", value] if value is not None else []
    for setting in args.set:
        said += ["--set", setting]
    again = " ".join(map(str, ["sideman train", *said, "--resume -o", folder]))
    print(f"\ninterrupted, and saved; go on with: {again}", file=sys.stderr)
    return 130
