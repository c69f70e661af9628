"""The process of a sound device: it mixes the strips of a desk in the device's callback, and steers the desk's clock.

Run by the stage's audio output as `python -m bridge.sound.device DESCRIPTOR DESK`. It is a process of its own, as a
sound card's callback must not wait for the stage or a renderer, nor those for a sound card. When the device goes it
leaves, and the stage starts another.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections import deque
from typing import Protocol

from bridge.channel import Channel, ChannelClosedError
from bridge.messages.message import Trouble
from bridge.messages.sound import DeviceReady, DeviceSetup, DeviceWired, StripAdded, ToDevice
from bridge.sound.clock import Earliest, Steering
from bridge.sound.console import RAMP_S
from bridge.sound.desk import (
    BLOCK,
    CALLBACKS,
    ERROR_NS,
    LOADS,
    LOADS_MAX,
    PLAYED,
    PPB,
    RATE,
    STRIPS,
    XRUNS,
    Desk,
)
from bridge.stage.realtime import take_realtime
from bridge.timing.host import keep_time
from engines.errors import SidemanError

JACK = "jack"
"""The name of the device that is the JACK server."""

LOOK_S = 0.1
"""How often the device is looked after."""

STEER_AHEAD_S = 0.15
"""The clock is bent from so far ahead: further than anybody renders."""

START_S = 5.0
SILENT_S = 2.0
"""A device whose callback does not come for so long is gone."""


class Beat:
    """What a callback writes down. All of it is done in the device's own thread but `pairs`, which another empties."""

    def __init__(self, desk: Desk, rate: int) -> None:
        self._words = desk.words
        self._words[RATE] = rate
        self._rate = rate
        self._earliest = Earliest(rate)
        self.pairs: deque[tuple[int, int]] = deque()

    def took(self, first: int, frames: int, heard_ns: int, began_ns: int) -> None:
        """Frames from `first` on were taken, are heard from heard_ns on, and took from began_ns until now."""
        words = self._words
        words[PLAYED] = first + frames
        words[CALLBACKS] += 1
        words[BLOCK] = max(words[BLOCK], frames)
        pair = self._earliest.observe(first, heard_ns)
        if pair:
            self.pairs.append(pair)
        load = (time.perf_counter_ns() - began_ns) * self._rate // (frames * 10_000_000)
        words[LOADS + (load if load < LOADS_MAX else LOADS_MAX)] += 1

    def xrun(self) -> None:
        """The device says that it ran dry."""
        self._words[XRUNS] += 1


class Device(Protocol):
    """A sound device: bridge/sound/portaudio.py and bridge/sound/jack_device.py have one each."""

    name: str
    rate: int
    beat: Beat

    def start(self) -> None:
        """Open it. Raises SidemanError."""
        ...

    def add(self, index: int, name: str) -> None:
        """Play a strip."""
        ...

    @property
    def latency_ns(self) -> int:
        """How long after its callback a frame is heard."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it still plays."""
        ...

    def wired(self) -> dict[str, tuple[str, ...]] | None:
        """What its ports are connected to, where it has such; None: as before."""
        ...

    def close(self) -> None:
        """Leave it."""
        ...


def serve(channel: Channel, desk: Desk) -> None:
    """Play the desk until the stage goes or the device does."""
    try:
        first = channel.first()
    except ChannelClosedError:
        return
    if not isinstance(first, DeviceSetup):
        return
    device = _make(first, desk)
    with contextlib.suppress(ChannelClosedError):
        try:
            device.start()
            _play(channel, desk, device)
        except SidemanError as error:
            channel.send(Trouble(str(error)))
            return
    for index in range(STRIPS):
        desk.set_fader(index, 0.0, 0.0)
    time.sleep(2 * RAMP_S + 2 * desk.block / max(1, desk.rate))  # the fade is heard
    device.close()


def _play(channel: Channel, desk: Desk, device: Device) -> None:
    steering: Steering | None = None
    began_s = time.monotonic()
    moved_s, callbacks = began_s, 0
    while device.alive:
        for message in channel.receive():
            if isinstance(message, StripAdded):
                device.add(message.index, message.name)
        while device.beat.pairs:
            pair = device.beat.pairs.popleft()
            if steering is None:
                steering = Steering(device.rate, *pair)
                desk.set_clock(steering.clock)
                channel.send(DeviceReady(device.name, device.latency_ns))
            steering.observe(*pair)
            if steering.steer(desk.played + round(STEER_AHEAD_S * device.rate)):
                desk.set_clock(steering.clock)
            desk.words[PPB], desk.words[ERROR_NS] = steering.measured_ppb, round(steering.error_ns)
        wired = device.wired()
        if wired is not None:
            channel.send(DeviceWired(wired))
        now_s = time.monotonic()
        if desk.words[CALLBACKS] != callbacks:
            moved_s, callbacks = now_s, desk.words[CALLBACKS]
        elif now_s - moved_s > (SILENT_S if steering else START_S):
            raise SidemanError(f"{device.name} has stopped")
        channel.wait(LOOK_S if steering else 0.01)


def _make(setup: DeviceSetup, desk: Desk) -> Device:
    if setup.device == JACK:
        from bridge.sound.jack_device import JackDevice

        return JackDevice(setup, desk)
    from bridge.sound.portaudio import PortAudioDevice

    return PortAudioDevice(setup.device, desk)


def main() -> None:
    """Run as a process on an inherited descriptor. Leaves at once at the end, as some drivers hang in theirs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = Channel.inherited(int(sys.argv[1]), ToDevice)
    desk = Desk.attach(sys.argv[2])
    take_realtime()  # or the callback would wait for an ordinary thread that holds the interpreter
    with keep_time():
        serve(channel, desk)
    channel.close()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
