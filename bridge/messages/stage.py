"""What control and the stage say to each other.

All positions are song ticks of an *epoch*: a stretch of playing between two of play, stop, jump. Control numbers the
epochs; what belongs to an older one is dropped (docs/ARCHITECTURE.md, Time, invariant 6).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bridge.messages.hearing import Heard, InputSetup
from bridge.messages.message import Message, Trouble
from bridge.messages.sound import SoundStatus
from bridge.messages.sync import SourcePlays, SourceState, SourceStops, Sync, SyncSetup
from engines.music import LoopFile, Note
from engines.notes.roles import CHANNELS

Outcome = Literal["hit", "cut", "alternate", "repeat", "rest", "hold", "listen"]
"""What a bar was: made in time, made up to a beat, an older take, the last bar again, silence, repeated, or silent, on
purpose."""


# Control to stage


class OutputSetup(msgspec.Struct, frozen=True):
    """An output of a player: its kind (an entry point of `sideman.outputs`) and the target after the colon.

    "midi" is a virtual port named after the player; "midi:NAME" an existing port.
    latency_ms: how much later than asked this output sounds; everything is sent that much earlier (negative: later)
    clock: whether MIDI clock is sent there too
    """

    kind: str
    target: str = ""
    latency_ms: float = 0.0
    clock: bool = False


class PlayerSetup(msgspec.Struct, frozen=True):
    """A player as the stage knows it.

    channel: 1-16, where notes without a part go; channels: where those of each part go, from part 1 on
    programs: General MIDI's program 0-127 of each part that is to be told one
    """

    name: str
    outputs: tuple[OutputSetup, ...]
    channel: int = 10
    channels: tuple[int, ...] = CHANNELS
    programs: dict[int, int] = msgspec.field(default_factory=dict)


class Setup(Message, frozen=True):
    """First message: what to open. tempo_mbpm is in thousandths of a beat a minute.

    reconnect: for each port of ours, what it was connected to before the stage was restarted.
    sounding: (player, channel, pitch) that a killed stage may have left on; ended as soon as the ports are open.
    """

    client_name: str
    players: tuple[PlayerSetup, ...]
    tempo_mbpm: int
    sync: SyncSetup = SyncSetup()
    inputs: tuple[InputSetup, ...] = ()
    reconnect: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    sounding: tuple[tuple[str, int, int], ...] = ()


class Play(Message, frozen=True):
    """Start epoch `epoch` at song position `position_tick`, delay_ms from now.

    at_ns: at this moment instead, even if it is just over (a source has started us then)
    quantum_ticks: at the first moment from then on at which the source's position and ours agree modulo so many ticks;
    0 does not wait. Without a source it counts from the timeline's tick 0.
    count_in_ticks: there is so much room for clicks before position_tick, from the moment named on
    """

    epoch: int
    position_tick: int
    delay_ms: int = 60
    at_ns: int | None = None
    quantum_ticks: int = 0
    count_in_ticks: int = 0


class Stop(Message, frozen=True):
    """End every sounding note and drop everything to come.

    shared: the others who follow the same source stop too, where they share starts and stops
    """

    shared: bool = True


class Tempo(Message, frozen=True):
    """A tempo from 20,000 to 999,000 thousandths of a bpm, to land as soon as it can."""

    tempo_mbpm: int


class Chunk(Message, frozen=True):
    """A bar for a player; it replaces what is still to come of the player's chunk with the same epoch and bar.

    start_tick: song tick of the bar; length_ticks; from_tick: notes before this song tick are not touched (a fill now).
    id: counts up per player; outcome: what the bar will be counted as if it plays.
    """

    player: str
    epoch: int
    bar: int
    id: int
    start_tick: int
    length_ticks: int
    outcome: Outcome
    notes: tuple[Note, ...]
    from_tick: int = -1
    loop: LoopFile | None = None


class Mute(Message, frozen=True):
    """Mute or unmute a player at once: its sounding notes end, later ones are not let out."""

    player: str
    muted: bool


class Mix(Message, frozen=True):
    """How loud a player of sound is, in dB, and where between left (-1) and right (1)."""

    player: str
    gain_db: float
    pan: float


class Panic(Message, frozen=True):
    """End every note, as MIDI's own all-notes-off too. Playing goes on."""


class Subscribers(Message, frozen=True):
    """Where OSC note events go: (host, port, pattern)."""

    targets: tuple[tuple[str, int, str], ...]


class AskStatus(Message, frozen=True):
    """Answered with a StageStatus."""


class Quit(Message, frozen=True):
    """End every note, close the ports, leave."""


ToStage = Setup | Play | Stop | Tempo | Sync | Chunk | Mute | Mix | Panic | Subscribers | AskStatus | Quit


# Stage to control


class StageReady(Message, frozen=True):
    """The ports are open. outputs: a line each for people; realtime: whether the priority was granted."""

    outputs: tuple[str, ...]
    realtime: bool
    problems: tuple[str, ...] = ()


class Piece(Message, frozen=True):
    """From stage tick `tick`, at `at_ns` (perf_counter_ns), the tempo is this. Pieces that never took effect fall."""

    tick: int
    at_ns: int
    tempo_mbpm: int


class EpochStarted(Message, frozen=True):
    """Song position `position_tick` is stage tick `tick`."""

    epoch: int
    tick: int
    position_tick: int


class Stopped(Message, frozen=True):
    """Playing stopped at song tick `position_tick` of epoch `epoch`."""

    epoch: int
    position_tick: int


class BarStarted(Message, frozen=True):
    """A chunk's start was frozen: the bar is this one now.

    headroom_s: time that was left when the chunk arrived; dropped: notes of it that came too late, so far.
    """

    player: str
    epoch: int
    bar: int
    id: int
    outcome: Outcome
    headroom_s: float
    dropped: int = 0


class Refused(Message, frozen=True):
    """A chunk came too late, or was for another epoch."""

    player: str
    epoch: int
    bar: int
    id: int
    reason: str


class Event(msgspec.Struct, frozen=True, array_like=True):
    """A note-on (velocity > 0) or note-off (0) that left the stage.

    tick: its stage tick; song_tick: the same in the song; at_ns: when it was due; late_ns: how much later it left.
    channel: as it is sent; part: whose it is, see engines.music.Note
    """

    player: str
    tick: int
    song_tick: int
    pitch: int
    velocity: int
    channel: int
    at_ns: int
    late_ns: int
    part: int = 0


class Left(Message, frozen=True):
    """What left since the last such message, in order."""

    events: tuple[Event, ...]


class PortChanged(Message, frozen=True):
    """A port or a device was lost or came back. output: its name, as others see it; text: for people."""

    output: str
    present: bool
    text: str


class Connections(Message, frozen=True):
    """What our own ports are connected to now, as far as the system tells."""

    ports: dict[str, tuple[str, ...]]


class StageStatus(Message, frozen=True):
    """Dispatch lateness in microseconds, percentiles since the start, and counters."""

    events: int
    late_p50_us: float
    late_p99_us: float
    late_max_us: float
    dropped_notes: int
    sounding: int
    cpu_s: float
    realtime: bool


FromStage = (
    StageReady
    | Piece
    | EpochStarted
    | Stopped
    | BarStarted
    | Refused
    | Left
    | SourceState
    | SourcePlays
    | SourceStops
    | Heard
    | PortChanged
    | Connections
    | StageStatus
    | SoundStatus
    | Trouble
)
