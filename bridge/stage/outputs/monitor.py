"""The monitor: a process that plays the built-in kit on a sound device.

Run by the stage's audio output as `python -m bridge.stage.outputs.monitor DESCRIPTOR`. It is a process of its own, as a
sound card's callback must not wait for the stage, nor the stage for a sound card. When the device goes it leaves, and
the stage starts another.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import Any

from bridge.channel import Channel, ChannelClosedError
from bridge.messages.message import Trouble
from bridge.messages.sound import MonitorNote, MonitorReady, MonitorSetup, MonitorSilence, ToMonitor
from bridge.sound.kit import RATE, Kit, Samples
from bridge.sound.mixer import Hit, Mixer
from bridge.timing.clock import ClockMap
from engines.errors import SidemanError

LATENCY_S = 0.03
"""Asked of the device; it may take more."""

MARGIN_S = 0.015
"""For the way here and for a callback that comes late."""

LOOK_S = 0.5
"""How often the device is looked after."""


class Speaker:
    """Puts notes on the frame at which a device sounds them.

    lead_s: how long before its moment a note is sent here. A device that must have a block earlier than that plays all
    notes later, evenly. latency_s: the device's own figure, for drivers that do not tell it at each block.
    """

    def __init__(self, mixer: Mixer, lead_s: float, latency_s: float) -> None:
        self._mixer = mixer
        self._lead_s = lead_s
        self._latency_s = latency_s
        self._shift_s = 0.0
        self._clock: ClockMap | None = None

    def play(self, note: MonitorNote) -> None:
        """Queue a note for its frame."""
        frame = self._mixer.frame
        if self._clock:
            frame = round(self._clock.units_at(note.at_ns + round(self._shift_s * 1e9)))
        self._mixer.add(Hit(frame, note.pitch, note.velocity, note.channel))

    def silence(self) -> None:
        """Fade out."""
        self._mixer.silence()

    def block(self, frames: int, now_ns: int, until_heard_s: float) -> Samples:
        """The next block, (frames, 2), of which the first frame is heard in until_heard_s from now_ns."""
        if not 0 < until_heard_s < 1:  # some drivers do not know
            until_heard_s = self._latency_s
        shift_s = until_heard_s + frames / RATE + MARGIN_S - self._lead_s
        if shift_s > self._shift_s + MARGIN_S / 2:  # not for the driver's own jitter
            self._shift_s = shift_s
        heard_ns = now_ns + round(until_heard_s * 1e9)
        if self._clock:
            self._clock.observe(self._mixer.frame, heard_ns)
        else:
            self._clock = ClockMap(1e9 / RATE, self._mixer.frame, heard_ns)
        return self._mixer.render(frames)


def serve(channel: Channel) -> None:
    """Play what the stage says until it goes or the device does."""
    with contextlib.suppress(ChannelClosedError):
        first = channel.first()
        if not isinstance(first, MonitorSetup):
            return
        try:
            stream, speaker, name = _open(first, Mixer(Kit()))
        except SidemanError as error:
            channel.send(Trouble(str(error)))
            return
        with contextlib.suppress(ChannelClosedError):
            channel.send(MonitorReady(name))
            while stream.active:
                for message in channel.receive():
                    if isinstance(message, MonitorNote):
                        speaker.play(message)
                    elif isinstance(message, MonitorSilence):
                        speaker.silence()
                channel.wait(LOOK_S)
        speaker.silence()
        time.sleep(LATENCY_S + MARGIN_S)  # the fade is heard


def _open(setup: MonitorSetup, mixer: Mixer) -> tuple[Any, Speaker, str]:
    """A running stream. Raises SidemanError when there is no device, or none of that name."""
    try:
        import sounddevice
    except OSError as error:
        raise SidemanError(f"no sound: {error}; on Linux install libportaudio2") from None
    speaker: Speaker | None = None

    def callback(outdata: Samples, frames: int, when: Any, _status: object) -> None:
        if speaker is None:
            outdata.fill(0)
        else:
            outdata[:] = speaker.block(frames, time.perf_counter_ns(), when.outputBufferDacTime - when.currentTime)

    try:
        stream = sounddevice.OutputStream(
            samplerate=RATE,
            channels=2,
            dtype="float32",
            latency=LATENCY_S,
            device=setup.device or None,
            callback=callback,
        )
        name = str(sounddevice.query_devices(stream.device)["name"])
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as error:
        wanted = f"the sound device {setup.device!r} cannot be played on" if setup.device else "no sound device here"
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SidemanError(f"{wanted} ({text})") from None
    speaker = Speaker(mixer, setup.lead_ns / 1e9, stream.latency)
    return stream, speaker, name


def main() -> None:
    """Run as a process on an inherited descriptor. Leaves without closing the device, which some drivers hang in."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = Channel.inherited(int(sys.argv[1]), ToMonitor)
    serve(channel)
    channel.close()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
