"""A Max patch in the making: boxes and cords, as the JSON of a .maxpat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bridge.clients.live.objects import sizes

ROW, COLUMN = 26.0, 190.0
"""Where boxes go while a patch is edited: one below the other, in columns."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a patch by its id, or one of its outlets or inlets: box[1]."""

    id: str
    port: int = 0

    def __getitem__(self, port: int) -> Box:
        return Box(self.id, port)


@dataclass(slots=True)
class Patch:
    """Boxes in columns, the cords between them, and what of them is shown in the device."""

    boxes: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    _column: int = -1
    _row: int = 0

    def column(self) -> None:
        """What follows goes into a new column."""
        self._column, self._row = self._column + 1, 0

    def new(self, text: str) -> Box:
        """An object by what is typed into its box."""
        return self.add("newobj", text=text)

    def message(self, text: str) -> Box:
        """A message box."""
        return self.add("message", text=text)

    def add(self, maxclass: str, shown: tuple[float, float, float, float] | None = None, **more: Any) -> Box:
        """A box of any class. shown: x, y, width and height in the device."""
        box: dict[str, Any] = {
            "id": f"obj-{len(self.boxes) + 1}",
            "maxclass": maxclass,
            "patching_rect": [20.0 + COLUMN * max(0, self._column), 20.0 + ROW * self._row, 170.0, 22.0],
            **more,
        }
        inlets, outlets = sizes(box) or (0, 0)
        outlet = "signal" if more.get("text", "").endswith("~") else ""
        box |= {"numinlets": inlets, "numoutlets": outlets, "outlettype": [outlet] * outlets}
        if shown:
            box |= {"presentation": 1, "presentation_rect": list(shown)}
        self._row += 1
        self.boxes.append({"box": box})
        return Box(box["id"])

    def chain(self, first: Box, *others: Box) -> Box:
        """Cords from each box to the next; the last box."""
        for source, destination in zip((first, *others), others, strict=False):
            ends = {"source": [source.id, source.port], "destination": [destination.id, destination.port]}
            self.lines.append({"patchline": ends})
            first = destination
        return Box(first.id)

    def as_json(self, width: float, kind: bytes) -> dict[str, Any]:
        """The patcher as Max saves it, for a device of a kind (amxd.py) that is so wide."""
        return {
            "patcher": {
                "fileversion": 1,
                "appversion": {"major": 8, "minor": 6, "revision": 0, "architecture": "x64", "modernui": 1},
                "classnamespace": "box",
                "rect": [60.0, 90.0, 1100.0, 720.0],
                "openrect": [0.0, 0.0, width, 169.0],
                "openinpresentation": 1,
                "default_fontsize": 10.0,
                "default_fontname": "Ableton Sans Medium",
                "gridsize": [8.0, 8.0],
                "devicewidth": width,
                "description": "Sideman: a player's loops and notes, put into the clips of this track",
                "boxes": self.boxes,
                "lines": self.lines,
                "dependency_cache": [],
                "autosave": 0,
                "latency": 0,
                "project": {
                    "version": 1,
                    "amxdtype": int.from_bytes(kind, "big"),
                    "contents": {"patchers": {}},
                    "layout": {},
                    "searchpath": {},
                },
                "parameters": {"parameterbanks": {}},
            }
        }
