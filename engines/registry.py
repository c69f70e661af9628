"""The engines there are: ours and anyone's, found by the entry-point group `sideman.engines` (docs/ENGINES.md)."""

from __future__ import annotations

import difflib
import inspect
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from engines.engine import Engine
from engines.errors import SidemanError

GROUP = "sideman.engines"
METHODS = ("load", "start", "prime", "generate")


def engine_names() -> tuple[str, ...]:
    """The names of all installed engines, sorted; none of them is loaded."""
    return tuple(sorted(_points()))


def opened(name: str, folder: Path | None, runtime: str = "auto", device: str = "auto") -> tuple[Engine, str]:
    """An engine with what it plays from, and a line about both.

    folder: a bundle, or for an engine with `from_folder(path)` a folder of the user's own; None: nothing
    device: for an engine whose `load` takes one; the others run on the CPU
    Raises SidemanError when it cannot.
    """
    from engines.bundle import Bundle

    cls = engine_class(name)
    load: Any = cls.load
    chooses = "device" in inspect.signature(load).parameters
    if not chooses and device not in ("auto", "cpu"):
        raise SidemanError(f'the engine {name} runs on the CPU alone: leave out device = "{device}"')
    from_folder = getattr(cls, "from_folder", None)
    if folder is not None and from_folder is not None:
        engine: Engine = from_folder(folder)
        return engine, f"{name} · {folder.name}"
    bundle = None if folder is None else Bundle.load(folder)
    if bundle is not None and bundle.manifest.engine != name:
        raise SidemanError(f"{folder} is for the engine {bundle.manifest.engine}, not {name}")
    engine = load(bundle, runtime, device=device) if chooses else load(bundle, runtime)
    return engine, name + (f" · {bundle.manifest.name}" if bundle else "")


def engine_for(folder: Path) -> str:
    """The engine that plays a folder: the one that its manifest names, or loopfile for a folder of sound files.

    A bundle's files are not looked at: who loads it does. Raises SidemanError for a folder that is neither.
    """
    from engines.bundle import MANIFEST, manifest_of

    if not (folder / MANIFEST).exists():
        from engines.audiofile import ENDINGS  # numpy comes with it, which control does without

        if any(path.suffix.lower() in ENDINGS for path in folder.iterdir()):
            return "loopfile"
    return manifest_of(folder).engine


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
