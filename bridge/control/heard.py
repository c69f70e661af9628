"""Hearing: the notes that were played into the set's inputs, kept for the players that listen there."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from bridge.messages.hearing import HeardEvent
from bridge.players.band import Band
from engines.music import Note
from engines.notes.roles import ROLE_OF_CHANNEL

NOTES_KEPT = 1024
"""Of all inputs together; older ones are forgotten."""

NOTE_OFF, NOTE_ON = 0x80, 0x90


@dataclass(slots=True)
class _Heard:
    """A note: from stage tick `tick` to `end_tick` (None: it is held). began, ended: Hearing's count then.

    part: the seat whose channel it came on
    """

    input: str
    part: int
    tick: int
    pitch: int
    velocity: int
    began: int
    end_tick: int | None = None
    ended: int | None = None


class Hearing:
    """What was played, in the order it came. Ticks are the stage's: they go on through jumps, and while nothing plays.

    count: note-ons and note-offs so far; what has come since is told apart by it.
    """

    def __init__(self) -> None:
        self.count = 0
        self._notes: deque[_Heard] = deque(maxlen=NOTES_KEPT)
        self._held: dict[tuple[str, int, int], _Heard] = {}

    def take(self, events: Iterable[HeardEvent]) -> None:
        """Take what came in; only notes are kept."""
        for event in events:
            status, pitch, velocity = event.data
            kind, key = status & 0xF0, (event.input, status & 0x0F, pitch)
            if kind not in (NOTE_OFF, NOTE_ON):
                continue
            self.count += 1
            held = self._held.pop(key, None)
            if held is not None:
                held.end_tick, held.ended = event.tick, self.count
            if kind == NOTE_ON and velocity:
                part = ROLE_OF_CHANNEL[(status & 0x0F) + 1] + 1
                note = self._held[key] = _Heard(event.input, part, event.tick, pitch, velocity, self.count)
                self._notes.append(note)

    def since(self, count: int, inputs: frozenset[str], now_tick: int) -> tuple[Note, ...]:
        """The notes on some inputs that began or sounded since `count` was what it was, in stage ticks.

        One that is held still lasts until now_tick.
        """
        notes = []
        for note in self._notes:
            if note.input in inputs and (note.ended is None or note.ended > count):
                end_tick = now_tick if note.end_tick is None else note.end_tick
                notes.append(Note(note.tick, note.pitch, note.velocity, max(1, end_tick - note.tick), note.part))
        return tuple(notes)

    def began_since(self, count: int, inputs: frozenset[str]) -> bool:
        """True if a note has begun on one of the inputs since `count` was what it was."""
        return any(note.began > count and note.input in inputs for note in self._notes)

    def forget(self) -> None:
        """The stage is gone, and its ticks with it."""
        self._notes.clear()
        self._held.clear()


class Ears:
    """What one player hears: a Hearing, by the inputs it listens to, and the band, by the other players."""

    def __init__(
        self, hearing: Hearing, inputs: Iterable[str], band: Band | None = None, players: Iterable[str] = ()
    ) -> None:
        self._hearing = hearing
        self._inputs = frozenset(inputs)
        self._band = band or Band()
        self._players = tuple(players)

    @property
    def open(self) -> bool:
        """True if there is an input to listen to."""
        return bool(self._inputs)

    @property
    def now(self) -> int:
        """Where what is heard next begins."""
        return self._hearing.count

    def since(self, count: int, now_tick: int) -> tuple[Note, ...]:
        """See Hearing.since."""
        return self._hearing.since(count, self._inputs, now_tick) if self._inputs else ()

    def band(self, after_tick: int, until_tick: int, start_tick: int) -> tuple[Note, ...]:
        """See Band.notes."""
        return self._band.notes(self._players, after_tick, until_tick, start_tick) if self._players else ()

    def began_since(self, count: int) -> bool:
        """See Hearing.began_since."""
        return bool(self._inputs) and self._hearing.began_since(count, self._inputs)
