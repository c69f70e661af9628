"""The planner: keeps one player one bar ahead, or one span of a bar where the player's `chunk` is less.

While a bar sounds the next is made and sent. Before it, a fallback is sent, which the made bar replaces: what lies at
the stage when the bar line comes is what plays, so a deadline needs no timer (docs/ARCHITECTURE.md, Deadlines). The
planner does no I/O: it is told what happened, and says what to send.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from bridge.control.heard import Ears, Hearing
from bridge.messages.stage import BarStarted, Chunk, Refused
from bridge.messages.worker import Generate, Made, Prime
from bridge.players.ahead import Ahead
from bridge.players.asking import Asking
from bridge.players.band import Band
from bridge.players.deadline import Deadlines
from bridge.players.fills import Fills
from bridge.players.grid import BarSpan, Song
from bridge.players.parts import Parts
from bridge.players.plan import Offer, Offers, Plan
from bridge.players.policy import BarReport, Counters, Listener
from bridge.players.response import Response
from bridge.players.spans import Spans, SpanSize
from bridge.players.track import Track
from engines.parameter import Parameters


class Planner:
    """One player's bars, or spans; the bars that it is told and tells of are real ones.

    parameters: the engine's (named in `engine_parameters`) and the player's own; pitches: General MIDI to what is sent
    to_stage, to_worker: send; now_ns: perf_counter_ns; ears: what the player hears; band: who hears it
    on_cued: called when `cued` may have changed
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
        ears: Ears | None = None,
        band: Band | None = None,
        chunk: SpanSize = "bar",
    ) -> None:
        self.counters = Counters()
        self.response = Response()
        self.on_cued: Callable[[], None] = lambda: None
        self._player = player
        self._song = song
        self._spans = Spans(song.grid, chunk)
        self._listener = listener
        self._now_ns = now_ns
        self._offers = Offers(player, pitches, to_stage, listener, band or Band())
        self._deadlines = Deadlines(song, now_ns)
        self._asking = Asking(song, self._deadlines, seed, to_worker, now_ns)
        self._track = Track()
        heard = ears or Ears(Hearing(), ())
        parts = Parts(song, self._spans, self._deadlines, self._asking, self._offers, self._track, heard, self.response)
        self._ahead = ahead = Ahead(parts, parameters, engine_parameters)
        self._fills = Fills(parts, ahead)
        self._continued: BarSpan | None = None  # the bar that was stopped in its middle and goes on: counted already

        # What the performer asks of the next bar alone; bridge.players.ahead says what each does.
        self.again, self.vary, self.hold, self.changed = ahead.again, ahead.vary, ahead.hold, ahead.remake
        self.undo, self.trade, self.your_turn = ahead.undo, ahead.trade, ahead.your_turn
        self.last_call_s, self.fill = ahead.last_call_s, self._fills.fill

    @property
    def parameters(self) -> Parameters:
        """The engine's and the player's own, with their values."""
        return self._ahead.parameters

    @property
    def engine_parameters(self) -> tuple[str, ...]:
        """The names of those that the engine is told."""
        return self._ahead.engine_parameters

    def adopt(self, parameters: Parameters, engine_parameters: tuple[str, ...]) -> None:
        """From now on there are these."""
        self._ahead.parameters, self._ahead.engine_parameters = parameters, engine_parameters

    @property
    def current(self) -> Offer | None:
        """The bar that sounds."""
        return self._track.current

    @property
    def next(self) -> Plan | None:
        """The bar to come."""
        return self._ahead.next

    @property
    def last_bar(self) -> int | None:
        """No bar after this one is played."""
        return self._ahead.last_bar

    @last_bar.setter
    def last_bar(self, number: int | None) -> None:
        self._ahead.last_bar = number

    @property
    def holding(self) -> bool:
        """True while the bar that sounds is looped."""
        return self._ahead.holding

    # From the transport

    def cue(self, epoch: int, position_tick: int, afresh: bool) -> None:
        """Make the first bar of an epoch, which holds position_tick; `on_cued` is called when `cued` may have changed.

        afresh: from the engine's start, as if nothing had been played.
        """
        ahead, track = self._ahead, self._track
        ahead.epoch, ahead.begun, self._continued = epoch, False, None
        ahead.deaf()
        self._offers.clear()
        span = self._spans.span_at(position_tick)
        track.told_tick = span.start_tick
        self.response.forget()
        again = track.current
        if afresh:
            track.afresh()
            ahead.afresh()
        elif again and span == again.span and position_tick > span.start_tick:  # continued where it stopped
            listen = again.outcome == "listen"
            ahead.next = Plan(span, phrase=None if listen else again.phrase, state=track.state, listen=listen)
            track.back()
            self._continued = span
            return
        track.before = None
        ahead.start(span)
        ahead.request()

    def cued(self, epoch: int) -> bool:
        """True when the first bar of the epoch can be offered, or cannot be made for want of a worker."""
        plan = self.next
        made = plan is None or plan.phrase is not None or plan.settled
        return epoch == self._ahead.epoch and (made or not self._asking.up)

    def begin(self) -> None:
        """The epoch's Play has been sent: offer its first bar."""
        self._ahead.begun = True
        self._ahead.offer()

    @property
    def finished(self) -> bool:
        """True when the last bar has begun, or the last span of it."""
        if self.current is None or self.last_bar is None:
            return False
        return self._spans.bar(self._spans.span(self.current.span.number + 1)).number > self.last_bar

    def halt(self) -> None:
        """Nothing plays until the next epoch: nothing is offered."""
        self._ahead.begun = False
        self.response.forget()

    def missed(self, song_tick: int) -> None:
        """Nothing could be heard of what lies before a song tick: it counts as rests."""
        if self.current is not None:
            self.counters.rest += max(0, self._spans.span_at(song_tick).number - self.current.span.number - 1)

    def bar_changed(self, number: int) -> None:
        """The grid has changed from bar `number` on."""
        if self.next is not None and self.next.span.start_tick >= self._song.grid.bar(number).start_tick:
            self._ahead.move(self._spans.span(self.next.span.number))

    # From the stage

    def bar_started(self, message: BarStarted) -> None:
        """A bar's start is frozen: count it and make the next."""
        offer = self._offers.get(message.id)
        if message.epoch != self._ahead.epoch or offer is None:
            return
        self.counters.dropped += message.dropped
        if self.current is offer or offer.replaces is not None:
            return
        self._track.began(offer)
        self._offers.began(offer)
        if self._ahead.live:
            self.response.began(offer.outcome, offer.turned, self._song.ns_at(offer.span.start_tick))
        if offer.span == self._continued:
            self._ahead.plan(offer.span.number + 1)
            return
        headroom = message.headroom_s / self._song.seconds(offer.span.length_ticks)
        self.counters.count(offer.outcome, headroom if offer.outcome == "hit" else None)
        self._ahead.plan(offer.span.number + 1)
        self._listener.on_bar(
            BarReport(self._player, offer.span, offer.phrase, offer.outcome, headroom, replace(self.counters))
        )

    def refused(self, message: Refused) -> None:
        """A chunk came too late. A fill leaves the bar as it was; a lost fallback means that bars were missed."""
        offer = self._offers.pop(message.id)
        if message.epoch != self._ahead.epoch or offer is None:
            return
        if offer.replaces is not None and self.current is not None and offer.span == self.current.span:
            self._fills.refused(offer.replaces)
            return
        plan = self.next
        if plan is not None and offer.span == plan.span and offer.outcome != "hit" and not self._ahead.fits(plan):
            self._resume(plan)

    def _resume(self, plan: Plan) -> None:
        """Bars were missed altogether (control itself was held up): go on with the next one that can be reached."""
        missed = plan.span.number
        reached = self._spans.span_at(self._song.song_tick_at(self._now_ns())).number + 1
        self.counters.rest += max(0, reached - missed)
        self._track.state = None
        self._ahead.plan(max(missed + 1, reached))

    # From the worker

    def worker_ready(self, bar_s: float) -> None:
        """A worker is up; bar_s is what a bar takes it at worst."""
        self._asking.ready(bar_s)
        self._ahead.request()

    def worker_lost(self) -> None:
        """The worker and its states are gone."""
        self._asking.lost()
        self._track.forget_states()
        self._offers.forget_states()
        if self.next is not None:
            self.next.state = None
            self.on_cued()

    def primed(self, id_: int) -> None:
        """The worker is where the music is."""
        if self._asking.answered(id_) is not None:
            self._track.state = id_
            self._ahead.request()

    def made(self, message: Made) -> None:
        """A bar is there."""
        asked = self._asking.answered(message.id)
        if asked is None:
            return
        self._asking.took(asked)
        plan = self.next
        if asked.fill_tick is not None:
            self._fills.made(message, asked.fill_tick)
        elif plan is not None and asked.plan is plan:
            if message.phrase.cut_tick is None or plan.phrase is None or plan.phrase.cut_tick is not None:
                plan.phrase, plan.state = message.phrase, message.id  # one that is whole is not cut
                plan.told, plan.turned = asked.told, asked.turned
            if plan.kept is None and not plan.listen:
                self._ahead.offer()
            self.on_cued()
        else:
            self._track.spare = message.phrase  # made to be one, or too late for its bar
            if plan is not None and plan.phrase is None and self.parameters["late"] == "alternate":
                self._ahead.offer()
        self._ahead.request()

    def failed(self, id_: int, text: str) -> None:
        """The engine could not: the bar's fallback plays, and the next is tried anew."""
        asked = self._asking.answered(id_)
        if asked is None:
            return
        self._listener.on_message(f"{self._player}: {text}")
        if asked.plan is not None:
            asked.plan.failed, asked.plan.stale = True, False
            self.on_cued()
        elif asked.fill_tick is None and not asked.spare:
            self._track.state = 0  # it cannot be primed: it starts as at the beginning
        self._ahead.request()

    # From the performer

    @property
    def lands(self) -> int:
        """The number of the bar in which a change of a parameter would be heard now."""
        return self._spans.bar(self._spans.span(self._ahead.lands)).number

    @property
    def free_bar(self) -> int:
        """The number of the first bar that can still be changed as a whole."""
        return self._spans.bar_from(self._ahead.lands)

    def turned(self) -> None:
        """A parameter of the engine's was changed."""
        if self._ahead.live:
            self.response.turned(self._now_ns())
        self._ahead.remake()

    def take(self, number: int) -> None:
        """Take `number` of the next bar."""
        self._ahead.change(take=number)
