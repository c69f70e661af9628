"""The engines there are: ours and anyone's, found by the entry-point group `sideman.engines` (docs/ENGINES.md)."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points

from engines.engine import Engine
from engines.errors import SidemanError

GROUP = "sideman.engines"
METHODS = ("load", "start", "prime", "generate")


def engine_names() -> tuple[str, ...]:
    """The names of all installed engines, sorted; none of them is loaded."""
    return tuple(sorted(_points()))


def engine_class(name: str) -> type[Engine]:
    """The class behind a name.

    Raises SidemanError, listing what there is, for a name that no installed package has, and, naming the package,
    for one that cannot be imported or is no engine.
    """
    points = _points()
    if name not in points:
        near = difflib.get_close_matches(name, points, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(points)) or 'none'}"
        raise SidemanError(f"there is no engine {name}; {hint}")
    point = points[name]
    package = point.dist.name if point.dist else point.module
    try:
        loaded = point.load()
    except Exception as error:  # anyone's module may fail in any way when it is imported
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SidemanError(f"engine {name} cannot be imported: {reason}; reinstall the package {package}") from error
    missing = [method for method in METHODS if not callable(getattr(loaded, method, None))]
    if missing:
        raise SidemanError(f"the engine {name} ({package}) has no {missing[0]}(); see docs/ENGINES.md")
    engine: type[Engine] = loaded
    return engine


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
