"""Ears: what `sideman calibrate` hears its clicks with: a MIDI input, or sound that comes in.

Each stamps what it hears with perf_counter, as its system knows the time, not as this process was awake. They are apart
from the stage that clicks: a JACK client that hears itself hears a period late.
"""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bridge.commands.clicks import onsets
from engines.errors import SidemanError

CLIENT_NAME = "sideman ear"
JACK = "jack"

Sound = npt.NDArray[np.float32]


class Ear(Protocol):
    """Hears from `open` to `close`."""

    def open(self) -> None:
        """Begin to hear. Raises SidemanError with the remedy."""
        ...

    def heard_ns(self, from_ns: int, quiet_s: float) -> list[int]:
        """When, from from_ns on, something began that may be a click, all of it at each call.

        No click sounded in the first quiet_s.
        """
        ...

    def close(self) -> None:
        """Hear no more. May be called twice."""
        ...


def make_ear(text: str) -> Ear:
    """An ear from `--input`: "audio", "audio:DEVICE", "audio:jack", "audio:jack:PORT", or a MIDI port's name."""
    kind, _, target = text.partition(":")
    if kind != "audio":
        return MidiEar(text)
    system, _, port = target.partition(":")
    return JackEar(port) if system == JACK else DeviceEar(target)


class MidiEar:
    """Note-ons of a MIDI port that exists, by a part of its name."""

    def __init__(self, port: str) -> None:
        from bridge.messages.hearing import InputSetup
        from bridge.stage.inputs.inputs import Inputs
        from bridge.stage.rack import Rack

        self._rack = Rack(CLIENT_NAME)
        self._inputs = Inputs([InputSetup("ear", port)], self._rack)
        self._notes_ns: list[int] = []

    def open(self) -> None:
        """Open the port."""
        lines, problems = self._inputs.open()
        if problems:
            raise SidemanError(problems[0])
        if not self._inputs.named("ear").present:
            raise SidemanError(f"--input: {lines[0].partition(': ')[2]}")

    def heard_ns(self, from_ns: int, quiet_s: float) -> list[int]:
        """When note-ons came."""
        came = self._inputs.poll(time.perf_counter_ns())
        self._notes_ns += [raw.at_ns for raw in came if raw.data[0] & 0xF0 == 0x90 and raw.data[2]]
        return [at_ns for at_ns in self._notes_ns if at_ns >= from_ns]

    def close(self) -> None:
        """Close the port."""
        self._inputs.close()
        self._rack.close()


class Tape:
    """Blocks of mono sound as a system's thread brings them, each with its first frame and when that was in the air."""

    def __init__(self) -> None:
        self.lost = False
        self._blocks: list[tuple[int, int, Sound]] = []

    def add(self, frame: int, at_ns: int, block: Sound) -> None:
        """Keep a block, which is copied."""
        self._blocks.append((frame, at_ns, block.copy()))

    def onsets_ns(self, rate: int, from_ns: int, quiet_s: float) -> list[int]:
        """When clicks begin, from from_ns on."""
        blocks = [block for block in list(self._blocks) if block[1] >= from_ns]
        if not blocks:
            raise SidemanError("no sound came in at all: is the input in use, or its level off?")
        if self.lost:
            raise SidemanError("sound was lost on its way in; close what keeps this machine busy and try again")
        first = blocks[0][0]
        sound = np.zeros(blocks[-1][0] - first + len(blocks[-1][2]), np.float32)
        for frame, _, block in blocks:
            sound[frame - first : frame - first + len(block)] = block
        found = onsets(sound, rate, quiet_s)
        return frame_times_ns([block[0] - first for block in blocks], [block[1] for block in blocks], found)


def frame_times_ns(frames: Sequence[int], at_ns: Sequence[int], wanted: npt.NDArray[np.int64]) -> list[int]:
    """When the wanted frames were, on the straight line through pairs (frame, time) that arrive with jitter."""
    base_ns = at_ns[0]
    times_ns = np.asarray([at - base_ns for at in at_ns], np.float64)
    if len(frames) < 2:
        return [base_ns for _ in wanted]
    slope, start = np.polyfit(np.asarray(frames, np.float64), times_ns, 1)
    return [base_ns + round(start + slope * float(frame)) for frame in wanted]


class DeviceEar:
    """A sound device by a part of its name, "" for the default one, through PortAudio."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._tape = Tape()
        self._stream: Any = None
        self._frame = 0
        self._rate = 0

    def open(self) -> None:
        """Open the device's first channel at its own rate."""
        try:
            import sounddevice
        except OSError as error:
            raise SidemanError(f"no sound: {error}; on Linux install libportaudio2") from None
        try:
            self._stream = sounddevice.InputStream(
                device=self._device or None, channels=1, dtype="float32", callback=self._hear
            )
            self._rate = round(self._stream.samplerate)
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SidemanError(f"--input audio: no sound can be heard here ({text})") from None

    def heard_ns(self, from_ns: int, quiet_s: float) -> list[int]:
        """When clicks began."""
        return self._tape.onsets_ns(self._rate, from_ns, quiet_s)

    def close(self) -> None:
        """Close the device."""
        stream, self._stream = self._stream, None
        if stream:
            stream.abort()
            stream.close()

    def _hear(self, data: Sound, frames: int, when: Any, status: Any) -> None:
        self._tape.lost |= bool(status.input_overflow)
        ago_s = when.currentTime - when.inputBufferAdcTime
        if not 0 <= ago_s < 1:  # some drivers do not know
            ago_s = frames / self._rate
        self._tape.add(self._frame, time.perf_counter_ns() - round(ago_s * 1e9), data[:, 0])
        self._frame += frames


class JackEar:
    """A port of JACK by a part of its name, "" for the first that a sound card brings in."""

    def __init__(self, port: str) -> None:
        self._wanted = port
        self._tape = Tape()
        self._client: Any = None
        self._port: Any = None
        self._read_cycle: Any = None

    def open(self) -> None:
        """Become a client and connect to the port."""
        from bridge.stage.midi.jack_client import open_client
        from bridge.timing.jack_clock import cycle_reader

        try:
            self._client = open_client(CLIENT_NAME)
        except OSError:
            raise SidemanError("--input audio:jack: the JACK library is not here (libjack-jackd2-0)") from None
        physical = not self._wanted
        ports = [port for port in self._client.get_ports(is_audio=True, is_output=True, is_physical=physical)
                 if self._wanted.lower() in port.name.lower()]  # fmt: skip
        if not ports:
            there = ", ".join(port.name for port in self._client.get_ports(is_audio=True, is_output=True)) or "none"
            raise SidemanError(f"--input audio:jack: no port matches {self._wanted!r}; there are: {there}")
        self._port = self._client.inports.register("in")
        self._read_cycle = cycle_reader(self._client)
        self._client.set_process_callback(self._hear)
        self._client.activate()
        self._client.connect(ports[0], self._port)

    def heard_ns(self, from_ns: int, quiet_s: float) -> list[int]:
        """When clicks began: what the port says it adds itself is taken off."""
        rate = self._client.samplerate
        own_ns = round(capture_frames(self._port) * 1e9 / rate)
        return [at_ns - own_ns for at_ns in self._tape.onsets_ns(rate, from_ns, quiet_s)]

    def close(self) -> None:
        """Stop being a client."""
        client = self._client
        if client:
            for leave in (client.deactivate, client.close):  # a client that was never active leaves too
                with contextlib.suppress(Exception):  # the server has gone
                    leave()
        self._client = None  # not before the callback is over

    def _hear(self, frames: int) -> None:
        start_ns, _ = self._read_cycle(frames)
        self._tape.add(self._client.last_frame_time, round(start_ns), self._port.get_array())


def capture_frames(port: Any) -> int:
    """How many frames old what comes in at a JACK port is, as the port's sources say (jack_port_get_latency_range)."""
    import jack

    class Range(ctypes.Structure):
        _fields_ = (("low", ctypes.c_uint32), ("high", ctypes.c_uint32))

    found, capture = Range(), 0  # JackCaptureLatency
    pointer = ctypes.c_void_p(int(jack._ffi.cast("uintptr_t", port._ptr)))
    ctypes.CDLL(jack._libname).jack_port_get_latency_range(pointer, capture, ctypes.byref(found))
    return int(found.high)
