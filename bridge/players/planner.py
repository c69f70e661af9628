"""The planner: keeps one player one bar ahead.

While a bar sounds the next is made and sent. Before it, a fallback is sent, which the made bar replaces: what lies at
the stage when the bar line comes is what plays, so a deadline needs no timer (docs/ARCHITECTURE.md, Deadlines). The
planner does no I/O: it is told what happened, and says what to send.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from bridge.messages.stage import BarStarted, Chunk, Outcome, Refused
from bridge.messages.worker import Generate, Made, Prime
from bridge.players.deadline import Deadlines
from bridge.players.grid import BarSpan, Song
from bridge.players.plan import Asked, Offer, Offers, Plan, fitted, spliced
from bridge.players.policy import BarReport, Counters, Listener
from engines.engine import Played, Request
from engines.music import TICKS_PER_BEAT, Phrase
from engines.parameter import Parameters, Value

HISTORY_BARS = 64
"""Bars that a fresh worker is primed with."""

SPARE_SHARE = 0.25
"""An engine that takes more than this share of a bar to make one is given spare bars."""


class Planner:
    """One player's bars.

    parameters: the engine's (named in `engine_parameters`) and the player's own; pitches: General MIDI to what is sent
    to_stage, to_worker: send; now_ns: perf_counter_ns; on_cued: called when `cued` may have changed
    last_bar: no bar after this one is played
    """

    def __init__(
        self,
        player: str,
        *,
        song: Song,
        parameters: Parameters,
        engine_parameters: tuple[str, ...],
        seed: int,
        pitches: Mapping[int, int],
        to_stage: Callable[[Chunk], None],
        to_worker: Callable[[Prime | Generate], None],
        listener: Listener,
        now_ns: Callable[[], int],
    ) -> None:
        self.parameters = parameters
        self.engine_parameters = engine_parameters
        self.counters = Counters()
        self.on_cued: Callable[[], None] = lambda: None
        self.last_bar: int | None = None
        self.holding = False
        self.current: Offer | None = None
        self.next: Plan | None = None
        self._player = player
        self._song = song
        self._seed = seed
        self._to_worker = to_worker
        self._listener = listener
        self._now_ns = now_ns
        self._offers = Offers(player, pitches, to_stage, listener)
        self._deadlines = Deadlines(song, now_ns)
        self._history: deque[Played] = deque(maxlen=HISTORY_BARS)
        self._epoch = 0
        self._begun = False
        self._continued: BarSpan | None = None  # the bar that was stopped in its middle and goes on: counted already
        self._worker_up = False
        self._asked: Asked | None = None
        self._asked_id = 0
        self._state: int | None = 0  # the worker's, after the current bar; None: it must be primed
        self._before: int | None = None  # before the current bar
        self._spare: Phrase | None = None  # an alternate
        self._later: dict[str, Value] = {}  # changes for the bar after the next, when the next can be changed no more

    # From the transport

    def cue(self, epoch: int, position_tick: int, afresh: bool) -> None:
        """Make the first bar of an epoch, which holds position_tick; `on_cued` is called when `cued` may have changed.

        afresh: from the engine's start, as if nothing had been played.
        """
        self._epoch, self._begun, self._continued = epoch, False, None
        self._offers.clear()
        span = self._song.grid.bar_at(position_tick)
        again = self.current
        if afresh:
            self._history.clear()
            self._state, self._spare, self.current, self._later = 0, None, None, {}
        elif again and span == again.span and position_tick > span.start_tick:  # continued where it stopped
            if self._history:
                self._history.pop()
            self.next = Plan(span, phrase=again.phrase, state=self._state)
            self._state = self._before
            self._continued = span
            return
        self._before = None
        self.next = self._new_plan(span)
        self._request()

    def cued(self, epoch: int) -> bool:
        """True when the first bar of the epoch can be offered, or cannot be made for want of a worker."""
        plan = self.next
        made = plan is None or plan.phrase is not None or plan.kept is not None or plan.failed
        return epoch == self._epoch and (made or not self._worker_up)

    def begin(self) -> None:
        """The epoch's Play has been sent: offer its first bar."""
        self._begun = True
        if self.next is not None:
            self._offer_next()

    @property
    def finished(self) -> bool:
        """True when the last bar has begun."""
        return self.current is not None and self.last_bar is not None and self.current.span.number >= self.last_bar

    def halt(self) -> None:
        """Nothing plays until the next epoch: nothing is offered."""
        self._begun = False

    def missed(self, number: int) -> None:
        """Nothing could be heard of the bars up to `number`: they count as rests."""
        if self.current is not None:
            for _ in range(self.current.span.number + 1, number):
                self.counters.count("rest")

    def bar_changed(self, number: int) -> None:
        """The grid has changed from bar `number` on."""
        if self.next is not None and self.next.span.number >= number:
            old = self.next
            self.next = replace(old, span=self._song.grid.bar(old.span.number), phrase=None, stale=False, failed=False)
            if self.next.kept is not None:
                self.next.kept = fitted(self.next.kept, self.next.span.length_ticks)
            self._offer_next()
            self._request()

    # From the stage

    def bar_started(self, message: BarStarted) -> None:
        """A bar's start is frozen: count it and make the next."""
        offer = self._offers.get(message.id)
        if message.epoch != self._epoch or offer is None:
            return
        self.counters.dropped += message.dropped
        if self.current is offer or offer.replaces is not None:
            return
        self._before = self._state
        if offer.outcome != "hold":  # a bar that comes again leaves the engine where it was
            self._state = offer.state
        if offer.outcome == "alternate":
            self._spare = None
        self.current = offer
        self._history.append(Played(offer.span.meter, offer.phrase))
        self._offers.began(offer)
        if offer.span == self._continued:
            self._plan(offer.span.number + 1)
            return
        headroom = message.headroom_s / self._song.seconds(offer.span.length_ticks)
        self.counters.count(offer.outcome, headroom if offer.outcome == "hit" else None)
        self._plan(offer.span.number + 1)
        self._listener.on_bar(
            BarReport(self._player, offer.span, offer.phrase, offer.outcome, headroom, replace(self.counters))
        )

    def refused(self, message: Refused) -> None:
        """A chunk came too late. A fill leaves the bar as it was; a lost fallback means that bars were missed."""
        offer = self._offers.pop(message.id)
        if message.epoch != self._epoch or offer is None:
            return
        if offer.replaces is not None and self.current is not None and offer.span == self.current.span:
            self.current = offer.replaces
            self._history[-1] = Played(self.current.span.meter, self.current.phrase)
            self._change("fill", True)
            return
        plan = self.next
        if plan is not None and offer.span == plan.span and offer.outcome != "hit" and not self._fits(plan):
            self._resume()

    # From the worker

    def worker_ready(self, bar_s: float) -> None:
        """A worker is up; bar_s is what a bar takes it at worst."""
        self._worker_up = True
        self._deadlines.start(bar_s)
        self._request()

    def worker_lost(self) -> None:
        """The worker and its states are gone."""
        self._worker_up = False
        self._asked = None
        self._before = None
        self._state = 0 if self._state == 0 else None
        self._offers.forget_states()
        if self.current is not None:
            self.current = replace(self.current, state=None)
        if self.next is not None:
            self.next.state = None
            self.on_cued()

    def primed(self, id_: int) -> None:
        """The worker is where the music is."""
        if self._asked is not None and self._asked.id == id_:
            self._asked = None
            self._state = id_
            self._request()

    def made(self, message: Made) -> None:
        """A bar is there."""
        asked = self._asked
        if asked is None or asked.id != message.id:
            return
        self._asked = None
        self._deadlines.took(asked.at_ns)
        if asked.fill_tick is not None:
            self._fill_made(message, asked.fill_tick)
        elif self.next is not None and asked.plan is self.next:
            self.next.phrase, self.next.state = message.phrase, message.id
            if self._begun and self.next.kept is None:
                self._offer_next()
            self.on_cued()
        else:
            self._spare = message.phrase  # made to be one, or too late for its bar
            if self.next is not None and self.next.phrase is None and self.parameters["late"] == "alternate":
                self._offer_next()
        self._request()

    def failed(self, id_: int, text: str) -> None:
        """The engine could not: the bar's fallback plays, and the next is tried anew."""
        asked = self._asked
        if asked is None or asked.id != id_:
            return
        self._asked = None
        self._listener.on_message(f"{self._player}: {text}")
        if asked.plan is not None:
            asked.plan.failed, asked.plan.stale = True, False
            self.on_cued()
        elif asked.fill_tick is None and not asked.spare:
            self._state = 0  # it cannot be primed: it starts as at the beginning
        self._request()

    # From the performer

    @property
    def lands(self) -> int:
        """The number of the bar in which a change of a parameter would be heard now."""
        if self.next is None:
            return self.current.span.number + 1 if self.current else 0
        return self.next.span.number + (0 if self._fits(self.next) else 1)

    def changed(self) -> None:
        """A parameter, or the bundle: make the next bar again if there is time; the bar after it in any case."""
        self._remake()

    def vary(self) -> None:
        """Something other than what would come."""
        take = self._later.get("take", self.next.take if self.next else 0)
        self._change("vary", True, take=int(take) + 1)

    def take(self, number: int) -> None:
        """Take `number` of the next bar."""
        self._change("take", number)

    def again(self) -> None:
        """The bar that sounds, once more."""
        if self.current is not None and self.next is not None and self._fits(self.next, 0.0):
            self._keep(self.next)
            self._offer_next()
        else:
            self._later["again"] = True

    def hold(self, on: bool) -> None:
        """Loop the bar that sounds, or go on."""
        if on == self.holding:
            return
        self.holding = on
        plan = self.next
        if plan is None:
            return
        if on:
            self._keep(plan)
            self._offer_next()
        else:
            plan.kept = None
            self._offer_next()
            self._request()

    def fill(self) -> None:
        """A fill from the next beat, if a beat of the bar is left by then; else the next bar."""
        current, before = self.current, self._before
        ready = current is not None and before is not None and self._worker_up and self._asked is None and self._live
        tick = self._deadlines.next_beat(current.span) if current is not None and ready else None
        if current is None or before is None or tick is None:
            self._change("fill", True)
            return
        self._asked = self._asking(fill_tick=tick)
        request = self._request_for(Plan(current.span, fill=True))
        self._to_worker(Generate(self._asked.id, before, request, self._wanted()))

    # How

    def _plan(self, number: int) -> None:
        """Bar `number` is the next: send its fallback, have it made."""
        if self.last_bar is not None and number > self.last_bar:
            self.next = None
            return
        self.next = self._new_plan(self._song.grid.bar(number))
        self._offer_next()
        self._request()

    def _new_plan(self, span: BarSpan) -> Plan:
        later, self._later = self._later, {}
        every = int(self.parameters["fill_every"])
        due = every > 0 and (span.number + 1) % every == 0
        plan = Plan(span, take=int(later.get("take", 0)), fill=due or "fill" in later, vary="vary" in later)
        if self.holding or "again" in later:
            self._keep(plan)
        return plan

    def _keep(self, plan: Plan) -> None:
        if self.current is not None:
            plan.kept = fitted(self.current.phrase, plan.span.length_ticks)

    def _change(self, name: str, value: Value, **more: Value) -> None:
        """Change the next bar, if there is time to make it again; else the one after it."""
        changes = {name: value, **more}
        if self.next is None or not self._fits(self.next):
            self._later.update(changes)
            return
        for changed, to in changes.items():
            setattr(self.next, changed, to)
        self._remake()

    def _remake(self) -> None:
        plan = self.next
        if plan is not None and self._fits(plan):
            plan.failed = False
            plan.stale = plan.phrase is not None or self._asked is not None
            self._request()

    @property
    def _live(self) -> bool:
        """True while our epoch plays, so that its ticks have times."""
        return self._begun and self._song.playing and self._song.epoch == self._epoch

    def _fits(self, plan: Plan, cost_s: float | None = None) -> bool:
        """True if a bar asked for now would be there before its bar is committed."""
        commit_ticks = round(float(self.parameters["commit"]) * TICKS_PER_BEAT)
        return not self._live or self._deadlines.fits(plan.span, commit_ticks, cost_s)

    def _request(self) -> None:
        """Ask the worker for what is wanted next; one thing at a time, so that nothing piles up behind a slow bar."""
        plan = self.next
        if plan is not None and plan.stale and not self._fits(plan):
            plan.stale = False
        if self._asked is not None or not self._worker_up or plan is None:
            return
        if plan.settled:
            if not plan.failed:
                self._request_spare(plan)
            return
        if self._state is None:
            self._asked = self._asking()
            self._to_worker(Prime(self._asked.id, tuple(self._history)))
            return
        plan.stale = False
        self._asked = self._asking(plan=plan)
        self._to_worker(Generate(self._asked.id, self._state, self._request_for(plan), self._wanted()))

    def _request_spare(self, plan: Plan) -> None:
        """With a slow engine and time to spare, have another take ready in case that the bar after is late."""
        if self.parameters["late"] != "alternate" or self._spare is not None or self._state is None or not self._live:
            return
        if self._deadlines.bar_s > self._song.seconds(plan.span.length_ticks) * SPARE_SHARE:
            self._asked = self._asking(spare=True)
            request = self._request_for(replace(plan, take=plan.take + 1))
            self._to_worker(Generate(self._asked.id, self._state, request, self._wanted()))

    def _asking(self, plan: Plan | None = None, fill_tick: int | None = None, spare: bool = False) -> Asked:
        self._asked_id += 1
        return Asked(self._asked_id, self._now_ns(), plan, fill_tick, spare)

    def _wanted(self) -> tuple[int, ...]:
        """The states that the worker must keep."""
        states = {self._state, self._before, *self._offers.states()}
        return tuple(state for state in states if state is not None)

    def _request_for(self, plan: Plan) -> Request:
        span = plan.span
        return Request(
            bar=span.number,
            start_tick=span.start_tick,
            length_ticks=span.length_ticks,
            meter=span.meter,
            tempo_bpm=self._song.tempo_bpm,
            parameters={name: self.parameters[name] for name in self.engine_parameters},
            seed=self._seed,
            take=plan.take,
            fill=plan.fill,
            vary=plan.vary,
            time_left_s=self._deadlines.left_s(span) if self._live else self._song.seconds(span.length_ticks),
        )

    def _fill_made(self, message: Made, tick: int) -> None:
        current = self.current
        if current is None or not current.span.start_tick < tick < current.span.end_tick:
            self._change("fill", True)  # its bar is over
            return
        phrase = spliced(current.phrase, message.phrase, tick - current.span.start_tick)
        self.current = Offer(current.span, "hit", phrase, message.id, replaces=current)
        self._history[-1] = Played(current.span.meter, phrase)
        self._state = message.id
        self._offers.send(self._epoch, self.current, from_tick=tick)
        self._remake()

    def _offer_next(self) -> None:
        """Offer the next bar as it stands: made, kept, or what the late policy says."""
        plan = self.next
        if plan is None or not self._begun:
            return
        if plan.kept is not None:
            offer = Offer(plan.span, "hold", plan.kept)
        elif plan.phrase is not None:
            offer = Offer(plan.span, "hit", plan.phrase, plan.state)
        else:
            outcome, phrase = self._fallback(plan.span)
            offer = Offer(plan.span, outcome, phrase)
        self._offers.send(self._epoch, offer)

    def _fallback(self, span: BarSpan) -> tuple[Outcome, Phrase]:
        late, length = self.parameters["late"], span.length_ticks
        if late == "alternate" and self._spare is not None:
            return "alternate", fitted(self._spare, length)
        if late != "rest" and self.current is not None and self.current.phrase.notes:
            return "repeat", fitted(self.current.phrase, length)
        return "rest", Phrase(length)

    def _resume(self) -> None:
        """Bars were missed altogether (control itself was held up): go on with the next one that can be reached."""
        if self.next is None:
            return
        missed = self.next.span.number
        reached = self._song.grid.bar_at(self._song.song_tick_at(self._now_ns())).number + 1
        for _ in range(missed, reached):
            self.counters.count("rest")
        self._state = None
        self._plan(max(missed + 1, reached))
