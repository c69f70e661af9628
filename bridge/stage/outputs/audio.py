"""The `audio` output: a player heard on a sound device, through a renderer of its own.

A target is a part of a device's name, "jack", or "" for the default device; behind a plus, what else there is to say:
`audio:jack`, `audio:+font:/usr/share/sounds/sf2/default-GM.sf2`, `audio:jack+finish`.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import Any

from bridge.channel import Channel, ChannelClosedError, module_command, pair
from bridge.messages.message import Message
from bridge.messages.sound import (
    CueLoop,
    Fader,
    FromRenderer,
    RendererReady,
    RendererSetup,
    SoundNote,
    SoundSilence,
    SoundStatus,
    StartLoop,
)
from bridge.messages.stage import EpochStarted, Event, Piece, PlayerSetup, Stopped
from bridge.sound.desk import BLOCK, CALLBACKS, ERROR_NS, LATE_FRAMES, PPB, STARVATIONS, STARVED_FRAMES, WRITTEN, XRUNS
from bridge.stage.outputs.sound_device import LEAD_MAX_NS, Leavers, SoundDevice, inheriting
from bridge.stage.outputs.target import Target
from bridge.stage.rack import Rack
from bridge.timing.timeline import TempoMap
from engines.errors import SidemanError
from engines.music import LoopFile
from engines.notes.roles import CHANNELS

SETTLE_S = 3.0
RETRY_NS = 1_000_000_000
STATUS_NS = 1_000_000_000
HANGS_NS = 1_000_000_000
"""A renderer that has written nothing for so long is replaced."""

QUIET_NS = 10_000_000_000
"""How the sound fares is told at most once a second; where nothing new has happened, once in so long besides."""

PIECES_TOLD = 16
"""Of the timeline, to a renderer that is started in the middle."""


class AudioOutput:
    """Sends a player's notes and loops to a renderer. Players with the same device share that."""

    lead_ns = LEAD_MAX_NS

    def __init__(self, player: PlayerSetup, target: str, rack: Rack) -> None:
        self._player = player.name
        self._programs = {CHANNELS[part - 1]: program for part, program in player.programs.items()}
        self._text = target
        self._target = Target()
        self._rack = rack
        self._device: SoundDevice | None = None
        self._strip = 0
        self._later_ns = 0
        self._opening = 0
        self._leavers = Leavers()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._up = False
        self._wrote_ns = 0
        self._news: list[Message] = []
        self._next_try_ns = 0
        self._next_status_ns = 0
        self._tempo: TempoMap | None = None
        self._fader = Fader()
        self._loop: StartLoop | None = None
        self._counters: tuple[int, ...] = ()

    def open(self) -> str:
        """Open the device, or join it, and start a renderer. Raises SidemanError when there is no sound device."""
        self._target = Target.parse(self._text)
        name, rack = self._target.device, self._rack
        self._device = rack.shared(
            f"sound {name}", SoundDevice, lambda: SoundDevice(name, rack.client_name, rack.reconnect)
        )
        if not self._target.unheard:  # who asks for sound has a device, most likely: both start at once
            self._launch()
        try:
            heard_on = self._device.start()
        except SidemanError:
            self._drop()
            raise
        self._strip = self._device.add(self._player)
        needs_ns = self._device.needs_ns(rewinds=not self._target.font)
        self.lead_ns = min(LEAD_MAX_NS, needs_ns)
        self._later_ns = needs_ns - self.lead_ns
        self._launch()
        self._brief()
        until = ", until something is connected to its MIDI" if self._target.unheard else ""
        return f"sound: {self._player} on {heard_on}{until}"

    @property
    def latency_ns(self) -> int:
        """How long before it is heard a note has to be handed over."""
        return self.lead_ns + self._later_ns

    @property
    def device_ns(self) -> int:
        """How much of that is the device's own."""
        return self._device.own_ns if self._device else 0

    def settle(self) -> None:
        """Wait until the renderer writes, so that the first note is heard."""
        deadline_s = time.monotonic() + SETTLE_S
        while self._channel and not self._up and self._channel.wait(max(0.0, deadline_s - time.monotonic())):
            self._news += self._heard()

    def send(self, event: Event) -> None:
        """Hand a note to the renderer."""
        if self._target.unheard and event.velocity and self._player in self._rack.heard:
            return
        channel = CHANNELS[event.part - 1] if event.part else event.channel
        self._say(SoundNote(event.pitch, event.velocity, channel, event.at_ns))

    def cue(self, loop: LoopFile) -> None:
        """Have a loop ready."""
        self._say(CueLoop(loop))

    def loop_starts(self, loop: LoopFile | None, tick: int, length_ticks: int) -> None:
        """From a stage tick on this loop plays."""
        self._loop = StartLoop(loop, tick, length_ticks)
        self._say(self._loop)

    def timeline(self, message: Piece | EpochStarted | Stopped) -> None:
        """Let the renderer know the tempo; where an epoch begins and ends, `loop_starts` says."""
        if isinstance(message, Piece):
            if self._tempo:
                self._tempo.apply(message)
            else:
                self._tempo = TempoMap(message)
            self._say(message)

    def mute(self, on: bool) -> None:
        """Close the fader, or open it."""
        self._fader = Fader(self._fader.gain_db, self._fader.pan, on)
        self._say(self._fader)

    def mix(self, gain_db: float, pan: float) -> None:
        """Move the fader."""
        self._fader = Fader(gain_db, pan, self._fader.muted)
        self._say(self._fader)

    def panic(self) -> None:
        """Fade everything out."""
        self._loop = None
        self._say(SoundSilence())

    def poll(self, now_ns: int) -> list[Message]:
        """Whether the device went, or is back; what its renderer has to say; how the sound fares, when that changed."""
        device = self._device
        if not device:
            return []
        self._leavers.look()
        news, self._news = [*self._news, *device.poll(now_ns), *self._heard()], []
        if not device.present:
            self._drop()
        elif self._gone(device, now_ns) and now_ns >= self._next_try_ns:
            self._next_try_ns = now_ns + RETRY_NS
            self._drop()
            self._launch()
            self._brief()
        return news + self._status(device, now_ns)

    def close(self) -> None:
        """End the renderer; the rack closes the device."""
        self._drop()
        self._leavers.wait()
        self._device = None

    def _launch(self) -> None:
        """Start a renderer, unless there is one."""
        device = self._device
        if not device or self._channel:
            return
        desk = device.shared_desk()
        self._up = False
        mine, theirs = pair()
        accepts: Any = FromRenderer
        with theirs:
            self._process = subprocess.Popen(
                [*module_command("bridge.sound.renderer", theirs.fileno()), desk.handle],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **inheriting(theirs, desk),
            )
        self._channel = Channel(mine, accepts)

    def _brief(self) -> None:
        """Tell it all there is to know, now that the device plays."""
        self._opening = self._device.openings if self._device else 0
        self._wrote_ns = time.perf_counter_ns()
        setup = RendererSetup(self._strip, self._target.font, self._target.finish, self._later_ns, self._programs)
        self._say(setup)
        self._say(self._fader)
        for piece in self._tempo.pieces[-PIECES_TOLD:] if self._tempo else ():
            self._say(piece)
        if self._loop:
            self._say(self._loop)

    def _say(self, message: Message) -> None:
        """Tell the renderer; while there is none, nobody."""
        if self._channel:
            with contextlib.suppress(ChannelClosedError):
                self._channel.send(message)

    def _heard(self) -> list[Message]:
        if not self._channel:
            return []
        try:
            news = self._channel.receive()
            self._channel.flush()
        except ChannelClosedError:
            self._drop()
            return []
        self._up = self._up or any(isinstance(message, RendererReady) for message in news)
        return [message for message in news if not isinstance(message, RendererReady)]

    def _gone(self, device: SoundDevice, now_ns: int) -> bool:
        """Whether there has to be another renderer: it has died, hangs, or writes for a device that was opened anew."""
        desk = device.desk
        if self._channel is None or self._opening != device.openings or desk is None:
            return True
        if not self._up or desk.strip(self._strip, WRITTEN) >= desk.played:
            self._wrote_ns = now_ns
        return now_ns - self._wrote_ns > HANGS_NS

    def _status(self, device: SoundDevice, now_ns: int) -> list[Message]:
        desk = device.desk
        if not desk or not desk.words[CALLBACKS] or now_ns < self._next_status_ns:
            return []
        starvations, starved, late = (
            desk.strip(self._strip, word) for word in (STARVATIONS, STARVED_FRAMES, LATE_FRAMES)
        )
        counters = (desk.words[XRUNS], starvations, starved, late)
        if counters == self._counters and now_ns < self._next_status_ns + QUIET_NS:
            return []
        self._next_status_ns = now_ns + STATUS_NS
        self._counters = counters
        return [
            SoundStatus(
                player=self._player,
                device=device.name,
                rate=desk.rate,
                block=desk.words[BLOCK],
                xruns=desk.words[XRUNS],
                callbacks=desk.words[CALLBACKS],
                load_p50_percent=desk.load_percent(50),
                load_p99_percent=desk.load_percent(99),
                drift_ppm=desk.words[PPB] / 1000,
                error_us=desk.words[ERROR_NS] / 1000,
                starvations=starvations,
                starved_frames=starved,
                late_frames=late,
                later_ms=self._later_ns / 1e6,
            )
        ]

    def _drop(self) -> None:
        channel, self._channel = self._channel, None
        process, self._process = self._process, None
        if channel:
            channel.close()
        self._leavers.add(process)
