"""What `sideman export` does for every engine: its options, the bundle, and scores for its manifest."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from engines.errors import SidemanError
from export.bundle import FORMATS, write_bundle
from export.parity import STEPS_MIN
from export.subject import Subject

Loader = Callable[[Path, Path | None, int], Subject]
"""From a checkpoint, prepared data or None, and steps to compare."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman export ENGINE`."""
    parser.add_argument("checkpoint", type=Path, help="a training's folder, or a checkpoint file in it")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument("--name", help="the bundle's name [the folder's]")
    parser.add_argument(
        "--formats", default="onnx,int8", metavar="LIST", help=f"of {', '.join(FORMATS)}, comma between [onnx,int8]"
    )
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="prepared data: its validation pieces are the steps of parity"
    )
    parser.add_argument(
        "--steps", type=int, default=STEPS_MIN, metavar="N", help=f"steps to compare, at least {STEPS_MIN}"
    )
    parser.add_argument(
        "--metrics", type=Path, metavar="FILE", help="metrics.csv of sideman evaluate (rows with --name), or a .json"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but mistakes")


def exported(args: argparse.Namespace, load: Loader, player: str) -> int:
    """Export what `load` makes of the checkpoint; returns 0.

    player: a name for one who plays it
    Raises SidemanError, and leaves no bundle, if a graph disagrees with the checkpoint.
    """
    formats = [word.strip() for word in args.formats.split(",") if word.strip()]
    unknown = [word for word in formats if word not in FORMATS]
    if unknown or not {"onnx", "int8"} & set(formats):
        raise SidemanError(f"--formats {args.formats}: of {', '.join(FORMATS)}, with onnx or int8 among them")
    if args.steps < STEPS_MIN:
        raise SidemanError(f"--steps {args.steps}: parity takes at least {STEPS_MIN}")
    name = args.name or args.output.resolve().name
    metrics = read_metrics(args.metrics, name) if args.metrics else {}
    subject = load(args.checkpoint, args.data, args.steps)
    subject = replace(subject, metrics=subject.metrics | metrics)
    say = (lambda line: None) if args.quiet else print
    write_bundle(subject, args.output, name, formats, say)
    say(f"{args.output}: a bundle of kind {subject.kind}; play it with: sideman live --player {player}={args.output}")
    return 0


def read_metrics(path: Path, name: str) -> dict[str, Any]:
    """Scores for the manifest: the rows of a metrics.csv whose model is `name`, by part; or a JSON object as it is."""
    try:
        if path.suffix == ".json":
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        with path.open(newline="", encoding="utf-8") as lines:
            rows = [row for row in csv.DictReader(lines) if row.get("model") == name]
    except FileNotFoundError as error:
        raise SidemanError(f"{path} does not exist; sideman evaluate writes it") from error
    except (OSError, ValueError, csv.Error) as error:
        raise SidemanError(f"{path} holds no metrics: {error}") from error
    if not rows:
        raise SidemanError(f"{path} has no row of {name}; evaluate it under that name, or give --name")
    return {row.get("part", ""): {key: _number(value) for key, value in row.items() if value and key not in
            ("model", "part")} for row in rows}  # fmt: skip


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
