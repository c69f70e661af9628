"""`sideman export notes CHECKPOINT -o BUNDLE`: a trained model of notes as a verified bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.errors import SidemanError
from export.command import add_options, exported
from export.subject import Subject
from offline.hparams import HPARAMS, model_in


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman export notes`."""
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Export; returns 0. Raises SidemanError, and leaves no bundle, if a graph disagrees with the checkpoint."""
    return exported(args, load_subject, "keys")


def load_subject(checkpoint: Path, data: Path | None, steps: int) -> Subject:
    """The model of a training's folder, of whichever kind it is. Raises SidemanError."""
    model = model_in(checkpoint)
    if model is None:
        raise SidemanError(
            f"{checkpoint} is no training of notes: it has no {HPARAMS} that can be read; "
            "give the folder that sideman train notes wrote"
        )
    if model == "remi":
        from export.notes_remi import subject as remi

        return remi(checkpoint, data, steps)
    if model == "chain":
        from export.notes_chain import subject as chain

        return chain(checkpoint, data, steps)
    raise SidemanError(f"{checkpoint} is a training of {model}; notes are played by chain and remi")
