"""The set: who plays, from which bundle, to which outputs, how fast.

Words and fields are docs/ARCHITECTURE.md's; `sideman init` (bridge/commands/init.py) writes a commented file with
all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Annotated, Literal

import msgspec

from bridge.fields import no_such
from bridge.messages.hearing import InputSetup
from bridge.messages.stage import OutputSetup, PlayerSetup
from bridge.messages.sync import SyncKind, SyncSetup
from bridge.players.spans import SpanSize
from engines.errors import SidemanError
from engines.music import DRUMS, TICKS_PER_BEAT, Meter
from engines.notes.roles import ROLE_NAMED, ROLES
from engines.parameter import Value
from engines.registry import engine_names

DEFAULT_OSC_PORT = 9720
DEFAULT_OUTPUTS = ("midi", "osc")
RESERVED_PLAYERS = ("transport", "system")
PLAYERS_MAX = 16
SEED_MAX = (1 << 63) - 1

NAME_PATTERN = r"[a-z][a-z0-9_]{0,31}"
TEMPO_BPM_LOW, TEMPO_BPM_HIGH = 20.0, 999.0

Runtime = Literal["auto", "int4", "int8", "fp32", "torchscript"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Channel = Annotated[int, msgspec.Meta(ge=1, le=16)]
Pitch = Annotated[int, msgspec.Meta(ge=0, le=127)]


PLAYER_PREFIX = "player:"
"""Before the name of another player, in what a player hears."""

GM = "gm"

SYNC_PATTERN = r"internal|link|jack|midi:.+"
"""After the colon the name of the MIDI port that the clock comes from, or of an input of the set."""


class OutputSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds of an output for every player that plays there, as [outputs."midi:NAME"] of a set file says it.

    latency_ms: how late it sounds, which is made up for by sending earlier (`sideman calibrate` finds it)
    clock:      send MIDI clock, start and stop there
    """

    latency_ms: Annotated[float, msgspec.Meta(ge=-1000, le=1000)] = 0.0
    clock: bool = False


class InputSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A MIDI input, as [inputs.NAME] of a set file says it.

    port:    an existing port's name or a part of it; "" makes a virtual port called NAME
    channel: 1-16, or 0 for all
    thru:    a player, whose outputs get what is played here
    """

    port: str = ""
    channel: Annotated[int, msgspec.Meta(ge=0, le=16)] = 0
    thru: str = ""


class LearnedSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a controller or a note of an input does, as a [[learned]] of a set file says it.

    input:   an input's name
    control: a controller 0-127, or note: a pitch 0-127; channel: 1-16
    address: what it turns or does, without /sideman/: drums/temperature, drums/fill, transport/playing
    """

    input: str
    address: str
    channel: Channel = 1
    control: Pitch | None = None
    note: Pitch | None = None


class PlayerSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A player, as [players.NAME] of a set file says it.

    engine:     entry point of `sideman.engines`; bundle: a shipped one's name, a folder, or "" for an engine without
    runtime:    "auto", or a variant of the bundle's graphs
    device:     where an engine of sound runs its TorchScript; "auto" is CUDA, else Apple's MPS, else the CPU
    outputs:    "midi", "midi:PORT", "osc", "audio", or any `sideman.outputs` entry point as KIND or KIND:TARGET
    channel:    MIDI channel 1-16
    map:        MIDI note for each instrument whose General MIDI note is not wanted
    parameters: starting values of the engine's and the player's parameters; checked by the control surface
    hears:      whose notes the engine is told: inputs by their names, other players as player:NAME
    channels:   MIDI channel of each seat (engines.notes.roles) that is not to play on its own one
    chunk:      what is made and played at a time: "bar", or "beat" or "half-beat", where a change is to be heard sooner
    programs:   "gm": each seat's channel is told its General MIDI program at the start; or a program 0-127 by seat
    """

    engine: str = "drums"
    bundle: str = "groove"
    runtime: Runtime = "auto"
    device: Device = "auto"
    outputs: tuple[str, ...] = DEFAULT_OUTPUTS
    channel: Channel = 10
    map: dict[str, Pitch] = {}
    parameters: dict[str, Value] = {}
    hears: tuple[str, ...] = ()
    channels: dict[str, Channel] = {}
    programs: str | dict[str, Pitch] = {}
    chunk: SpanSize = "bar"

    def setup(self, name: str, options: Mapping[str, OutputSet] | None = None) -> PlayerSetup:
        """The player as the stage is told it."""
        channels = tuple(self.channels.get(role.name, role.channel) for role in ROLES)
        told = self.programs
        if isinstance(told, str):
            told = {role.name: role.program for role in ROLES if role.programs} if told == GM else {}
        programs = {ROLE_NAMED[seat] + 1: program for seat, program in told.items()}
        return PlayerSetup(name, self.output_setups(options), self.channel, channels, programs)

    def heard_players(self) -> tuple[str, ...]:
        """The names of the players that it hears."""
        return tuple(text.removeprefix(PLAYER_PREFIX) for text in self.hears if text.startswith(PLAYER_PREFIX))

    def heard_inputs(self) -> tuple[str, ...]:
        """The names of the inputs that it hears."""
        return tuple(text for text in self.hears if not text.startswith(PLAYER_PREFIX))

    def output_setups(self, options: Mapping[str, OutputSet] | None = None) -> tuple[OutputSetup, ...]:
        """The outputs as the stage is told them."""
        setups = []
        for text in self.outputs:
            kind, _, target = text.partition(":")
            option = (options or {}).get(text, OutputSet())
            setups.append(OutputSetup(kind, target, option.latency_ms, option.clock))
        return tuple(setups)

    def pitches(self) -> dict[int, int]:
        """General MIDI pitch to the pitch to send, for the instruments that `map` names."""
        return {pitch: self.map[drum.name] for drum in DRUMS if drum.name in self.map for pitch in drum.pitches}


class Set(msgspec.Struct, frozen=True, kw_only=True):
    """A whole set, checked. Players keep their order in the file.

    sync:            "internal", "link", "jack", or "midi:PORT" for the MIDI clock that comes there
    start_stop_sync: with Link, start and stop together with the others
    quantum_beats:   Link's bar; count_in_bars: clicks before the first bar
    outputs:         by the text that players write in their `outputs`
    loops:           folder that loops are written to, "" for one that goes with the session
    """

    players: dict[str, PlayerSet]
    seed: int
    tempo_bpm: float = 120.0
    meter: Meter = Meter()
    sync: str = "internal"
    start_stop_sync: bool = False
    quantum_beats: int = 4
    count_in_bars: int = 0
    outputs: dict[str, OutputSet] = {}
    inputs: dict[str, InputSet] = {}
    learned: tuple[LearnedSet, ...] = ()
    loops: str = ""
    osc_port: int = DEFAULT_OSC_PORT
    lan: bool = False

    def sync_setup(self) -> SyncSetup:
        """What to follow, as the stage is told it."""
        return sync_setup(self.sync, self.quantum_beats * TICKS_PER_BEAT, self.start_stop_sync)

    def input_setups(self) -> tuple[InputSetup, ...]:
        """The inputs as the stage is told them."""
        return tuple(InputSetup(name, it.port, it.channel, it.thru) for name, it in self.inputs.items())


def default_set() -> Set:
    """One player, `drums`, on the groove bundle, to MIDI and OSC; a new seed each time."""
    return Set(players={"drums": PlayerSet()}, seed=new_seed())


def new_seed() -> int:
    """A seed nobody chose, short enough to read aloud and type again."""
    import secrets

    return secrets.randbelow(1_000_000)


def parse_meter(text: str) -> Meter:
    """A metre that a set may have: its bar is a whole number of sixteenths, as the grid is."""
    try:
        return Meter.parse(text)
    except SidemanError as error:
        raise SidemanError(f"meter: {error}") from error


def parse_sync(text: str) -> str:
    """What the set follows, as it is written. Raises SidemanError."""
    if not re.fullmatch(SYNC_PATTERN, text):
        raise SidemanError(f"sync: takes internal, link, jack or midi:PORT, not {text[:40]!r}")
    return text


def sync_setup(text: str, quantum_ticks: int, start_stop: bool) -> SyncSetup:
    """What to follow, as `parse_sync` has checked it, as the stage is told it."""
    kind, _, target = text.partition(":")
    return SyncSetup(msgspec.convert(kind, SyncKind), target, quantum_ticks, start_stop)


def add_player(current: Set, name: str, player: PlayerSet) -> Set:
    """The set with a player added, or replaced if the name is taken. Raises SidemanError for a name that cannot be."""
    check_player_name(name)
    players = {**current.players, name: player}
    if len(players) > PLAYERS_MAX:
        raise SidemanError(f"a set has at most {PLAYERS_MAX} players")
    return msgspec.structs.replace(current, players=players)


def check_player_name(name: str) -> None:
    """A player's name is part of an OSC address. Raises SidemanError for one that cannot be."""
    if name in RESERVED_PLAYERS:
        raise SidemanError(f"players.{name}: {name} is the name of a part of Sideman; call the player something else")
    if not re.fullmatch(NAME_PATTERN, name):
        raise SidemanError(f"players: {name!r} is no name for a player; use lower-case letters, digits and _")


def check_plugins(current: Set) -> None:
    """Raise SidemanError if a player names an engine or an output that is not installed."""
    engines = engine_names()
    outputs = {point.name for point in entry_points(group="sideman.outputs")}
    for name, player in current.players.items():
        if player.engine not in engines:
            raise SidemanError(f"players.{name}.engine: {no_such('engine', player.engine, engines)}")
        for setup in player.output_setups():
            if setup.kind not in outputs:
                raise SidemanError(f"players.{name}.outputs: {no_such('output', setup.kind, outputs)}")
