"""The band: what each player of a set plays, bar by bar, for those that hear it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import structs

from bridge.players.grid import BarSpan
from engines.music import Note, Phrase
from engines.notes.roles import ROLE_OF_CHANNEL

SPANS_KEPT = 256
"""Of each player: bars, or the parts of bars in which it plays."""

BARS_TOLD = 8
"""The most that an engine is told at once, after it has listened."""


class Band:
    """Who plays what. channels: each player's, which tells the seat of its notes without a part."""

    def __init__(self, channels: Mapping[str, int] | None = None) -> None:
        self._channels = dict(channels or {})
        self._spans: dict[str, dict[int, tuple[BarSpan, Phrase]]] = {}  # by their first ticks
        self._muted: set[str] = set()

    def plays(self, player: str, span: BarSpan, phrase: Phrase) -> None:
        """A span that is to be played, or is: what is said of it last is what holds."""
        spans = self._spans.setdefault(player, {})
        spans[span.start_tick] = (span, phrase)
        while len(spans) > SPANS_KEPT:
            spans.pop(min(spans))

    def forget(self, player: str) -> None:
        """It begins somewhere else in the song."""
        self._spans.pop(player, None)

    def mute(self, player: str, on: bool) -> None:
        """A player that is muted is heard by nobody."""
        (self._muted.add if on else self._muted.discard)(player)

    def notes(self, players: Iterable[str], after_tick: int, until_tick: int, start_tick: int) -> tuple[Note, ...]:
        """What some players play in the spans that end after a song tick and until another, each note with its part.

        In ticks from song tick start_tick, sorted. A player that is asked in the middle of another's bar is told of
        that once it is over.
        """
        found = []
        for player in players:
            seat = ROLE_OF_CHANNEL[self._channels.get(player, 10)] + 1
            for span, phrase in self._spans.get(player, {}).values():
                oldest_tick = until_tick - BARS_TOLD * span.meter.bar_ticks
                told = after_tick < span.end_tick <= until_tick and span.start_tick >= oldest_tick
                if not told or player in self._muted:
                    continue
                at = span.start_tick - start_tick
                found += [structs.replace(n, tick=n.tick + at, part=n.part or seat) for n in phrase.notes]
        return tuple(sorted(found))
