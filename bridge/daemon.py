"""The daemon: starts and stops the parts of `sideman live`, and carries what each says to the others.

OSC, keys, --set ─► surface ─► transport, players
                                   │ planner ──request──► worker      (a process per player)
                                   │    ▲                  │
                                   │    └──────bar─────────┘
                                   ▼ chunks
                view, OSC ◄─── stagehand ──────────────► stage       (a real-time process)
                                   │ what left
                                   ▼
                                 tape ─────────────────► recorder    (a process)
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bridge
from bridge.control.heard import Hearing
from bridge.control.keeper import Keeper
from bridge.control.learn import Learn
from bridge.control.osc import OscDoor
from bridge.control.stagehand import Stagehand
from bridge.control.status import Status
from bridge.control.surface import ROOT, Node, Surface
from bridge.control.sync import STATE, SyncDesk
from bridge.control.tape import Tape
from bridge.control.transport import Transport
from bridge.control.watch import Watch
from bridge.files.loopwav import SessionLoops
from bridge.messages.hearing import Heard
from bridge.messages.sound import SoundStatus
from bridge.messages.stage import (
    BarStarted,
    EpochStarted,
    Left,
    Mute,
    Panic,
    Piece,
    Refused,
    Setup,
    StageReady,
    Stopped,
    Subscribers,
)
from bridge.messages.sync import SourcePlays, SourceState, SourceStops
from bridge.players.band import Band
from bridge.players.grid import BarSpan, Song
from bridge.players.player import Player
from bridge.players.policy import BarReport
from bridge.players.whole import shown
from bridge.set import Set
from bridge.terminal.keyboard import Keyboard
from bridge.terminal.view import View
from engines.errors import SidemanError
from engines.music import Meter, Phrase

SEED_STRIDE = 1_000_003
"""Between the seeds of a set's players; the first has the set's own, so that it plays what `generate` writes."""

CLIENT_NAME = "sideman"


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What the command line adds to a set.

    bars: leave after so many; record: files; stems: folder for a file of each player
    settings: (name, text) of each --set; keys: take them from the terminal
    playhead: tell the view every sixteenth; file: the set's, which it is saved to.
    """

    bars: int | None = None
    record: tuple[Path, ...] = ()
    stems: Path | None = None
    settings: tuple[tuple[str, str], ...] = ()
    keys: bool = False
    playhead: bool = False
    file: Path | None = None


class Daemon:
    """One session. Nothing runs before `start`; `close` ends every note and every process."""

    def __init__(self, set_: Set, options: LiveOptions, view: View) -> None:
        self.surface = Surface()
        self.hearing = Hearing()
        self.band = Band({name: config.channel for name, config in set_.players.items()})
        self.loops = SessionLoops(set_.loops)
        self.song = Song(set_.meter, round(set_.tempo_bpm * 1000))
        self.transport = Transport(self.song, self._to_stage, time.perf_counter_ns)
        self.transport.count_in_bars = set_.count_in_bars
        self.sync = SyncDesk(set_.sync_setup(), self.transport, self._to_stage, time.perf_counter_ns)
        self.players = {
            name: Player(
                name, config, song=self.song, seed=set_.seed + number * SEED_STRIDE,
                to_stage=self._to_stage, listener=self, now_ns=time.perf_counter_ns, hearing=self.hearing,
                band=self.band, loops=self.loops,
            )
            for number, (name, config) in enumerate(set_.players.items())
        }  # fmt: skip
        self.learn = Learn(self.surface, set_.learned, self.on_message)
        self.keeper = Keeper(options.file, self.transport, self.players, self.learn, self.on_message)
        self.osc = OscDoor(self.surface, set_.osc_port, set_.lan)
        stems = () if options.stems is None else tuple((name, options.stems / f"{name}.wav") for name in self.players)
        stage_players = tuple(player.config.setup(name, set_.outputs) for name, player in self.players.items())
        programs = {player.name: player.programs for player in stage_players}
        self.tape = Tape(options.record, self.on_message, stems, programs)
        self.stagehand = Stagehand(
            Setup(CLIENT_NAME, stage_players, self.song.tempo_mbpm, set_.sync_setup(), set_.input_setups()),
            lambda: self.transport.tempo_mbpm,
            self._stage_said,
            self._stage_lost,
            self.on_message,
        )
        self._set, self._options, self._view = set_, options, view
        self.status = Status(set_.seed, self.transport, self.sync, self.stagehand, self.players)
        self._keyboard = Keyboard(self.surface, tuple(self.players), self.on_message, self.stop)
        self._watch = Watch(
            self.song, self.transport, time.perf_counter_ns,
            bars=options.bars, playhead=view.playhead if options.playhead else None, over=self.stop,
        )  # fmt: skip
        self._loaded = asyncio.Event()
        self._done = asyncio.Event()

    async def start(self) -> None:
        """Open the doors, start every process, set what is to be set, and play. Raises SidemanError."""
        self.on_message(self.osc.open())
        self.osc.on_clients = lambda: self._to_stage(Subscribers(self.osc.clients.targets()))
        for player in self.players.values():
            player.on_changed = self._player_changed
            player.planner.on_cued = self.transport.cued
            player.start()
        await self.stagehand.start()
        await self._loaded.wait()
        for name, player in self.players.items():
            if player.broken:
                raise SidemanError(f"players.{name}: {player.broken}")
            self.on_message(f"{name}: {player.description}, seed {self._set.seed}")
            for parameter, value in player.config.parameters.items():
                self.surface.assign(f"{name}.{parameter}", value)
        for name, text in self._options.settings:
            self.surface.assign(name, text)
        self.learn.check()
        self.transport.conduct(tuple(player.planner for player in self.players.values()), next(iter(self.players)))
        self.transport.say = self.on_message
        self.sync.on_state = self._sync_state
        self.transport.on_meter = self._meter_changed
        for planner in self.transport.planners:
            planner.last_bar = None if self._options.bars is None else self._options.bars - 1
        self.tape.start(self.transport.tempo_mbpm, self.transport.meter)
        if self._options.keys:
            self._keyboard.start()
        self.transport.play()

    async def wait(self) -> None:
        """Until the last bar has sounded, `stop` is called, or the stage cannot be kept. Raises SidemanError."""
        await self._done.wait()
        if self.stagehand.failed:
            raise SidemanError(self.stagehand.failed)

    def stop(self) -> None:
        """End the session."""
        self._done.set()

    async def close(self) -> None:
        """End every note and every process; have the recording written. May be called twice."""
        self._watch.close()
        self._keyboard.close()
        self.transport.stop(shared=False)
        self.stagehand.close()
        await self.tape.finish(self._watch.end_tick)
        for player in self.players.values():
            player.close()
        self.loops.close()
        self.osc.close()

    # The surface

    def _system_nodes(self) -> tuple[Node, ...]:
        system = f"{ROOT}/system"
        return (
            Node(f"{system}/panic", "nothing", "end every note", act=lambda _: self._to_stage(Panic())),
            Node(f"{system}/status", "nothing", "names and figures of how it goes", get=self.status.figures),
            Node(f"{system}/version", "nothing", "Sideman's version", get=lambda: (bridge.__version__,)),
            *self.learn.nodes(),
            *self.keeper.nodes(),
        )

    def nodes(self) -> tuple[Node, ...]:
        """Every address there is."""
        players = (node for player in self.players.values() for node in player.nodes())
        return (*players, *self.transport.nodes(), *self.sync.nodes(), *self._system_nodes(), *self.osc.nodes())

    def _player_changed(self) -> None:
        """A player has loaded, or has other parameters now."""
        self.surface.replace(self.nodes())
        if all(player.loaded or player.broken for player in self.players.values()):
            self._loaded.set()

    # The stage

    def _to_stage(self, message: Any) -> None:
        self.stagehand.send(message)
        if isinstance(message, Mute):
            now_tick = self.song.song_tick_at(time.perf_counter_ns()) if self.song.playing else 0
            self.tape.mute(message.player, self.song.stage_tick(now_tick), message.muted)

    def _stage_said(self, message: Any) -> None:
        match message:
            case Left():
                self.tape.relay(message)
            case BarStarted():
                self.players[message.player].planner.bar_started(message)
                self._tape_bar(message)
                self._watch.bar_started()
            case Heard():
                self._heard(message)
            case Refused():
                self.players[message.player].planner.refused(message)
            case Piece():
                self.transport.piece(message)
                self.tape.relay(message)
            case EpochStarted():
                self.tape.align(message.tick, self.song.stage_tick(message.position_tick))
                self.transport.epoch_started(message)
                self.tape.relay(message)
                self.tape.meter(message.tick, self.song.grid.bar_at(message.position_tick).meter)
                self._watch.epoch_started()
            case Stopped():
                self.tape.stop(self.song.stage_tick(message.position_tick))
                self.transport.stopped(message)
            case SoundStatus():
                self.status.sound(message)
                self.players[message.player].planner.response.later_ns = round(message.later_ms * 1e6)
            case SourceState() | SourcePlays() | SourceStops():
                self.sync.said(message)
            case StageReady():
                self.transport.stage_back()
                for line in (*message.outputs, *filter(None, ["; ".join(message.problems)])):
                    self.on_message(line)

    def _tape_bar(self, message: BarStarted) -> None:
        """Have a bar's loop recorded; notes are as they leave."""
        offer = self.players[message.player].planner.current
        if offer is not None and offer.span.number == message.bar and message.epoch == self.song.epoch:
            span = offer.span
            self.tape.loop(message.player, self.song.stage_tick(span.start_tick), span.length_ticks, offer.phrase.loop)

    def _heard(self, message: Heard) -> None:
        self.hearing.take(self.learn.take(message.events))
        for player in self.players.values():
            player.heard()

    def _stage_lost(self) -> None:
        self.hearing.forget()
        if self.song.epoch:
            tick = self.song.stage_tick(self.song.song_tick_at(time.perf_counter_ns()))
            self.tape.splice(tick, self.stagehand.sounding)
        self.transport.stage_lost()
        if self.stagehand.failed:
            self.stop()

    def _sync_state(self) -> None:
        self.osc.broadcast(STATE, self.sync.state())
        self._view.sync(self.sync.line())

    def _meter_changed(self, song_tick: int, meter: Meter) -> None:
        if self.song.playing:
            self.tape.meter(self.song.stage_tick(song_tick), meter)

    # What the players and everyone have to say (bridge.players.policy.Listener)

    def on_offer(self, player: str, span: BarSpan, phrase: Phrase) -> None:
        """A whole bar ahead, or a span of one, goes to the OSC clients."""
        if span.part_ticks:
            self.osc.broadcast_span(player, self.song.grid.bar_at(span.start_tick), span, phrase)
        else:
            self.osc.broadcast_bar(player, span, phrase, self.players[player].channels)

    def on_bar(self, report: BarReport) -> None:
        """A bar or a span starts: the OSC clients hear how it came about, the view draws bars as they are whole."""
        player = self.players[report.player]
        self.osc.broadcast(f"{ROOT}/{report.player}/state", player.state())
        whole = player.whole.add(report)
        if whole is not None:
            self._view.bar(shown(whole, self.song.tempo_bpm, player.planner.response))

    def on_message(self, text: str) -> None:
        """One line for people."""
        self._view.say(text)
