"""`sideman export drums CHECKPOINT -o BUNDLE`: a trained drum model as a verified bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.errors import SidemanError
from export.command import add_options, exported
from export.subject import Subject


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman export drums`."""
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Export; returns 0. Raises SidemanError, and leaves no bundle, if a graph disagrees with the checkpoint."""
    return exported(args, load_subject, "drums")


def load_subject(checkpoint: Path, data: Path | None, steps: int) -> Subject:
    """The model of a checkpoint, of whichever kind it is. Raises SidemanError."""
    if not checkpoint.exists():
        raise SidemanError(f"{checkpoint} does not exist; give the folder that sideman train drums wrote")
    if checkpoint.suffix in (".keras", ".h5") or (checkpoint / "best.keras").is_file():
        from export.drums_lstm import subject as lstm

        return lstm(checkpoint, data, steps)
    from export.drums_groove import subject as groove

    return groove(checkpoint, data, steps)
