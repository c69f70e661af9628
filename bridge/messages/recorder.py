"""What control and the recorder say to each other."""

from __future__ import annotations

import msgspec

from bridge.messages.message import Message, Trouble
from bridge.messages.stage import EpochStarted, Left
from engines.music import LoopFile

# Control to recorder


class Record(Message, frozen=True):
    """First message: where to write (.mid and .wav by their endings), and the tempo and metre at the start.

    stems: player and path of each .wav that holds one player alone
    programs: by player, General MIDI's program of each part that the set tells another than its seat's
    """

    paths: tuple[str, ...]
    tempo_mbpm: int
    meter_numerator: int
    meter_denominator: int
    stems: tuple[tuple[str, str], ...] = ()
    programs: dict[str, dict[int, int]] = msgspec.field(default_factory=dict)


class RecordedTempo(Message, frozen=True):
    """The tempo from stage tick `tick` on."""

    tick: int
    tempo_mbpm: int


class RecordedMeter(Message, frozen=True):
    """The metre from stage tick `tick` on."""

    tick: int
    numerator: int
    denominator: int


class RecordedLoop(Message, frozen=True):
    """A bar of a player of audio begins at stage tick `tick`; without a loop it is silent."""

    player: str
    tick: int
    length_ticks: int
    loop: LoopFile | None


class RecordedMute(Message, frozen=True):
    """The player is muted, or heard again, from stage tick `tick` on; of notes only those come that were heard."""

    player: str
    tick: int
    muted: bool


class RecordedStop(Message, frozen=True):
    """Playing stopped at stage tick `tick`: loops end."""

    tick: int


class Finish(Message, frozen=True):
    """Write everything and leave. Sounding notes end at `tick`."""

    tick: int


ToRecorder = (
    Record | EpochStarted | RecordedTempo | RecordedMeter | RecordedLoop | RecordedMute | RecordedStop | Left | Finish
)
"""EpochStarted and Left are relayed as the stage sent them: the first EpochStarted is the file's tick 0."""


class Recorded(Message, frozen=True):
    """The files are whole on disk."""

    paths: tuple[str, ...]


FromRecorder = Recorded | Trouble
