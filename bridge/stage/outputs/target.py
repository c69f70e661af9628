"""What stands behind `audio:` in a set: a device, and words after a plus."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from engines.errors import SidemanError

UNHEARD = "unheard"
"""The target for the default device, silent while the player's MIDI goes to something (`sideman live`'s own choice)."""


@dataclass(frozen=True, slots=True)
class Target:
    """What stands behind `audio:`. font: a sound font's path; finish: loops are not stretched when the tempo turns."""

    device: str = ""
    font: str = ""
    finish: bool = False
    unheard: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a target. Raises SidemanError for words that mean nothing here, or a font that is not there."""
        if text.startswith("font:"):
            text = f"+{text}"
        device, *words = text.split("+")
        target = cls(unheard=True) if device == UNHEARD else cls(device)
        for word in words:
            key, _, value = word.partition(":")
            if key == "font" and value:
                path = Path(value).expanduser()
                if not path.is_file():
                    raise SidemanError(f"there is no sound font {value!r}")
                target = replace(target, font=str(path.absolute()))
            elif word == "finish":
                target = replace(target, finish=True)
            else:
                raise SidemanError(f"audio:{text}: {word!r} means nothing; it takes +font:FILE.sf2 and +finish")
        return target
