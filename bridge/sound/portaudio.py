"""A sound device by PortAudio."""

from __future__ import annotations

import time
from typing import Any

from bridge.sound.console import Console
from bridge.sound.desk import Desk
from bridge.sound.device import Beat
from bridge.sound.kit import RATE, Samples
from bridge.timing.host import hurry_thread
from engines.errors import SidemanError

LATENCY_S = 0.03
"""Asked of the device; it may take more."""

FRAMES_MAX = 8192
"""A device that asks for more at once gets them in parts."""


class PortAudioDevice:
    """The default device, or that of a name, at the rate it says is its own."""

    def __init__(self, device: str, desk: Desk) -> None:
        self._device = device
        self._desk = desk
        self._stream: Any = None
        self._heard: bool = False
        self._frame = 0
        self.name = device or "the default sound device"
        self.rate = RATE
        self.beat: Beat

    def start(self) -> None:
        """Open it. Raises SidemanError when there is no device, or none of that name."""
        try:
            import sounddevice
        except OSError as error:
            raise SidemanError(f"no sound: {error}; on Linux install libportaudio2") from None
        try:
            found = sounddevice.query_devices(self._device or None, "output")
            self.name = str(found["name"])
            self.rate = round(found["default_samplerate"]) or RATE
            self.beat = Beat(self._desk, self.rate)
            self._console = Console(self._desk, self.rate, FRAMES_MAX)
            self._frame = self._desk.played
            self._stream = sounddevice.OutputStream(
                samplerate=self.rate,
                channels=2,
                dtype="float32",
                latency=LATENCY_S,
                device=self._device or None,
                callback=self._callback,
            )
            self._latency_s = float(self._stream.latency)
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            wanted = (
                f"the sound device {self._device!r} cannot be played on" if self._device else "no sound device here"
            )
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SidemanError(f"{wanted} ({text})") from None

    def add(self, index: int, name: str) -> None:
        """Play a strip."""
        del name
        self._console.add(index)

    @property
    def latency_ns(self) -> int:
        """What the device says."""
        return round(self._latency_s * 1e9)

    @property
    def alive(self) -> bool:
        """Whether its stream runs."""
        return bool(self._stream and self._stream.active)

    def wired(self) -> dict[str, tuple[str, ...]] | None:
        """Nothing is known of wires here."""
        return None

    def close(self) -> None:
        """Not at all: some drivers hang in it, and the process ends."""

    def _callback(self, outdata: Samples, frames: int, when: Any, status: Any) -> None:
        now_ns = time.perf_counter_ns()
        if not self._heard:
            self._heard = True
            hurry_thread()
        if status.output_underflow:
            self.beat.xrun()
        until_heard_s = when.outputBufferDacTime - when.currentTime
        if not 0 < until_heard_s < 1:  # some drivers do not know
            until_heard_s = self._latency_s
        elif until_heard_s > self._latency_s:  # what it says of its stream may leave out a part
            self._latency_s = until_heard_s
        first = self._frame
        for at in range(0, frames, FRAMES_MAX):
            self._console.mix(first + at, outdata[at : at + FRAMES_MAX])
        self._frame = first + frames
        self.beat.took(first, frames, now_ns + round(until_heard_s * 1e9), now_ns)
