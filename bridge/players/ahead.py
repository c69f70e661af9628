"""Ahead: the bar to come of one player, planned, asked for, and lying at the stage as far as it is made."""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from bridge.players.grid import BarSpan
from bridge.players.parts import Parts
from bridge.players.plan import Plan, fitted, offer_of
from bridge.players.policy import commit_ticks
from bridge.players.trade import Trade
from engines.errors import SidemanError
from engines.music import Note, Phrase
from engines.parameter import Parameters, Value

SPARE_SHARE = 0.25
"""An engine that takes more than this share of a bar to make one is given spare bars."""

LAST_CALL_S = 0.03
"""How long before it would be too late a bar is asked for again with all that was heard by then."""


class Ahead:
    """The next bar of a player, or the next span of one that plays in shorter ones: `spans` says which.

    parameters: the engine's (named in `engine_parameters`) and the player's own
    next: the plan, None if no bar follows; last_bar: no bar after this one is played
    epoch, begun: which stretch of playing it belongs to, and whether that plays already
    holding: the bar that sounds comes again and again
    """

    def __init__(self, parts: Parts, parameters: Parameters, engine_parameters: tuple[str, ...]) -> None:
        self.parameters = parameters
        self.engine_parameters = engine_parameters
        self.next: Plan | None = None
        self.last_bar: int | None = None
        self.epoch = 0
        self.begun = False
        self.holding = False
        self._later: dict[str, Value] = {}  # changes for the bar after the next, when the next can be changed no more
        self._loop: Phrase | None = None  # what is held
        self._song, self._spans, self._deadlines = parts.song, parts.spans, parts.deadlines
        self._asking, self._offers, self._track = parts.asking, parts.offers, parts.track
        self._ears, self._response = parts.ears, parts.response
        self._trade = Trade()

    @property
    def live(self) -> bool:
        """True while our epoch plays, so that its ticks have times."""
        return self.begun and self._song.playing and self._song.epoch == self.epoch

    def fits(self, plan: Plan, cost_s: float | None = None) -> bool:
        """True if a bar asked for now would be there before its bar is committed."""
        return not self.live or self._deadlines.fits(plan.span, commit_ticks(self.parameters), cost_s)

    @property
    def lands(self) -> int:
        """The number of the span in which a change of a parameter would be heard now."""
        if self.next is None:
            return self._track.current.span.number + 1 if self._track.current else 0
        return self.next.span.number + (0 if self.fits(self.next) else 1)

    def afresh(self) -> None:
        """Nothing is wanted any more, and a trade begins again."""
        self._later, self._loop = {}, None
        self._trade.afresh()

    def deaf(self) -> None:
        """What was heard up to now is none of the engine's business."""
        self._track.told = self._ears.now

    # Plans

    def plan(self, number: int) -> None:
        """Span `number` is the next: send its fallback, have it made."""
        span = self._spans.span(number)
        if self.last_bar is not None and self._spans.bar(span).number > self.last_bar:
            self.next = None
            return
        self.start(span)
        self.offer()
        self.request()

    def start(self, span: BarSpan) -> None:
        """Plan the bar there. What was wished for waits until a bar is played."""
        bar = self._spans.bar(span).number
        listen = self._trade.listens(bar)
        later = {} if listen else self._later
        if not listen:
            self._later = {}
        if later.pop("undo", False):
            self._track.undo()
        every = int(self.parameters["fill_every"])
        due = every > 0 and (bar + 1) % every == 0
        plan = self.next = Plan(span, take=int(later.get("take", 0)), fill=due or "fill" in later, vary="vary" in later)
        plan.listen, plan.wished = listen, not later.keys() <= {"again"}
        if self.holding:
            self._keep(plan, lead_back=plan.wished)
        elif "again" in later:
            self._keep(plan)

    def move(self, span: BarSpan) -> None:
        """The next bar is this one instead, with the same wishes."""
        if self.next is None:
            return
        self.next = replace(self.next, span=span, phrase=None, stale=False, failed=False)
        for name in ("kept", "following"):
            phrase = getattr(self.next, name)
            if phrase is not None:
                setattr(self.next, name, fitted(phrase, span.length_ticks))
        self.offer()
        self.request()

    def change(self, **changes: Value) -> None:
        """Change fields of the plan, if there is time to make the bar again; else those of the bar after it."""
        if self.next is None or self.next.listen or not self.fits(self.next):
            self._later.update(changes)
            return
        for name, value in changes.items():
            setattr(self.next, name, value)
        self.next.wished = True
        if self.holding and self.next.kept is not None:
            self._keep(self.next, lead_back=True)
        self.remake()

    def vary(self) -> None:
        """Something other than what would come: another take of it."""
        take = self._later.get("take", self.next.take if self.next else 0)
        self.change(vary=True, take=int(take) + 1)

    def undo(self) -> None:
        """As if the last wish had not been: it is not fulfilled, or else the engine goes on from before its bar.

        Raises SidemanError if there is none.
        """
        plan = self.next
        if self._later.keys() - {"undo"}:
            self._later = {}
        elif plan is None or not self.fits(plan):
            self._later = {"undo": True}
        elif plan.wished or (plan.kept is not None and not self.holding):
            self.start(plan.span)
            self.offer()
            self.request()
        elif self._track.undo():
            self.remake()
        else:
            raise SidemanError("there is nothing to undo")

    def again(self) -> None:
        """The bar that sounds, once more; in a held loop, a bar that leads back to it."""
        plan = self.next
        if self.holding:
            self.change(take=0)
        elif self._track.current is not None and plan is not None and not plan.listen and self.fits(plan, 0.0):
            self._keep(plan)
            self.offer()
        else:
            self._later["again"] = True

    def hold(self, on: bool) -> None:
        """Loop the bar that sounds, or go on."""
        if on == self.holding:
            return
        self.holding, self._loop = on, None
        plan = self.next
        if plan is None:
            return
        if on:
            self._keep(plan)
        else:
            plan.kept = plan.following = None
        self.offer()
        self.request()

    def trade(self) -> None:
        """The performer has set in how many bars to listen and to answer."""
        from_bar = self._spans.bar_from(self.lands) if self.live else 0
        self._trade.set(int(self.parameters["trade_listen"]), int(self.parameters["trade_answer"]), from_bar)
        self._turn()

    def your_turn(self) -> None:
        """Answer from the next bar on. Raises SidemanError if the player does not trade."""
        if not self.parameters["trade_answer"]:
            raise SidemanError("does not trade yet: send trade with bars to listen and to answer, such as 4 4")
        self._trade.your_turn(self._spans.bar_from(self.lands))
        self._turn()

    def _turn(self) -> None:
        """The trade is another: listen in the next bar, or play in it, if there is time to."""
        plan = self.next
        if plan is None or plan.listen == self._trade.listens(self._spans.bar(plan.span).number):
            return
        if self.fits(plan, 0.0 if not plan.listen else None):
            plan.listen = not plan.listen
            self.offer()
            self.request()

    def _keep(self, plan: Plan, *, lead_back: bool = False) -> None:
        """Bring the bar that sounds once more, or what is held; lead_back: a new bar first, which leads back to it."""
        kept = self._track.last(plan.span.length_ticks)
        if self.holding:
            self._loop = self._loop or kept
            kept = self._loop and fitted(self._loop, plan.span.length_ticks)
        plan.kept, plan.following = (None, kept) if lead_back else (kept, None)

    # What is heard

    def last_call_s(self) -> float | None:
        """Time until the next bar has to be asked for again, so that the engine is told what was heard until then.

        None if it has been told everything that matters.
        """
        plan, asked = self.next, self._asking.asked
        if plan is None or not self.live or plan.listen or plan.kept is not None or plan.failed:
            return None
        told = asked.told if asked is not None and asked.plan is plan else plan.told
        if not self._ears.began_since(max(told, self._track.told)):
            return None
        return self._deadlines.latest_s(plan.span, commit_ticks(self.parameters)) - LAST_CALL_S

    def _heard(self, plan: Plan, now_tick: int) -> tuple[Note, ...]:
        """What the engine has not been told yet, in ticks from the bar's start, as is now_tick."""
        start = self._song.stage_tick(plan.span.start_tick)
        heard = self._ears.since(self._track.told, start + now_tick)
        return tuple(structs.replace(note, tick=note.tick - start) for note in heard)

    # The worker and the stage

    def remake(self) -> None:
        """A parameter, the bundle or what was heard has changed: make the next bar again if there is time."""
        plan = self.next
        if plan is not None and self.fits(plan):
            plan.failed = False
            plan.stale = plan.phrase is not None or self._asking.asked is not None
            self.request()

    def request(self) -> None:
        """Ask the worker for what is wanted next."""
        plan, state = self.next, self._track.state
        if plan is not None and plan.stale and not self.fits(plan):
            plan.stale = False
        if plan is None or not self._asking.free:
            return
        if plan.settled:
            if not plan.failed:
                self._request_spare(plan)
        elif state is None:
            self._asking.prime(self._track.history(self._ears))
        else:
            plan.stale = False
            self.ask(plan, state)

    def _request_spare(self, plan: Plan) -> None:
        """With a slow engine and time to spare, have another take ready in case that the bar after is late."""
        state = self._track.state
        if self.parameters["late"] != "alternate" or self._track.spare is not None or state is None or not self.live:
            return
        if self._deadlines.bar_s > self._song.seconds(plan.span.length_ticks) * SPARE_SHARE:
            self.ask(replace(plan, take=plan.take + 1), state, spare=True)

    def ask(self, plan: Plan, after: int, *, fill_tick: int | None = None, spare: bool = False) -> None:
        """Have a bar made after a state; see bridge.players.plan.Asked."""
        parameters = {name: self.parameters[name] for name in self.engine_parameters}
        keep = self._track.states(self._offers)
        listens = self.live and fill_tick is None
        span = plan.span
        now_tick = self._deadlines.song_tick - span.start_tick if listens else 0
        told_tick = self._track.told_tick if fill_tick is None else span.start_tick - 1
        self._asking.bar(
            plan, after, parameters, keep=keep, live=self.live, fill_tick=fill_tick, spare=spare,
            heard=self._heard(plan, now_tick) if listens else (), now_tick=now_tick,
            told=self._ears.now if listens else self._track.told, turned=self._response.count,
            band=self._ears.band(told_tick, span.start_tick, span.start_tick),
        )  # fmt: skip

    def offer(self) -> None:
        """Offer the next bar as it stands."""
        plan = self.next
        if plan is not None and self.begun:
            last = self._track.last(plan.span.length_ticks)
            self._offers.send(self.epoch, offer_of(plan, self.parameters["late"], last, self._track.spare))
