"""The band: what each player of a set plays, bar by bar, for those that hear it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import structs

from bridge.players.grid import BarSpan
from engines.music import Note, Phrase
from engines.notes.roles import ROLE_OF_CHANNEL

BARS_KEPT = 64
"""Of each player."""

BARS_TOLD = 8
"""The most that an engine is told at once, after it has listened."""


class Band:
    """Who plays what. channels: each player's, which tells the seat of its notes without a part."""

    def __init__(self, channels: Mapping[str, int] | None = None) -> None:
        self._channels = dict(channels or {})
        self._bars: dict[str, dict[int, tuple[BarSpan, Phrase]]] = {}
        self._muted: set[str] = set()

    def plays(self, player: str, span: BarSpan, phrase: Phrase) -> None:
        """A bar that is to be played, or is: what is said of it last is what holds."""
        bars = self._bars.setdefault(player, {})
        bars[span.number] = (span, phrase)
        while len(bars) > BARS_KEPT:
            bars.pop(min(bars))

    def forget(self, player: str) -> None:
        """It begins somewhere else in the song."""
        self._bars.pop(player, None)

    def mute(self, player: str, on: bool) -> None:
        """A player that is muted is heard by nobody."""
        (self._muted.add if on else self._muted.discard)(player)

    def notes(self, players: Iterable[str], first: int, end: int, start_tick: int) -> tuple[Note, ...]:
        """What some players play in the bars from `first` to before `end`, each note with its part.

        In ticks from song tick start_tick, sorted.
        """
        found = []
        for player in players:
            seat = ROLE_OF_CHANNEL[self._channels.get(player, 10)] + 1
            for number in range(max(first, end - BARS_TOLD), end):
                bar = self._bars.get(player, {}).get(number)
                if bar is None or player in self._muted:
                    continue
                at = bar[0].start_tick - start_tick
                found += [structs.replace(n, tick=n.tick + at, part=n.part or seat) for n in bar[1].notes]
        return tuple(sorted(found))
