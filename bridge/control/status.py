"""How it goes, in names and figures, for `/sideman/system/status`."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.control.stagehand import Stagehand
from bridge.control.sync import SyncDesk
from bridge.control.transport import Transport
from bridge.messages.sound import SoundStatus
from bridge.messages.stage import AskStatus
from bridge.players.player import Player
from engines.parameter import Value


class Status:
    """Collects the figures. Those of the stage are those of the question before: an answer waits for nobody."""

    def __init__(
        self, seed: int, transport: Transport, sync: SyncDesk, stagehand: Stagehand, players: Mapping[str, Player]
    ) -> None:
        self._seed = seed
        self._transport = transport
        self._sync = sync
        self._stagehand = stagehand
        self._players = players
        self._sound: dict[str, SoundStatus] = {}

    def sound(self, message: SoundStatus) -> None:
        """How a player's sound fares."""
        self._sound[message.player] = message

    def figures(self) -> tuple[Value, ...]:
        """Names and values in turn."""
        self._stagehand.send(AskStatus())
        figures: list[Value] = ["playing", self._transport.playing, "seed", self._seed]
        figures += ["sync", self._sync.followed, "peers", self._sync.state()[4]]
        stage = self._stagehand.status
        if stage is not None:
            figures += ["events", stage.events, "late_p99_us", stage.late_p99_us, "late_max_us", stage.late_max_us]
            figures += ["sounding", stage.sounding, "realtime", stage.realtime]
        for name, player in self._players.items():
            counters = player.planner.counters
            figures += [name, player.description, f"{name}_dropped", counters.dropped]
            figures += [f"{name}_headroom_min", counters.headroom_min]
            if sound := self._sound.get(name):
                figures += [f"{name}_xruns", sound.xruns, f"{name}_starved_frames", sound.starved_frames]
                figures += [f"{name}_late_frames", sound.late_frames, f"{name}_load_p99", sound.load_p99_percent]
        return tuple(figures)
