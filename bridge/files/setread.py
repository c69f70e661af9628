"""Reading a set file: TOML, checked field by field."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec

from bridge.fields import convert, no_such
from bridge.set import (
    DEFAULT_OSC_PORT,
    GM,
    NAME_PATTERN,
    PLAYER_PREFIX,
    PLAYERS_MAX,
    SEED_MAX,
    TEMPO_BPM_HIGH,
    TEMPO_BPM_LOW,
    InputSet,
    LearnedSet,
    OutputSet,
    PlayerSet,
    Set,
    check_player_name,
    new_seed,
    parse_meter,
    parse_sync,
)
from engines.errors import SidemanError
from engines.music import DRUMS
from engines.notes.roles import ROLE_NAMED

SET_BYTES_MAX = 1 << 20


class _Top(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a set file outside [players]."""

    tempo: Annotated[float, msgspec.Meta(ge=TEMPO_BPM_LOW, le=TEMPO_BPM_HIGH)] = 120.0
    meter: str = "4/4"
    seed: Annotated[int, msgspec.Meta(ge=0, le=SEED_MAX)] | None = None
    sync: str = "internal"
    start_stop_sync: bool = False
    quantum: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    count_in: Annotated[int, msgspec.Meta(ge=0, le=8)] = 0
    outputs: dict[str, dict[str, Any]] = {}
    inputs: dict[str, dict[str, Any]] = {}
    learned: list[dict[str, Any]] = []
    loops: str = ""
    osc_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = DEFAULT_OSC_PORT
    lan: bool = False
    players: dict[str, dict[str, Any]] | None = None


def load_set(path: Path) -> Set:
    """Read and check a set file.

    A missing seed is drawn anew. Raises SidemanError naming the file, the field and what it takes.
    """
    try:
        if path.stat().st_size > SET_BYTES_MAX:
            raise SidemanError(f"{path} is over {SET_BYTES_MAX} bytes: it is no set file; `sideman init` writes one")
        text = path.read_bytes().decode()
    except FileNotFoundError as error:
        raise SidemanError(f"there is no set file {path}; `sideman init {path}` writes one") from error
    except OSError as error:
        raise SidemanError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SidemanError(f"{path} is no set file: it is not text in UTF-8; `sideman init` writes one") from error
    try:
        return parse_set(text)
    except SidemanError as error:
        raise SidemanError(f"{path}: {error}") from error


def parse_set(text: str) -> Set:
    """A set from TOML text. Raises SidemanError naming the field."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SidemanError(f"not valid TOML: {error}") from error
    top = convert(table, _Top, "")
    declared = {"drums": {}} if top.players is None else top.players
    players = {name: _player(name, fields) for name, fields in declared.items()}
    if not players or len(players) > PLAYERS_MAX:
        raise SidemanError(f"players: a set has 1 to {PLAYERS_MAX} of them, this one has {len(players)}")
    return Set(
        players=players,
        seed=new_seed() if top.seed is None else top.seed,
        tempo_bpm=top.tempo,
        meter=parse_meter(top.meter),
        sync=parse_sync(top.sync),
        start_stop_sync=top.start_stop_sync,
        quantum_beats=top.quantum,
        count_in_bars=top.count_in,
        outputs={name: convert(table, OutputSet, f"outputs.{name}") for name, table in top.outputs.items()},
        inputs=_inputs(top.inputs, players),
        learned=tuple(_learned(table, top.inputs) for table in top.learned),
        loops=top.loops,
        osc_port=top.osc_port,
        lan=top.lan,
    )


def _player(name: str, fields: dict[str, Any]) -> PlayerSet:
    check_player_name(name)
    if "bundle" not in fields and fields.get("engine", "drums") != "drums":
        fields = {**fields, "bundle": ""}  # groove is the drum engine's; another engine's default is none
    if "engine" not in fields and isinstance(fields.get("bundle"), str):
        fields = {**fields, "engine": _engine_of(fields["bundle"])}
    player = convert(fields, PlayerSet, f"players.{name}")
    drums = [drum.name for drum in DRUMS]
    for instrument in player.map:
        if instrument not in drums:
            raise SidemanError(f"players.{name}.map: {no_such('instrument', instrument, drums)}")
    _check_seats(name, player)
    for text in player.outputs:
        if not text.partition(":")[0]:
            raise SidemanError(f"players.{name}.outputs: {text!r} is no output; write it like midi, midi:PORT or osc")
    return player


def _engine_of(bundle: str) -> str:
    """The engine that plays a bundle; one that is not there is named when it is loaded."""
    from engines.bundle import find
    from engines.registry import engine_for

    try:
        return engine_for(find(bundle))
    except SidemanError:
        return PlayerSet().engine


def _check_seats(name: str, player: PlayerSet) -> None:
    if isinstance(player.programs, str) and player.programs != GM:
        where = f"players.{name}.programs"
        raise SidemanError(f'{where}: takes "{GM}" or a table such as {{ piano = 4 }}, not {player.programs[:40]!r}')
    told = () if isinstance(player.programs, str) else player.programs
    for field, seats in (("channels", player.channels), ("programs", told)):
        for seat in seats:
            if seat not in ROLE_NAMED:
                raise SidemanError(f"players.{name}.{field}: {no_such('seat', seat, ROLE_NAMED)}")


def _inputs(tables: dict[str, dict[str, Any]], players: dict[str, PlayerSet]) -> dict[str, InputSet]:
    inputs = {}
    for name, table in tables.items():
        if not re.fullmatch(NAME_PATTERN, name):
            raise SidemanError(f"inputs: {name!r} is no name for an input; use lower-case letters, digits and _")
        inputs[name] = convert(table, InputSet, f"inputs.{name}")
        if inputs[name].thru and inputs[name].thru not in players:
            raise SidemanError(f"inputs.{name}.thru: {no_such('player', inputs[name].thru, players)}")
    for name, player in players.items():
        for heard in player.heard_inputs():
            if heard not in inputs:
                hint = f"; another player is heard as {PLAYER_PREFIX}{heard}" if heard in players else ""
                raise SidemanError(f"players.{name}.hears: {no_such('input', heard, inputs)}{hint}")
        others = [other for other in players if other != name]
        for heard in player.heard_players():
            if heard not in others:
                raise SidemanError(f"players.{name}.hears: {no_such('other player', heard, others)}")
    return inputs


def _learned(table: dict[str, Any], inputs: Iterable[str]) -> LearnedSet:
    learned = convert(table, LearnedSet, "learned")
    if learned.input not in inputs:
        raise SidemanError(f"learned.input: {no_such('input', learned.input, inputs)}")
    if (learned.control is None) == (learned.note is None):
        raise SidemanError("learned: give a control or a note, not both")
    return learned
