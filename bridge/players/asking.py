"""Asking: what a player's worker is asked, one thing at a time, so that nothing piles up behind a slow bar."""

from __future__ import annotations

from collections.abc import Callable

from bridge.messages.worker import Generate, Prime
from bridge.players.deadline import Deadlines
from bridge.players.grid import Song
from bridge.players.plan import Asked, Plan
from engines.engine import Played, Request
from engines.music import Note
from engines.parameter import Value


class Asking:
    """The questions to one worker, and what it is busy with.

    seed: the player's; to_worker: sends; now_ns: perf_counter_ns
    """

    def __init__(
        self,
        song: Song,
        deadlines: Deadlines,
        seed: int,
        to_worker: Callable[[Prime | Generate], None],
        now_ns: Callable[[], int],
    ) -> None:
        self.up = False
        self.asked: Asked | None = None
        self._song = song
        self._deadlines = deadlines
        self._seed = seed
        self._to_worker = to_worker
        self._now_ns = now_ns
        self._id = 0

    @property
    def free(self) -> bool:
        """True if the worker can be asked something."""
        return self.up and self.asked is None

    def ready(self, bar_s: float) -> None:
        """A worker is up; bar_s is what a bar takes it at worst."""
        self.up = True
        self._deadlines.start(bar_s)

    def lost(self) -> None:
        """The worker is gone, and what it was asked with it."""
        self.up, self.asked = False, None

    def answered(self, id_: int) -> Asked | None:
        """What an answer is to; None if it is to nothing that is still wanted."""
        if self.asked is None or self.asked.id != id_:
            return None
        asked, self.asked = self.asked, None
        return asked

    def took(self, asked: Asked) -> None:
        """A bar is there: later ones will take about as long. One that leads to a known bar takes what there is."""
        if asked.plan is None or asked.plan.following is None:
            self._deadlines.took(asked.at_ns)

    def prime(self, history: tuple[Played, ...]) -> None:
        """Have a state made from what was played."""
        asked = self._ask(None)
        self._to_worker(Prime(asked.id, history))

    def bar(
        self,
        plan: Plan,
        after: int,
        parameters: dict[str, Value],
        *,
        keep: tuple[int, ...],
        live: bool,
        heard: tuple[Note, ...] = (),
        now_tick: int = 0,
        band: tuple[Note, ...] = (),
        told: int = 0,
        turned: int = 0,
        fill_tick: int | None = None,
        spare: bool = False,
    ) -> None:
        """Have a bar made after a state; keep: the other states that are wanted.

        live: the bar has a time; heard, now_tick, band: see Request; told, turned, fill_tick, spare: see Asked. Without
        the last two it is the plan's own bar that is made.
        """
        span = plan.span
        request = Request(
            bar=span.number,
            start_tick=span.start_tick,
            length_ticks=span.length_ticks,
            meter=span.meter,
            tempo_bpm=self._song.tempo_bpm,
            parameters=parameters,
            seed=self._seed,
            take=plan.take,
            fill=plan.fill,
            vary=plan.vary,
            heard=heard,
            now_tick=now_tick,
            band=band,
            following=plan.following,
            time_left_s=self._deadlines.left_s(span) if live else self._song.seconds(span.length_ticks),
        )
        asked = self._ask(plan if fill_tick is None and not spare else None, told, turned, fill_tick, spare)
        self._to_worker(Generate(asked.id, after, request, keep))

    def _ask(
        self, plan: Plan | None, told: int = 0, turned: int = 0, fill_tick: int | None = None, spare: bool = False
    ) -> Asked:
        self._id += 1
        self.asked = Asked(self._id, self._now_ns(), told, turned, plan, fill_tick, spare)
        return self.asked
