"""Parts for tests, ours and anyone's: a clock that is set by hand, what remembers, a stage, a JACK server, patience."""

from bridge.testing.doubles import FakeClock, RecordingOutput, RecordingView, play_until
from bridge.testing.processes import JackServer, StageProcess
from bridge.testing.waiting import PATIENCE_S, until

__all__ = [
    "PATIENCE_S",
    "FakeClock",
    "JackServer",
    "RecordingOutput",
    "RecordingView",
    "StageProcess",
    "play_until",
    "until",
]
