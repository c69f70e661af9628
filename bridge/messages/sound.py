"""What the stage and the processes that make sound say to each other."""

from __future__ import annotations

from bridge.messages.message import Message, Trouble

# Stage to monitor, the process that plays aloud


class MonitorSetup(Message, frozen=True):
    """First message: the sound device, by a part of its name, or "" for the default one.

    lead_ns: how long before their moments notes will be sent.
    """

    device: str
    lead_ns: int


class MonitorNote(Message, frozen=True):
    """A note-on, or with velocity 0 a note-off, to be heard at at_ns (perf_counter_ns)."""

    pitch: int
    velocity: int
    channel: int
    at_ns: int


class MonitorSilence(Message, frozen=True):
    """Fade everything out now."""


ToMonitor = MonitorSetup | MonitorNote | MonitorSilence


class MonitorReady(Message, frozen=True):
    """The device plays; its name."""

    device: str


FromMonitor = MonitorReady | Trouble
