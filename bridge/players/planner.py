"""The planner: keeps one player one bar ahead.

While a bar sounds the next is made and sent. Before it, a fallback is sent, which the made bar replaces: what lies at
the stage when the bar line comes is what plays, so a deadline needs no timer (docs/ARCHITECTURE.md, Deadlines). The
planner does no I/O: it is told what happened, and says what to send.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from bridge.messages import BarStarted, Chunk, Generate, Made, Outcome, Prime, Refused
from bridge.players.grid import BarSpan, Song
from bridge.players.policy import BarReport, Counters, Listener
from engines.engine import Played, Request
from engines.music import TICKS_PER_BEAT, Phrase
from engines.parameter import Parameters, Value

HISTORY_BARS = 64
"""Bars that a fresh worker is primed with."""

MARGIN_S = 0.06
"""Time kept free before a bar beside its making: the stage's look-ahead and both ways through the channels."""

TOOK_KEPT = 32
"""Bars whose making time is remembered."""


@dataclass(slots=True)
class Plan:
    """The next bar, as it is to be.

    kept: the bar that hold or again brings back instead of a new one
    phrase, state: what was made, and the worker's state after it
    stale: the performer has changed something since it was asked for
    """

    span: BarSpan
    take: int = 0
    fill: bool = False
    vary: bool = False
    kept: Phrase | None = None
    phrase: Phrase | None = None
    state: int | None = None
    stale: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """A chunk as it was sent. replaces: the offer whose rest it took over in mid-bar, from from_tick on."""

    span: BarSpan
    outcome: Outcome
    phrase: Phrase
    state: int | None
    from_tick: int = -1
    replaces: Offer | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the worker is busy with: a plan's bar, a fill from a song tick, or (neither) priming."""

    id: int
    at_ns: int
    plan: Plan | None = None
    fill_tick: int | None = None


@dataclass(slots=True)
class Planner:
    """One player's bars.

    parameters: the engine's (named in `engine_parameters`) and the player's own; pitches: General MIDI to what is sent
    to_stage, to_worker: send; now_ns: perf_counter_ns; last_bar: no bar after this one is played
    """

    player: str
    song: Song
    parameters: Parameters
    engine_parameters: tuple[str, ...]
    seed: int
    pitches: Mapping[int, int]
    to_stage: Callable[[Chunk], None]
    to_worker: Callable[[Prime | Generate], None]
    listener: Listener
    now_ns: Callable[[], int]
    on_cued: Callable[[], None] = lambda: None
    last_bar: int | None = None
    counters: Counters = field(default_factory=Counters)
    holding: bool = False
    current: Offer | None = None
    next: Plan | None = None
    asked: Asked | None = None
    _epoch: int = 0
    _continued: BarSpan | None = None  # the bar that was stopped in its middle and goes on: counted already
    _begun: bool = False
    _worker_up: bool = False
    _state: int | None = 0  # after the current bar; None: the worker must be primed
    _before: int | None = None  # before the current bar
    _ids: int = 0
    _offers: dict[int, Offer] = field(default_factory=dict)
    _history: deque[Played] = field(default_factory=lambda: deque(maxlen=HISTORY_BARS))
    _took_s: deque[float] = field(default_factory=lambda: deque(maxlen=TOOK_KEPT))
    _spare: Phrase | None = None
    _later: dict[str, Value] = field(default_factory=dict)  # for the bar after the next, where the next is past change

    # From the transport

    def cue(self, epoch: int, position_tick: int, afresh: bool) -> None:
        """Make the first bar of an epoch, which holds position_tick; `on_cued` is called when `cued` may have changed.

        afresh: from the engine's start, as if nothing had been played.
        """
        self._epoch, self._begun, self._continued = epoch, False, None
        self._offers.clear()
        span = self.song.grid.bar_at(position_tick)
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
        return self.current is not None and self.current.span.number == self.last_bar

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
            self.next = replace(old, span=self.song.grid.bar(old.span.number), phrase=None, stale=False)
            if self.next.kept is not None:
                self.next.kept = _fitted(self.next.kept, self.next.span.length_ticks)
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
        self.current = offer
        self._history.append(Played(offer.span.meter, offer.phrase))
        self._offers = {id_: kept for id_, kept in self._offers.items() if kept.span.number > offer.span.number}
        self._offers[message.id] = offer
        if offer.span == self._continued:
            self._plan(offer.span.number + 1)
            return
        headroom = message.headroom_s / self.song.seconds(offer.span.length_ticks)
        self.counters.count(offer.outcome, headroom if offer.outcome == "hit" else None)
        self._plan(offer.span.number + 1)
        self.listener.on_bar(
            BarReport(self.player, offer.span, offer.phrase, offer.outcome, headroom, replace(self.counters))
        )

    def refused(self, message: Refused) -> None:
        """A chunk came too late. A fill leaves the bar as it was; a lost fallback means that bars were missed."""
        offer = self._offers.pop(message.id, None)
        if message.epoch != self._epoch or offer is None:
            return
        if offer is self.current and offer.replaces is not None:
            self.current = offer.replaces
            self._history[-1] = Played(self.current.span.meter, self.current.phrase)
            self._change("fill", True)
        elif (
            self.next is not None
            and offer.span == self.next.span
            and offer.outcome != "hit"
            and not self._fits(self.next)
        ):
            self._resume()

    # From the worker

    def worker_ready(self, bar_s: float) -> None:
        """A worker is up; bar_s is what a bar takes it at worst. What is to come is made by it from now on."""
        self._worker_up = True
        self._took_s.clear()
        self._took_s.append(bar_s)
        if self.next is not None and self.next.phrase is not None and self._fits(self.next):
            self.next.stale = True
        self._request()

    def worker_lost(self) -> None:
        """The worker and its states are gone."""
        self._worker_up = False
        self.asked = None
        self._before = None
        self._state = 0 if self._state == 0 else None
        self._offers = {id_: replace(offer, state=None) for id_, offer in self._offers.items()}
        if self.current is not None:
            self.current = next((o for o in self._offers.values() if o.span == self.current.span), self.current)
        if self.next is not None:
            self.next.state = None
            self.on_cued()

    def primed(self, id_: int) -> None:
        """The worker is where the music is."""
        if self.asked is not None and self.asked.id == id_:
            self.asked = None
            self._state = id_
            self._request()

    def made(self, message: Made) -> None:
        """A bar is there."""
        asked = self.asked
        if asked is None or asked.id != message.id:
            return
        self.asked = None
        self._took_s.append((self.now_ns() - asked.at_ns) / 1e9)
        if asked.fill_tick is not None:
            self._fill_made(message, asked.fill_tick)
        elif asked.plan is self.next and self.next is not None:
            self.next.phrase, self.next.state = message.phrase, message.id
            if self._begun and self.next.kept is None:
                self._offer(self.next.span, "hit", message.phrase, message.id)
            self.on_cued()
        else:
            self._spare = message.phrase  # too late for its bar; may serve as an alternate
            if self.next is not None and self.next.phrase is None and self.parameters["late"] == "alternate":
                self._offer_next()
        self._request()

    def failed(self, id_: int, text: str) -> None:
        """The engine could not: the bar's fallback plays, and the next is tried anew."""
        asked = self.asked
        if asked is None or asked.id != id_:
            return
        self.asked = None
        self.listener.on_message(f"{self.player}: {text}")
        if asked.plan is not None:
            asked.plan.failed, asked.plan.stale = True, False
            self.on_cued()
        elif asked.fill_tick is None:
            self._state = 0  # it cannot be primed: it starts as at the beginning
        self._request()

    # From the performer

    @property
    def lands(self) -> int:
        """The number of the bar in which a change of a parameter would be heard now."""
        if self.next is None:
            return self.current.span.number + 1 if self.current else 0
        return self.next.span.number + (0 if self._fits(self.next) else 1)

    def parameters_changed(self) -> None:
        """Make the next bar again, if there is time; the bar after it has the new values in any case."""
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
        tick = self._fill_tick()
        if tick is None or self.asked is not None:
            self._change("fill", True)
        else:
            self._ask_fill(tick)

    # How

    def _plan(self, number: int) -> None:
        """Bar `number` is the next: send its fallback, have it made."""
        if self.last_bar is not None and number > self.last_bar:
            self.next = None
            return
        self.next = self._new_plan(self.song.grid.bar(number))
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
            plan.kept = _fitted(self.current.phrase, plan.span.length_ticks)

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
        if self.next is not None and self._fits(self.next):
            self.next.stale = self.next.failed = self.next.phrase is not None or self.asked is not None
            self.next.failed = False
            self._request()

    def _fits(self, plan: Plan, cost_s: float | None = None) -> bool:
        """True if a bar asked for now would be there before its bar is committed."""
        if not self._begun or not self.song.playing or self.song.epoch != self._epoch:
            return True
        commit_ticks = round(float(self.parameters["commit"]) * TICKS_PER_BEAT)
        left_s = (self.song.ns_at(plan.span.start_tick - commit_ticks) - self.now_ns()) / 1e9
        return left_s > MARGIN_S + (max(self._took_s, default=0.0) if cost_s is None else cost_s)

    def _request(self) -> None:
        """Ask the worker for what is wanted next; one thing at a time, so that nothing piles up behind a slow bar."""
        plan = self.next
        if self.asked is not None or not self._worker_up or plan is None or plan.kept is not None or plan.failed:
            return
        if plan.stale and not self._fits(plan):
            plan.stale = False
        if plan.phrase is not None and not plan.stale:
            return
        if self._state is None:
            self.asked = Asked(self._id(), self.now_ns())
            self.to_worker(Prime(self.asked.id, tuple(self._history)))
            return
        plan.stale = False
        self.asked = Asked(self._id(), self.now_ns(), plan=plan)
        keep = () if self._before is None else (self._before,)
        request = self._request_for(plan.span, plan.take, plan.fill, plan.vary)
        self.to_worker(Generate(self.asked.id, self._state, request, keep))

    def _request_for(self, span: BarSpan, take: int, fill: bool, vary: bool) -> Request:
        return Request(
            bar=span.number,
            start_tick=span.start_tick,
            length_ticks=span.length_ticks,
            meter=span.meter,
            tempo_bpm=self.song.tempo_bpm,
            parameters={name: self.parameters[name] for name in self.engine_parameters},
            seed=self.seed,
            take=take,
            fill=fill,
            vary=vary,
            time_left_s=self._left_s(span),
        )

    def _left_s(self, span: BarSpan) -> float:
        if not self._begun or self.song.epoch != self._epoch or not self.song.playing:
            return self.song.seconds(span.length_ticks)
        return max(0.0, (self.song.ns_at(span.start_tick) - self.now_ns()) / 1e9)

    def _fill_tick(self) -> int | None:
        """The song tick of the next beat of the current bar that a fill can begin on, with a beat left after it."""
        current = self.current
        if current is None or self._before is None or not self._worker_up or not self._begun or not self.song.playing:
            return None
        ready_ns = self.now_ns() + round((MARGIN_S + max(self._took_s, default=0.0)) * 1e9)
        into = max(1, self.song.song_tick_at(ready_ns) - current.span.start_tick)
        beat = current.span.meter.beat_ticks
        tick = current.span.start_tick + -(-into // beat) * beat
        return tick if tick <= current.span.end_tick - beat else None

    def _ask_fill(self, tick: int) -> None:
        if self.current is None or self._before is None:
            return
        self.asked = Asked(self._id(), self.now_ns(), fill_tick=tick)
        keep = () if self._state is None else (self._state,)
        self.to_worker(
            Generate(self.asked.id, self._before, self._request_for(self.current.span, 0, True, False), keep)
        )

    def _fill_made(self, message: Made, tick: int) -> None:
        current = self.current
        if current is None or not current.span.start_tick < tick < current.span.end_tick:
            self._spare = message.phrase  # its bar is over
            return
        at = tick - current.span.start_tick
        notes = [note for note in current.phrase.notes if note.tick < at]
        notes += [note for note in message.phrase.notes if note.tick >= at]
        phrase = Phrase.of(current.span.length_ticks, notes)
        self.current = self._offer(current.span, "hit", phrase, message.id, from_tick=tick, replaces=current)
        self._history[-1] = Played(current.span.meter, phrase)
        self._state = message.id
        self._remake()

    def _offer_next(self) -> None:
        """Offer the next bar as it stands: made, kept, or what the late policy says."""
        plan = self.next
        if plan is None or not self._begun:
            return
        if plan.kept is not None:
            self._offer(plan.span, "hold", plan.kept, None)
        elif plan.phrase is not None:
            self._offer(plan.span, "hit", plan.phrase, plan.state)
        else:
            outcome, phrase = self._fallback(plan.span)
            self._offer(plan.span, outcome, phrase, None)

    def _fallback(self, span: BarSpan) -> tuple[Outcome, Phrase]:
        late, length = self.parameters["late"], span.length_ticks
        if late == "alternate" and self._spare is not None:
            return "alternate", _fitted(self._spare, length)
        if late != "rest" and self.current is not None and self.current.phrase.notes:
            return "repeat", _fitted(self.current.phrase, length)
        return "rest", Phrase(length)

    def _offer(
        self, span: BarSpan, outcome: Outcome, phrase: Phrase, state: int | None, *, from_tick: int = -1,
        replaces: Offer | None = None,
    ) -> Offer:  # fmt: skip
        offer = Offer(span, outcome, phrase, state, from_tick, replaces)
        id_ = self._id()
        self._offers[id_] = offer
        sent = Phrase.of(
            phrase.length,
            (msgspec.structs.replace(note, pitch=self.pitches.get(note.pitch, note.pitch)) for note in phrase.notes),
        )
        notes, start, length = sent.notes, span.start_tick, span.length_ticks
        self.to_stage(Chunk(self.player, self._epoch, span.number, id_, start, length, outcome, notes, from_tick))
        if outcome in ("hit", "hold"):
            self.listener.on_offer(self.player, span, sent)
        return offer

    def _resume(self) -> None:
        """Bars were missed altogether (control itself was held up): go on with the next one that can be reached."""
        if self.next is None:
            return
        missed = self.next.span.number
        reached = self.song.grid.bar_at(self.song.song_tick_at(self.now_ns())).number + 1
        for _ in range(missed, reached):
            self.counters.count("rest")
        self._state = None
        self._plan(max(missed + 1, reached))

    def _id(self) -> int:
        self._ids += 1
        return self._ids


def _fitted(phrase: Phrase, length: int) -> Phrase:
    """The phrase in a bar of another length: what lies beyond it is left out."""
    return Phrase(length, tuple(note for note in phrase.notes if note.tick < length))
