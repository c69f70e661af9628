"""Work: the layers that a search has finished, kept so that one that was interrupted goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import SidemanError
from engines.musicgen.direction import Method
from offline.steering.search import Found

_SETTINGS = "settings.json"


@dataclass(frozen=True, slots=True)
class Work:
    """A folder inside that of the directions, which is gone when they are whole."""

    folder: Path

    def begin(self, settings: dict[str, Any]) -> None:
        """Go on where a search with these settings was interrupted, or start one. Raises SidemanError for others."""
        file, text = self.folder / _SETTINGS, json.dumps(settings, indent=1, sort_keys=True)
        if file.is_file() and file.read_text("utf-8") != text:
            raise SidemanError(
                f"{self.folder.parent} holds an unfinished search with other settings or data: go on with the same, "
                f"give another -o, or remove {self.folder}"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")

    def layer(self, number: int) -> dict[Method, Found] | None:
        """What was found for a layer, if it was finished. Raises SidemanError for a damaged file."""
        from safetensors import SafetensorError, safe_open

        file = self._file(number)
        if not file.is_file():
            return None
        try:
            with safe_open(file, framework="numpy") as opened:
                told = json.loads(opened.metadata()["found"])
                return {method: Found(vectors=opened.get_tensor(method), **told[method]) for method in told}
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise SidemanError(f"{file} is damaged; remove it, and its layer is searched again") from error

    def keep(self, number: int, found: dict[Method, Found]) -> None:
        """Write what was found for a layer, whole or not at all."""
        from safetensors.numpy import save_file

        told = {
            method: {"validation": one.validation, "test": one.test, "detail": one.detail}
            for method, one in found.items()
        }
        part = self._file(number).with_suffix(".part")
        save_file({method: one.vectors for method, one in found.items()}, part, metadata={"found": json.dumps(told)})
        part.replace(self._file(number))

    def end(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:03}.safetensors"
