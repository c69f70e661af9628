"""What the stage and the processes that make sound say to each other."""

from __future__ import annotations

import msgspec

from bridge.messages.message import Message, Trouble
from engines.music import LoopFile

# Stage to the process of a sound device


class DeviceSetup(Message, frozen=True):
    """First message: the sound device by a part of its name, "" for the default one, "jack" for JACK.

    client_name: what it is called among JACK's clients
    reconnect: for each of its ports, what that was connected to before
    """

    device: str
    client_name: str
    reconnect: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)


class StripAdded(Message, frozen=True):
    """A strip of the desk is to be heard; on JACK under its name."""

    index: int
    name: str


ToDevice = DeviceSetup | StripAdded


class DeviceReady(Message, frozen=True):
    """The device plays: its name, and how long after its callback a frame is heard."""

    device: str
    latency_ns: int


class DeviceWired(Message, frozen=True):
    """What each port is connected to now."""

    ports: dict[str, tuple[str, ...]]


FromDevice = DeviceReady | DeviceWired | Trouble


# Stage to renderer; and, besides, the timeline's pieces


class RendererSetup(Message, frozen=True):
    """First message: which strip of the desk to write.

    font: a sound font to play notes with, "" for the built-in kit and synth
    finish: whether a loop finishes its bar when the tempo turns, instead of being stretched
    later_ns: how much later than asked everything is played, on a device that is slower than the stage looks ahead
    programs: General MIDI's program of each channel that has another than engines.notes.roles.PROGRAMS says
    """

    strip: int
    font: str = ""
    finish: bool = False
    later_ns: int = 0
    programs: dict[int, int] = msgspec.field(default_factory=dict)


class SoundNote(Message, frozen=True):
    """A note-on, or with velocity 0 a note-off, to be heard at at_ns (perf_counter_ns)."""

    pitch: int
    velocity: int
    channel: int
    at_ns: int


class SoundSilence(Message, frozen=True):
    """Fade everything out now."""


class CueLoop(Message, frozen=True):
    """A loop may be played soon."""

    loop: LoopFile


class StartLoop(Message, frozen=True):
    """From stage tick `tick` on, for so long, this loop plays; None: nothing."""

    loop: LoopFile | None
    tick: int
    length_ticks: int


class Fader(Message, frozen=True):
    """How loud, and where from -1 (left) to 1 (right)."""

    gain_db: float = 0.0
    pan: float = 0.0
    muted: bool = False


class RendererReady(Message, frozen=True):
    """It writes."""


FromRenderer = RendererReady | Trouble


# Renderer to the preparer of its loops


class Prepare(Message, frozen=True):
    """A loop is to lie in the file `into`, as bridge/sound/prepare.py makes it: raw float32, two channels."""

    id: int
    loop: LoopFile
    tempo_mbpm: int
    from_tick: int
    rate: int
    into: str


class Prepared(Message, frozen=True):
    """It does; 0: the preparer is up."""

    id: int


class NotPrepared(Message, frozen=True):
    """It cannot be; one line for people."""

    id: int
    text: str


FromPreparer = Prepared | NotPrepared


# Stage to control


class SoundStatus(Message, frozen=True):
    """How a player's sound fares, by counters since its device was opened.

    block: frames that the device takes at once; xruns: told by the device
    load_p99_percent: of its period, what the device's callback takes
    drift_ppm: how much slower the device counts than our clock; error_us: how far the sound is from its place by it
    later_ms: how much later than its tick everything is heard, on a device that is slower than the stage looks ahead
    starved_frames: silent, as the renderer was late, in so many gaps; late_frames: of loops that were not ready in time
    """

    player: str
    device: str
    rate: int
    block: int
    xruns: int
    callbacks: int
    load_p50_percent: float
    load_p99_percent: float
    drift_ppm: float
    error_us: float
    starvations: int
    starved_frames: int
    late_frames: int
    later_ms: float = 0.0
