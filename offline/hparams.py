"""hparams.json: what a training was told, beside its checkpoints, checked by whoever loads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from engines.errors import SidemanError
from offline.knobs import Knobs

HPARAMS = "hparams.json"

K = TypeVar("K", bound=Knobs)


def write(folder: Path, model: str, config: Knobs, facts: dict[str, Any]) -> None:
    """The kind of model, the config, and what an export and a reader of the checkpoint need to know."""
    folder.mkdir(parents=True, exist_ok=True)
    table = {"model": model, "config": asdict(config), **facts}
    (folder / HPARAMS).write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def model_in(folder: Path) -> str | None:
    """The kind of model that a folder holds a training of; None where no hparams.json says it."""
    try:
        model = json.loads((folder / HPARAMS).read_text(encoding="utf-8"))["model"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return str(model)


def read(
    folder: Path,
    model: str,
    kind: type[K],
    made_by: str,
    check: Callable[[dict[str, Any]], object] = lambda _: None,
) -> dict[str, Any]:
    """A training's hparams.json; "config" is of the kind given.

    check: raises TypeError or KeyError for facts that are not what loading needs; made_by: the command that writes them

    Raises SidemanError for a file that is not there, of another model, or not what this version writes.
    """
    path = folder / HPARAMS
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SidemanError(f"{path} cannot be read; it is made by: {made_by}") from error
    if not isinstance(table, dict) or table.get("model") != model:
        raise SidemanError(f"{folder} holds no training of {model} ({made_by})")
    try:
        config = kind(**table["config"])
        config.check()
        check(table)
    except (TypeError, KeyError) as error:
        raise SidemanError(f"{path} is not what this version writes ({error}); train again") from error
    return {**table, "config": config}


def words(value: object, most: int) -> None:
    """Raise TypeError for what is no list of at most so many words."""
    if not isinstance(value, list) or len(value) > most or not all(isinstance(word, str) for word in value):
        raise TypeError("no list of words")
