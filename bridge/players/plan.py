"""What a planner plans with: the bar to come, the chunks it has sent, and what its worker is busy with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from msgspec import structs

from bridge.messages.stage import Chunk, Outcome
from bridge.players.band import Band
from bridge.players.grid import BarSpan
from bridge.players.policy import Listener
from engines.music import Phrase
from engines.notes.roles import DRUMS
from engines.parameter import Value

WANTED: tuple[Outcome, ...] = ("hit", "cut", "hold", "listen")
"""Outcomes that are, as far as there was time, what was asked for: nothing better will come."""


DRUM_PARTS = (0, DRUMS + 1)
"""Parts whose pitches are drums, where a set maps those."""


@dataclass(slots=True)
class Plan:
    """The next bar, as it is to be.

    listen: the player is silent, and hears the others
    wished: the performer has asked for a take, a fill or something different; undo goes back to before it
    kept: the bar that hold or again brings back instead of a new one
    following: in a held loop, the bar that comes again after this one
    phrase, state: what was made, and the worker's state after it; told: up to where it had been told what was heard
    turned: how many changes of parameters it was made with (bridge.players.response)
    stale: the performer has changed something since it was asked for
    failed: the engine could not make it
    """

    span: BarSpan
    take: int = 0
    fill: bool = False
    vary: bool = False
    wished: bool = False
    listen: bool = False
    kept: Phrase | None = None
    following: Phrase | None = None
    phrase: Phrase | None = None
    state: int | None = None
    told: int = 0
    turned: int = 0
    stale: bool = False
    failed: bool = False

    @property
    def settled(self) -> bool:
        """True if nothing has to be made for it, or can be."""
        return self.listen or self.kept is not None or self.failed or (self.phrase is not None and not self.stale)


@dataclass(frozen=True, slots=True)
class Offer:
    """A chunk as it was sent.

    told, turned, wished: see Plan; aside: the engine goes on as if it had not been played; replaces: the offer whose
    rest it takes over in mid-bar
    """

    span: BarSpan
    outcome: Outcome
    phrase: Phrase
    state: int | None = None
    told: int = 0
    turned: int = 0
    wished: bool = False
    aside: bool = False
    replaces: Offer | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the worker is busy with: a plan's bar, a fill from a song tick, a spare bar, or (none of these) priming.

    told: up to where it was told what was heard; turned: see Plan
    """

    id: int
    at_ns: int
    told: int = 0
    turned: int = 0
    plan: Plan | None = None
    fill_tick: int | None = None
    spare: bool = False


def offer_of(plan: Plan, late: Value, last: Phrase | None, spare: Phrase | None) -> Offer:
    """The next bar as it stands: silent on purpose, kept, made, or what the late policy says.

    late: the policy; last: the bar that was played last, spare: another take that is there; both of any length.
    """
    span = plan.span
    if plan.listen:
        return Offer(span, "listen", Phrase(span.length_ticks), aside=True)
    if plan.kept is not None:
        return Offer(span, "hold", plan.kept, aside=True)
    if plan.phrase is not None and plan.phrase.cut_tick != 0:
        whole = plan.phrase.cut_tick is None
        phrase = plan.phrase if whole else mended(plan.phrase, late, last, spare)
        return Offer(
            span, "hit" if whole else "cut", phrase, plan.state, plan.told, plan.turned,
            wished=plan.wished, aside=plan.following is not None,
        )  # fmt: skip
    if plan.phrase is not None and plan.phrase.loop is not None:  # its engine has repeated what sounded, and knows
        return Offer(
            span, "repeat", plan.phrase, plan.state, plan.told,
            wished=plan.wished, aside=plan.following is not None,
        )  # fmt: skip
    if late == "alternate" and spare is not None:
        return Offer(span, "alternate", fitted(spare, span.length_ticks))
    if late != "rest" and last is not None and (last.notes or last.loop):
        return Offer(span, "repeat", fitted(last, span.length_ticks))
    return Offer(span, "rest", Phrase(span.length_ticks))


class Offers:
    """The chunks of one player that may still play, by their ids.

    pitches: of drums, the engine's to those that are sent, where they differ; band: is told what will be played
    """

    def __init__(
        self,
        player: str,
        pitches: Mapping[int, int],
        to_stage: Callable[[Chunk], None],
        listener: Listener,
        band: Band,
    ) -> None:
        self._player = player
        self._band = band
        self._pitches = pitches
        self._to_stage = to_stage
        self._listener = listener
        self._offers: dict[int, Offer] = {}
        self._id = 0

    def send(self, epoch: int, offer: Offer, from_tick: int = -1) -> None:
        """Send an offer to the stage; who listens ahead hears of it if it is what was wanted."""
        self._id += 1
        self._offers[self._id] = offer
        span, phrase = offer.span, self._mapped(offer.phrase)
        self._band.plays(self._player, span, offer.phrase)
        self._to_stage(
            Chunk(
                player=self._player,
                epoch=epoch,
                bar=span.number,
                id=self._id,
                start_tick=span.start_tick,
                length_ticks=span.length_ticks,
                outcome=offer.outcome,
                notes=phrase.notes,
                from_tick=from_tick,
                loop=phrase.loop,
            )
        )
        if offer.outcome in WANTED:
            self._listener.on_offer(self._player, span, phrase)

    def get(self, id_: int) -> Offer | None:
        """The offer of that id, if it may still play."""
        return self._offers.get(id_)

    def pop(self, id_: int) -> Offer | None:
        """The offer of that id, which will not play."""
        return self._offers.pop(id_, None)

    def began(self, offer: Offer) -> None:
        """A bar has begun: earlier offers are history, and who listens ahead hears now of one that was not made."""
        number = offer.span.number
        self._band.plays(self._player, offer.span, offer.phrase)
        self._offers = {id_: kept for id_, kept in self._offers.items() if kept.span.number >= number}
        if offer.outcome not in WANTED:
            self._listener.on_offer(self._player, offer.span, self._mapped(offer.phrase))

    def states(self) -> set[int]:
        """The worker's states that may be needed, depending on which offer plays."""
        return {offer.state for offer in self._offers.values() if offer.state is not None}

    def forget_states(self) -> None:
        """The worker's states are gone."""
        self._offers = {id_: replace(offer, state=None) for id_, offer in self._offers.items()}

    def clear(self) -> None:
        """The epoch is over."""
        self._offers.clear()
        self._band.forget(self._player)

    def _mapped(self, phrase: Phrase) -> Phrase:
        if not self._pitches:
            return phrase
        to = self._pitches
        mapped = (
            structs.replace(note, pitch=to.get(note.pitch, note.pitch)) if note.part in DRUM_PARTS else note
            for note in phrase.notes
        )
        return structs.replace(phrase, notes=tuple(sorted(mapped)))


def fitted(phrase: Phrase, length: int) -> Phrase:
    """The phrase in a bar of another length: what lies beyond it is left out, its loop as well as its notes."""
    return Phrase(length, tuple(note for note in phrase.notes if note.tick < length), phrase.loop)


def mended(phrase: Phrase, late: Value, last: Phrase | None, spare: Phrase | None) -> Phrase:
    """A bar that is cut: what was made of it, its notes ended at the cut, and from there on what the late policy says.

    last, spare: as for offer_of.
    """
    cut = phrase.cut_tick or 0
    ended = tuple(structs.replace(note, length=max(1, min(note.length, cut - note.tick))) for note in phrase.notes)
    begun = Phrase(phrase.length, ended, phrase.loop)
    rest = spare if late == "alternate" and spare is not None else last if late != "rest" else None
    return begun if rest is None else spliced(begun, fitted(rest, phrase.length), cut)


def spliced(before: Phrase, after: Phrase, at: int) -> Phrase:
    """`before` up to tick `at`, `after` from there. A loop that sounds goes on: loops begin at bars."""
    notes = [note for note in before.notes if note.tick < at] + [note for note in after.notes if note.tick >= at]
    return Phrase(before.length, tuple(sorted(notes)), before.loop)
