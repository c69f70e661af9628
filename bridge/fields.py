"""A table from a file as a struct; and what is wrong with it, in a musician's words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from engines.errors import SidemanError

T = TypeVar("T", bound=msgspec.Struct)


def convert(table: dict[str, Any], struct: type[T], where: str) -> T:
    """`table` as `struct`; an unknown field or a wrong value raises SidemanError with the field's path."""
    prefix = f"{where}." if where else ""
    fields = struct.__struct_fields__
    for field in table:
        if field not in fields:
            raise SidemanError(f"{where or 'set'}: {no_such('field', field, fields)}")
    try:
        return msgspec.convert(table, struct)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").lstrip(".").replace("[...]", "")
        names = [name for name in fields if field == name or field.startswith((f"{name}.", f"{name}["))]
        value = table.get(names[0]) if names else None
        shown = f", not {value!r}"[:60] if isinstance(value, (str, int, float, bool)) else ""
        if reason.startswith("Invalid enum value"):
            reason = "takes " + " or ".join(get_args(get_type_hints(struct)[names[0]]))
        raise SidemanError(f"{prefix}{field or 'set'}: {_in_words(reason)}{shown}") from error


def _in_words(reason: str) -> str:
    """msgspec's reason in a musician's words."""
    reason = reason.partition(", got")[0].replace("`", "").replace("Expected ", "takes ").replace(" | null", "")
    for type_name, words in (("object", "a table"), ("array", "a list"), ("str", "text"), ("float", "a number")):
        reason = re.sub(rf"\b{type_name}\b", words, reason)
    return re.sub(r"\bint\b", "a whole number", re.sub(r"\bbool\b", "true or false", reason)).replace(" | ", " or ")


def no_such(kind: str, name: str, names: Iterable[str]) -> str:
    """What to say of an unknown name; the nearest one is offered."""
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(names)) or 'none'}"
    return f"there is no {kind} {name[:40]}; {hint}"
