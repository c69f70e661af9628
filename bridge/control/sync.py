"""What is followed: choosing it, tapping a tempo, and how well we follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from bridge.control.surface import ROOT, Node
from bridge.control.tap import TapTempo
from bridge.control.transport import Transport
from bridge.messages.sync import SourcePlays, SourceState, SourceStops, Sync, SyncSetup
from bridge.set import TEMPO_BPM_HIGH, TEMPO_BPM_LOW, parse_sync, sync_setup
from engines.errors import SidemanError
from engines.parameter import Value

STATE = f"{ROOT}/transport/state"


class SyncDesk:
    """The addresses of sync. on_state is called whenever the state has changed."""

    def __init__(
        self, setup: SyncSetup, transport: Transport, to_stage: Callable[[Any], None], now_ns: Callable[[], int]
    ) -> None:
        self.on_state: Callable[[], None] = lambda: None
        self._transport = transport
        self._transport.sync = setup
        self._to_stage = to_stage
        self._now_ns = now_ns
        self._tap = TapTempo()
        self._state: SourceState | None = None

    def nodes(self) -> tuple[Node, ...]:
        """What can be turned and asked."""
        takes = "internal, link, jack or midi:PORT"
        kinds = "what is followed, 1 if its tempo and phase are known, tempo, phase error in ms, peers"
        return (
            Node(
                f"{ROOT}/transport/sync", takes, "what is followed", get=lambda: (self.followed,), set=self.follow
            ),
            Node(STATE, "nothing", kinds, get=self.state),
            Node(f"{ROOT}/transport/tap", "nothing", "a tap: from the third on they are the tempo", act=self.tap),
        )  # fmt: skip

    @property
    def followed(self) -> str:
        """What is followed, as a set file says it."""
        sync = self._transport.sync
        return f"{sync.kind}:{sync.target}" if sync.target else sync.kind

    def follow(self, value: object) -> None:
        """Follow something else; what plays goes on. Raises SidemanError."""
        if not isinstance(value, str):
            raise SidemanError("sync takes internal, link, jack or midi:PORT")
        before = self._transport.sync
        setup = sync_setup(parse_sync(value), before.quantum_ticks, before.start_stop)
        self._transport.follow(setup)
        self._state = None
        self._to_stage(Sync(setup))

    def tap(self, _arguments: tuple[Any, ...]) -> None:
        """A tap on the beat. Raises SidemanError where the tempo cannot be set."""
        tempo_bpm = self._tap.tap(self._now_ns())
        if tempo_bpm is not None:
            tempo_bpm = round(min(max(tempo_bpm, TEMPO_BPM_LOW), TEMPO_BPM_HIGH), 1)
            self._transport.set_tempo(tempo_bpm)
            self._transport.say(f"tapped {tempo_bpm:g} bpm")

    def said(self, message: SourceState | SourcePlays | SourceStops) -> None:
        """The stage has told how it follows, or that what it follows has started or stopped."""
        if isinstance(message, SourcePlays):
            self._transport.source_plays(message)
        elif isinstance(message, SourceStops):
            self._transport.source_stops()
        else:
            self._follows(message)

    def state(self) -> tuple[Value, ...]:
        """Kind, locked, tempo in bpm, phase error in ms, peers."""
        said = self._state
        if said is None:
            kind = self._transport.sync.kind
            return kind, kind == "internal", self._transport.tempo_mbpm / 1000, 0.0, 0
        error_ms = round(said.phase_error_us / 1000, 4)
        return said.kind, said.locked and not said.holdover, said.tempo_mbpm / 1000, error_ms, said.peers

    def line(self) -> str:
        """The same for people; "" without a source."""
        kind, locked, tempo_bpm, error_ms, peers = self.state()
        if kind == "internal" or self._state is None:
            return ""
        how = "locked" if locked else "holding" if self._state.holdover else "waiting"
        counted = f", {peers} peer{'' if peers == 1 else 's'}" if kind == "link" else ""
        return f"sync {self.followed}: {how}, {tempo_bpm:g} bpm, {error_ms:+.2f} ms{counted}"

    def _follows(self, message: SourceState) -> None:
        if message.kind == "internal" != self._transport.sync.kind:  # what was asked for cannot be followed
            self._transport.follow(structs.replace(self._transport.sync, kind="internal", target=""))
        self._state = message
        self._transport.source_state(message)
        self.on_state()
