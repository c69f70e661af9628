"""`sideman export drums CHECKPOINT -o BUNDLE`: a trained drum model as a verified bundle."""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from engines.errors import SidemanError
from export.bundle import FORMATS, write_bundle
from export.parity import STEPS_MIN
from export.subject import Subject


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman export drums`."""
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


def run(args: argparse.Namespace) -> int:
    """Export; returns 0. Raises SidemanError, and leaves no bundle, if a graph disagrees with the checkpoint."""
    formats = [word.strip() for word in args.formats.split(",") if word.strip()]
    unknown = [word for word in formats if word not in FORMATS]
    if unknown or not {"onnx", "int8"} & set(formats):
        raise SidemanError(f"--formats {args.formats}: of {', '.join(FORMATS)}, with onnx or int8 among them")
    if args.steps < STEPS_MIN:
        raise SidemanError(f"--steps {args.steps}: parity takes at least {STEPS_MIN}")
    name = args.name or args.output.resolve().name
    metrics = read_metrics(args.metrics, name) if args.metrics else {}
    subject = load_subject(args.checkpoint, args.data, args.steps)
    subject = replace(subject, metrics=subject.metrics | metrics)
    say = (lambda line: None) if args.quiet else print
    write_bundle(subject, args.output, name, formats, say)
    say(f"{args.output}: a bundle of kind {subject.kind}; play it with: sideman live --player drums={args.output}")
    return 0


def load_subject(checkpoint: Path, data: Path | None, steps: int) -> Subject:
    """The model of a checkpoint, of whichever kind it is. Raises SidemanError."""
    if not checkpoint.exists():
        raise SidemanError(f"{checkpoint} does not exist; give the folder that sideman train drums wrote")
    if checkpoint.suffix in (".keras", ".h5") or (checkpoint / "best.keras").is_file():
        from export.drums_lstm import subject as lstm

        return lstm(checkpoint, data, steps)
    from export.drums_groove import subject as groove

    return groove(checkpoint, data, steps)


def read_metrics(path: Path, name: str) -> dict[str, Any]:
    """Scores for the manifest: the rows of a metrics.csv whose model is `name`, by part; or a JSON object as it is."""
    try:
        if path.suffix == ".json":
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        with path.open(newline="", encoding="utf-8") as lines:
            rows = [row for row in csv.DictReader(lines) if row.get("model") == name]
    except FileNotFoundError as error:
        raise SidemanError(f"{path} does not exist; sideman evaluate drums writes it") from error
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
