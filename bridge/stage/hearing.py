"""What comes in at the stage: it is passed on to a player's outputs where a set says so, and told to control.

The inputs themselves are in bridge/stage/inputs; here is where their messages go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.messages.hearing import Heard, HeardEvent, InputSetup
from bridge.messages.stage import Event
from bridge.stage.patchbay import Patchbay
from bridge.stage.scheduler import Scheduler

if TYPE_CHECKING:
    from bridge.stage.inputs.inputs import Inputs


class Hearing:
    """Takes what came in from the inputs, once at each turn of the stage's loop."""

    def __init__(
        self, inputs: Inputs, setups: tuple[InputSetup, ...], patchbay: Patchbay, channels: dict[str, int]
    ) -> None:
        """setups: of the set's inputs; channels: the players' MIDI channels."""
        self._inputs = inputs
        self._thru_of = {setup.name: setup.thru for setup in setups if setup.thru in channels}
        self._patchbay = patchbay
        self._channels = channels
        self._held: set[tuple[str, int]] = set()
        self._lost = 0

    def take(self, scheduler: Scheduler, now_ns: int) -> Heard | None:
        """Pass on and return what has come in since the last call; None if that is nothing."""
        heard = []
        epoch = scheduler.epoch if scheduler.playing else None
        for raw in self._inputs.poll(now_ns):
            tick = scheduler.timeline.tick_at(raw.at_ns)
            song_tick = max(-1, epoch.position_tick + tick - epoch.tick) if epoch else -1
            status, first, second = (*raw.data, 0)[:3]
            event = HeardEvent(raw.input, (status, first, second), raw.at_ns, tick, song_tick)
            heard.append(event)
            if raw.input in self._thru_of:
                self._thru(self._thru_of[raw.input], event)
        lost = self._inputs.lost
        if not heard and lost == self._lost:
            return None
        self._lost = lost
        return Heard(tuple(heard), lost)

    def end(self, now_ns: int, tick: int) -> None:
        """End what is held and was passed on."""
        for player, pitch in sorted(self._held):
            self._patchbay.send(player, Event(player, tick, tick, pitch, 0, self._channels[player], now_ns, 0))
        self._held.clear()

    def _thru(self, player: str, heard: HeardEvent) -> None:
        status, pitch, velocity = heard.data
        kind, channel = status & 0xF0, self._channels[player]
        if kind not in (0x80, 0x90):
            length = 1 if kind in (0xC0, 0xD0) else 2  # program change and channel pressure have one byte
            self._patchbay.raw(player, (kind | channel - 1, *heard.data[1 : 1 + length]))
            return
        velocity = velocity if kind == 0x90 else 0
        (self._held.add if velocity else self._held.discard)((player, pitch))
        self._patchbay.send(
            player, Event(player, heard.tick, heard.song_tick, pitch, velocity, channel, heard.at_ns, 0)
        )
