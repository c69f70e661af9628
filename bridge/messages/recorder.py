"""What control and the recorder say to each other."""

from __future__ import annotations

from bridge.messages.message import Message, Trouble
from bridge.messages.stage import EpochStarted, Left

# Control to recorder


class Record(Message, frozen=True):
    """First message: where to write (.mid and .wav by their endings), and the tempo and metre at the start."""

    paths: tuple[str, ...]
    tempo_mbpm: int
    meter_numerator: int
    meter_denominator: int


class RecordedTempo(Message, frozen=True):
    """The tempo from stage tick `tick` on."""

    tick: int
    tempo_mbpm: int


class RecordedMeter(Message, frozen=True):
    """The metre from stage tick `tick` on."""

    tick: int
    numerator: int
    denominator: int


class Finish(Message, frozen=True):
    """Write everything and leave. Sounding notes end at `tick`."""

    tick: int


ToRecorder = Record | EpochStarted | RecordedTempo | RecordedMeter | Left | Finish
"""EpochStarted and Left are relayed as the stage sent them: the first EpochStarted is the file's tick 0."""


class Recorded(Message, frozen=True):
    """The files are whole on disk."""

    paths: tuple[str, ...]


FromRecorder = Recorded | Trouble
