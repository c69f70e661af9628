"""The Max objects that our patches may use, and how many inlets and outlets each has: stock ones of Max 8 alone.

Nothing here can run Max. What a patch says is held against this table (numbers as Max's own reference pages and saved
patches have them), so that no cord ends in nothing and no object is one that has to be installed.
"""

from __future__ import annotations

from typing import Any

Sizes = tuple[int, int]
"""Inlets and outlets."""

BOXES: dict[str, Sizes] = {
    "message": (2, 1),
    "textedit": (1, 4),
    "live.comment": (1, 0),
    "live.numbox": (1, 2),
    "live.toggle": (1, 1),
}
"""By maxclass."""

OBJECTS: dict[str, Sizes] = {
    "%": (2, 1),
    "+": (2, 1),
    "-": (2, 1),
    "/": (2, 1),
    "change": (1, 3),
    "deferlow": (1, 1),
    "dict.deserialize": (1, 1),
    "fromsymbol": (1, 1),
    "gate": (2, 1),
    "int": (2, 1),
    "live.object": (2, 1),
    "live.path": (1, 3),
    "live.thisdevice": (1, 3),
    "maximum": (2, 2),
    "metro": (2, 1),
    "plugin~": (2, 2),
    "plugout~": (2, 2),
    "prepend": (1, 1),
    "udpreceive": (1, 1),
    "udpsend": (1, 0),
    "zl.iter": (2, 2),
    "zl.nth": (2, 2),
    "zl.reg": (2, 2),
    "zl.rev": (2, 2),
    "zl.slice": (2, 2),
}
"""By the first word of a box of class newobj. Those whose size depends on their arguments are in `sizes`."""


def sizes(box: dict[str, Any]) -> Sizes | None:
    """How many inlets and outlets a box has; None for what is not in the tables."""
    if box.get("maxclass") != "newobj":
        return BOXES.get(str(box.get("maxclass")))
    name, *arguments = str(box.get("text", "")).split() or [""]
    match name:
        case "trigger":
            return 1, len(arguments)
        case "route" | "select":
            return len(arguments) + 1, len(arguments) + 1
        case "sprintf":
            return max(1, sum(word.count("%") for word in arguments)), 1
        case "unpack":
            return 1, len(arguments)
    return OBJECTS.get(name)


def faults(patcher: dict[str, Any]) -> list[str]:
    """What is wrong with a patch, a line each: unknown objects, sizes that differ, cords that end nowhere."""
    found = []
    boxes: dict[str, tuple[Sizes, str]] = {}
    for entry in patcher["patcher"]["boxes"]:
        box = entry["box"]
        name = f"{box['id']} ({box.get('text') or box['maxclass']})"
        known = sizes(box)
        if box["id"] in boxes:
            found.append(f"{name} is there twice")
        elif known is None:
            found.append(f"{name} is no object that every Max has")
        elif known != (box["numinlets"], box["numoutlets"]):
            found.append(f"{name} has {known[0]} inlets and {known[1]} outlets")
        boxes[box["id"]] = (known or (0, 0), name)
    for entry in patcher["patcher"]["lines"]:
        line = entry["patchline"]
        for (id_, index), side in ((line["source"], 1), (line["destination"], 0)):
            size, name = boxes.get(id_, ((0, 0), id_))
            if not 0 <= index < size[side]:
                found.append(f"a cord ends at {('inlet', 'outlet')[side]} {index} of {name}")
    return found
