"""Writing a set file: what has changed since it was read, in a text whose comments and order stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bridge.files.setread import load_set, parse_set
from bridge.set import LearnedSet, PlayerSet
from engines.errors import SidemanError
from engines.music import Meter
from engines.parameter import Parameters, Value

ENDING = ".toml"
DIGITS = 6
"""Of a number that came over OSC in single precision."""


UNHEARD = "audio:unheard"
"""The output that `sideman live` gives a player that has no loudspeaker in its set."""


@dataclass(frozen=True, slots=True)
class SavedPlayer:
    """A player as it is now: what the set said of it, the bundle that plays, and its parameters."""

    config: PlayerSet
    bundle: str
    parameters: Parameters


def updated(
    text: str, tempo_bpm: float, meter: Meter, players: Mapping[str, SavedPlayer], learned: Iterable[LearnedSet]
) -> str:
    """A set file's text ("": none yet) as the set is now. Raises SidemanError if it is not valid TOML.

    Parameters that stand at their defaults and are not in the text are left out of it.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document: Any = tomlkit.parse(text)
    except TOMLKitError as error:
        raise SidemanError(f"the set file is not valid TOML any more: {error}") from error
    _put(document, "tempo", tempo_bpm, 120.0)
    _put(document, "meter", str(meter), str(Meter()))
    for name, player in players.items():
        _put_player(_table(_table(document, "players"), name), player)
    document.pop("learned", None)
    entries = tomlkit.aot()
    for entry in learned:
        fields = msgspec.to_builtins(entry)
        entries.append(tomlkit.item({name: value for name, value in fields.items() if value is not None}))
    if len(entries):
        document.append("learned", entries)
    result: str = tomlkit.dumps(document)
    parse_set(result)  # nothing is written that could not be read
    return result


def write_set(path: Path, text: str) -> None:
    """Write a set file, whole or not at all. Raises SidemanError if it cannot be, or would replace something else."""
    if path.exists():
        load_set(path)
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise SidemanError(f"{path} cannot be written: {error.strerror or error}") from error


PLAYER_FIELDS = (
    "engine", "runtime", "device", "outputs", "channel", "map", "hears", "channels", "programs", "chunk",
)  # fmt: skip


def _put_player(table: Any, player: SavedPlayer) -> None:
    config, default = player.config, PlayerSet()
    if not table:  # the text does not have it: it is the default set's, or the command line's
        outputs = tuple(output for output in config.outputs if output != UNHEARD)
        said = msgspec.structs.replace(config, outputs=outputs)
        for field in PLAYER_FIELDS:
            if getattr(said, field) != getattr(default, field):
                table[field] = msgspec.to_builtins(getattr(said, field))
    _put(table, "bundle", player.bundle, default.bundle if config.engine == default.engine else "")
    values = player.parameters
    changed = {name: values[name] for name, parameter in values.table.items() if values[name] != parameter.default}
    if "parameters" in table or changed:
        parameters = _table(table, "parameters")
        for name, parameter in values.table.items():
            _put(parameters, name, values[name], parameter.default)


def _put(table: Any, name: str, value: Value, default: Value) -> None:
    """Say a value, unless it is the default and nothing else is said; one that is said already stays as written."""
    if isinstance(value, float):
        value = float(f"{value:.{DIGITS}g}")
    if table.get(name, default) != value:
        table[name] = value


def _table(parent: Any, name: str) -> Any:
    import tomlkit

    if name not in parent:
        parent[name] = tomlkit.table(is_super_table=name == "players")
    return parent[name]
