"""The planner: keeps one player one bar ahead.

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
from bridge.players.grid import BarSpan, Song
from bridge.players.plan import Offer, Offers, Plan, spliced
from bridge.players.policy import BarReport, Counters, Listener
from bridge.players.track import Track
from engines.parameter import Parameters


class Planner:
    """One player's bars.

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
    ) -> None:
        self.counters = Counters()
        self.on_cued: Callable[[], None] = lambda: None
        self._player = player
        self._song = song
        self._listener = listener
        self._now_ns = now_ns
        self._offers = Offers(player, pitches, to_stage, listener, band or Band())
        self._deadlines = Deadlines(song, now_ns)
        self._asking = Asking(song, self._deadlines, seed, to_worker, now_ns)
        self._track = Track()
        self._ahead = ahead = Ahead(
            song, parameters, engine_parameters,
            deadlines=self._deadlines, asking=self._asking, offers=self._offers, track=self._track,
            ears=ears or Ears(Hearing(), ()),
        )  # fmt: skip
        self._continued: BarSpan | None = None  # the bar that was stopped in its middle and goes on: counted already

        # What the performer asks of the next bar alone; bridge.players.ahead says what each does.
        self.again, self.vary, self.hold, self.changed = ahead.again, ahead.vary, ahead.hold, ahead.remake
        self.undo, self.trade, self.your_turn = ahead.undo, ahead.trade, ahead.your_turn
        self.last_call_s = ahead.last_call_s

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
        span = self._song.grid.bar_at(position_tick)
        track.told_bar = span.number
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
        """True when the last bar has begun."""
        return self.current is not None and self.last_bar is not None and self.current.span.number >= self.last_bar

    def halt(self) -> None:
        """Nothing plays until the next epoch: nothing is offered."""
        self._ahead.begun = False

    def missed(self, number: int) -> None:
        """Nothing could be heard of the bars up to `number`: they count as rests."""
        if self.current is not None:
            for _ in range(self.current.span.number + 1, number):
                self.counters.count("rest")

    def bar_changed(self, number: int) -> None:
        """The grid has changed from bar `number` on."""
        if self.next is not None and self.next.span.number >= number:
            self._ahead.move(self._song.grid.bar(self.next.span.number))

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
            self._track.turned_back(offer.replaces)
            self._ahead.change(fill=True)
            return
        plan = self.next
        if plan is not None and offer.span == plan.span and offer.outcome != "hit" and not self._ahead.fits(plan):
            self._resume(plan)

    def _resume(self, plan: Plan) -> None:
        """Bars were missed altogether (control itself was held up): go on with the next one that can be reached."""
        missed = plan.span.number
        reached = self._song.grid.bar_at(self._song.song_tick_at(self._now_ns())).number + 1
        for _ in range(missed, reached):
            self.counters.count("rest")
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
            self._fill_made(message, asked.fill_tick)
        elif plan is not None and asked.plan is plan:
            if message.phrase.cut_tick is None or plan.phrase is None or plan.phrase.cut_tick is not None:
                plan.phrase, plan.state, plan.told = message.phrase, message.id, asked.told  # a whole bar is not cut
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

    def _fill_made(self, message: Made, tick: int) -> None:
        current = self.current
        if current is None or not current.span.start_tick < tick < current.span.end_tick:
            self._ahead.change(fill=True)  # its bar is over
            return
        phrase = spliced(current.phrase, message.phrase, tick - current.span.start_tick)
        offer = Offer(current.span, "hit", phrase, message.id, replaces=current)
        self._track.turned(offer)
        self._offers.send(self._ahead.epoch, offer, from_tick=tick)
        self._ahead.remake()

    # From the performer

    @property
    def lands(self) -> int:
        """The number of the bar in which a change of a parameter would be heard now."""
        return self._ahead.lands

    def take(self, number: int) -> None:
        """Take `number` of the next bar."""
        self._ahead.change(take=number)

    def fill(self) -> None:
        """A fill from the next beat, if a beat of the bar is left by then; else, or with a loop, the next bar."""
        current, before = self.current, self._track.before
        plays = current is not None and current.outcome != "listen" and not current.phrase.loop and self._ahead.live
        ready = plays and before is not None and self._asking.free
        tick = self._deadlines.next_beat(current.span) if current is not None and ready else None
        if current is None or before is None or tick is None:
            self._ahead.change(fill=True)
            return
        self._ahead.ask(Plan(current.span, fill=True), before, fill_tick=tick)
