"""`sideman train steering DATASET --model PATH_OR_HUB_ID --concept note:C`: directions, by RFM and plainer methods."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engines.errors import SidemanError
from offline.steering.activations import POOLINGS
from offline.steering.concepts import KINDS, concept_of, file_name
from offline.steering.directions import ALL, Wanted, train
from offline.steering.search import METHODS, STANDARDISE

CLIPS, TRIALS, ITERATIONS, BATCH = 600, 8, 5, 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman train steering`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a folder from prepare steering")
    parser.add_argument(
        "--concept", required=True, metavar="WORD",
        help=f"{', '.join(KINDS)}; those with classes also one against the others, as note:C, interval:6, chord:minor",
    )  # fmt: skip
    parser.add_argument(
        "--model", required=True, metavar="PATH_OR_HUB_ID", help="a MusicGen: its folder, or facebook/musicgen-small"
    )
    parser.add_argument("--method", choices=(*METHODS, ALL), default=ALL, help="[all]; a random one comes with each")
    parser.add_argument("--pooling", choices=POOLINGS, default="mean", help="of the activations over time [mean]")
    parser.add_argument("--layers", default=ALL, metavar="LIST", help="as 0,4-11 [all]")
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"settings of RFM to try a layer [{TRIALS}]")
    parser.add_argument("--iterations", type=int, default=ITERATIONS, help=f"metrics RFM learns [{ITERATIONS}]")
    parser.add_argument(
        "--standardise", choices=STANDARDISE, default="feature",
        help="activations by one number a layer, or each feature by its own spread [feature]",
    )  # fmt: skip
    parser.add_argument(
        "--clips", type=int, default=CLIPS, metavar="N",
        help=f"to train on at most, classes alike; half as many to validate, and to test [{CLIPS}]",
    )  # fmt: skip
    parser.add_argument("--prompt", default="", metavar="TEXT", help="the text the clips are heard under [none]")
    parser.add_argument("--batch", type=int, default=BATCH, metavar="N", help=f"clips heard at a time [{BATCH}]")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps [auto]")
    parser.add_argument("--seed", type=int, default=0, help="of the clips and the settings that are drawn [0]")
    parser.add_argument(
        "--cache", type=Path, default=Path("runs") / "steering" / ".activations", metavar="FOLDER",
        help="where activations are kept for the next concept [runs/steering/.activations]",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="[runs/steering/CONCEPT]")


def run(args: argparse.Namespace) -> int:
    """Train; 130 after Ctrl-C. Raises SidemanError for a mistake."""
    _check(args)
    concept = concept_of(args.concept)
    output = args.output or Path("runs") / "steering" / file_name(concept.name)
    if output.exists() and not output.is_dir():
        raise SidemanError(f"-o {output} is a file; name a folder for the directions")
    methods = METHODS if args.method == ALL else (args.method,)
    wanted = Wanted(
        dataset=args.dataset, concept=concept, model=args.model, methods=methods, pooling=args.pooling,
        layers=args.layers, trials=args.trials, iterations=args.iterations,
        standardise=args.standardise, clips=args.clips, prompt=args.prompt, batch=args.batch, device=args.device,
        seed=args.seed, cache=args.cache, output=output,
    )  # fmt: skip
    try:
        print(train(wanted))
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _check(args: argparse.Namespace) -> None:
    ranges = {"trials": (1, 10_000), "iterations": (0, 100), "clips": (8, 100_000), "batch": (1, 1024)}
    for name, (low, high) in ranges.items():
        if not low <= getattr(args, name) <= high:
            raise SidemanError(f"--{name} {getattr(args, name)} must be from {low} to {high}")
    if args.seed < 0:
        raise SidemanError(f"--seed {args.seed} must be 0 or more")
    if not args.dataset.is_dir():
        raise SidemanError(f"{args.dataset} is no folder; write a set with: sideman prepare steering -o FOLDER")
