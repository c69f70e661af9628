"""A player: its parameters, its planner, its worker, and what of it the surface shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from bridge.control.heard import Ears, Hearing
from bridge.control.surface import ROOT, Node
from bridge.files.loopwav import SessionLoops
from bridge.messages.stage import Mix, Mute
from bridge.messages.worker import Failed, Generate, Load, Made, Prime, Primed, WorkerReady
from bridge.players.band import Band
from bridge.players.grid import Song
from bridge.players.nodes import nodes_of
from bridge.players.planner import Planner
from bridge.players.policy import PLAYER_PARAMETERS, TRADE, Listener
from bridge.players.supervisor import Supervisor
from bridge.players.trade import bars_of
from bridge.players.whole import Whole
from bridge.set import PlayerSet
from engines.bundle import NOT_COMMERCIAL, find, non_commercial
from engines.errors import SidemanError
from engines.parameter import Parameters, Value, shortened


class Player:
    """One player of a set. `start` starts its worker; `on_changed` is called when its nodes are others."""

    def __init__(
        self,
        name: str,
        config: PlayerSet,
        *,
        song: Song,
        seed: int,
        to_stage: Callable[[Any], None],
        listener: Listener,
        now_ns: Callable[[], int],
        hearing: Hearing,
        band: Band,
        loops: SessionLoops,
    ) -> None:
        self.name = name
        self._band = band
        self._song = song
        self.whole = Whole(song.grid)
        self.config = config
        self.muted = False
        self.description = ""
        self.broken = ""
        self._to_stage = to_stage
        self._listener = listener
        self._seed = seed
        self._loops = loops
        self.bundle = config.bundle
        self._incoming: Supervisor | None = None
        self._last_call: asyncio.TimerHandle | None = None
        self._supervisor = self._supervise(config.bundle)
        self.on_changed: Callable[[], None] = lambda: None
        self.planner = Planner(
            player=name,
            song=song,
            parameters=Parameters(PLAYER_PARAMETERS),
            engine_parameters=(),
            seed=seed,
            pitches=config.pitches(),
            to_stage=to_stage,
            to_worker=self._send_worker,
            listener=listener,
            now_ns=now_ns,
            ears=Ears(hearing, config.heard_inputs(), band, config.heard_players()),
            band=band,
            chunk=config.chunk,
        )

    @property
    def parameters(self) -> Parameters:
        """The engine's and the player's own, with their values."""
        return self.planner.parameters

    @property
    def channels(self) -> tuple[int, ...]:
        """The MIDI channel of each of its parts, from part 1 on."""
        return self.config.setup(self.name).channels

    @property
    def worker_pid(self) -> int | None:
        """The process that makes the bars, while one runs."""
        return self._supervisor.pid

    @property
    def loaded(self) -> bool:
        """True once the worker has been ready."""
        return bool(self.description)

    def start(self) -> None:
        """Start the worker."""
        self._supervisor.start()

    def close(self) -> None:
        """End the worker."""
        if self._last_call is not None:
            self._last_call.cancel()
        for supervisor in (self._supervisor, self._incoming):
            if supervisor is not None:
                supervisor.close()

    # The surface

    def nodes(self) -> tuple[Node, ...]:
        """Everything of the player that can be turned, done or heard from."""
        return nodes_of(self)

    def state(self) -> tuple[Value, ...]:
        """Bar, outcome, hits, lates, headroom, and the bar in which a change would be heard now."""
        planner, counters = self.planner, self.planner.counters
        current = planner.current
        bar = self._song.grid.bar_at(current.span.start_tick).number if current else -1
        outcome = current.outcome if current else "rest"
        return (bar, outcome, counters.hit, counters.late, counters.headroom_last, planner.lands)

    def set(self, name: str, value: object) -> None:
        """Set a parameter. Raises SidemanError that names it and says what it takes."""
        before = self.parameters.snapshot().get(name)
        if self.parameters.set(name, value) == before:
            return
        if self.parameters.table[name].kind == "text":
            self._listener.on_message(f"{self.name}: {name} {shortened(self.parameters[name])}")
        if name in self.planner.engine_parameters:
            self.planner.turned()
        elif name in [parameter.name for parameter in TRADE]:
            self.planner.trade()
        elif name in ("gain", "pan"):
            self._to_stage(Mix(self.name, float(self.parameters["gain"]), float(self.parameters["pan"])))

    def trade(self, arguments: tuple[Any, ...]) -> None:
        """Listen and answer in turn, by bars: "4 4", or 4 and 4; 0 0 is off. Raises SidemanError."""
        for parameter, bars in zip(TRADE, bars_of(arguments), strict=True):
            self.parameters.set(parameter.name, bars)
        self.planner.trade()

    def heard(self) -> None:
        """Something was played where this player may listen: see that its engine is told in time."""
        if self._last_call is None:
            self._call_last()

    def _call_last(self) -> None:
        """Have the next bar made once more, at the last moment; it is looked for again, as the tempo may turn."""
        self._last_call = None
        left_s = self.planner.last_call_s()
        if left_s is None:
            return
        if left_s > 0.0:
            self._last_call = asyncio.get_running_loop().call_later(left_s, self._call_last)
        else:
            self.planner.changed()

    def mute(self, on: bool) -> None:
        """Silence the player at once, or let it out again."""
        self.muted = on
        self._band.mute(self.name, on)
        self._to_stage(Mute(self.name, on))

    def swap(self, bundle: object) -> None:
        """Load another bundle beside the one that plays; it takes over at a bar. A broken one changes nothing."""
        if not isinstance(bundle, str):
            raise SidemanError("bundle takes a bundle's name or folder")
        load = self._load(bundle)  # a name that cannot be found is told to whoever sent it
        if self._incoming is not None:
            self._incoming.close()
        self._incoming = Supervisor(
            load,
            on_ready=partial(self._swapped, bundle),
            on_answer=lambda _: None,
            on_lost=lambda _: None,
            on_broken=partial(self._swap_failed, bundle),
        )
        self._incoming.start()

    # Workers

    def _supervise(self, bundle: str) -> Supervisor:
        return Supervisor(self._load(bundle), self._ready, self._answer, self._lost, self._gave_up)

    def _load(self, bundle: str) -> Load:
        try:
            path = str(find(bundle).resolve()) if bundle else ""
        except (OSError, RuntimeError, ValueError) as error:  # a name from outside may be anything
            raise SidemanError(f"there is no bundle {bundle[:40]!r}: give a folder, or a shipped one's name") from error
        config, loops = self.config, self._loops
        where = (loops.folder(self.name), loops.kept)
        song = self._song
        meter = song.grid.bar(0).meter
        return Load(
            config.engine, path, config.runtime, self._seed, *where, config.chunk, meter, song.tempo_mbpm,
            config.device,
        )  # fmt: skip

    def _ready(self, message: WorkerReady) -> None:
        if not self.loaded:
            self._adopt(message)
            self._complain(message)
        self.planner.worker_ready(message.bar_p99_s)
        self.on_changed()

    def _adopt(self, message: WorkerReady) -> None:
        """Take over an engine's parameters; values that it takes as well are kept."""
        old = self.parameters
        new = Parameters((*message.parameters, *PLAYER_PARAMETERS))
        for name, value in old.snapshot().items():
            if name in new:
                try:
                    new.set(name, value)
                except SidemanError as error:
                    self._listener.on_message(f"{self.name}: {error}; it is {new[name]} now")
        self.planner.adopt(new, tuple(parameter.name for parameter in message.parameters))
        self.description = message.description

    def _complain(self, message: WorkerReady) -> None:
        """Say what of its files an engine cannot use, and what its weights may not be used for."""
        if message.licence and non_commercial(message.licence):
            self._listener.on_message(f"{self.name}: its weights are {message.licence}: {NOT_COMMERCIAL}")
        for trouble in message.troubles:
            self._listener.on_message(f"{self.name}: {trouble}")

    def _answer(self, message: Primed | Made | Failed) -> None:
        for line in message.said:
            self._listener.on_message(f"{self.name}: {line}")
        if isinstance(message, Made):
            self.planner.made(message)
        elif isinstance(message, Primed):
            self.planner.primed(message.id)
        else:
            self.planner.failed(message.id, message.text)

    def _lost(self, reason: str) -> None:
        self._listener.on_message(f"{self.name}: the worker {reason}; it is being started again")
        self.planner.worker_lost()

    def _gave_up(self, reason: str) -> None:
        self.broken = reason
        self.planner.worker_lost()
        if self.loaded:
            address = f"{ROOT}/{self.name}/bundle"
            self._listener.on_message(
                f"{self.name}: the worker cannot be kept alive ({reason}); send {address} a bundle"
            )
        self.on_changed()

    def _swapped(self, bundle: str, message: WorkerReady) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            return
        self._supervisor.close()
        self._supervisor = incoming
        incoming.hand_over(self._ready, self._answer, self._lost, self._gave_up)
        self.bundle, self.broken = bundle, ""
        self.planner.worker_lost()
        self._adopt(message)
        self._complain(message)
        self.planner.worker_ready(message.bar_p99_s)
        self.planner.changed()
        self._listener.on_message(f"{self.name}: {message.description} takes over at bar {self.planner.lands}")
        self.on_changed()

    def _swap_failed(self, bundle: str, reason: str) -> None:
        self._incoming = None
        self._listener.on_message(f"{self.name}: {bundle} cannot be played: {reason}; {self.bundle} plays on")

    def _send_worker(self, message: Prime | Generate) -> None:
        self._supervisor.send(message)
