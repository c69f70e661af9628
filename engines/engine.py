"""The Engine protocol: what a model, or sixty lines of anyone's Python, must offer to play in a set.

An engine is found through the entry-point group `sideman.engines` (docs/ENGINES.md teaches how to write one).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import msgspec

from engines.music import Meter, Note, Phrase
from engines.parameter import Parameter, Value

if TYPE_CHECKING:  # the stage and control speak in Requests and Phrases too, and need no numpy for it
    from engines.audio import Loop
    from engines.bundle import Bundle

State = Any
"""Whatever an engine keeps between bars. It stays in the worker and is never mutated: a new one is returned."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One bar asked of an engine; or, of a player whose `chunk` in the set is less, one beat or half beat of it.

    bar:        number of the bar in the song, from 0; of shorter spans it is these that are counted
    start_tick: its first tick in the song; length_ticks: its length, which is the metre's where it is a bar
    meter, tempo_bpm: as they will be when it starts, as far as is known now
    parameters: a snapshot, one value for each of the engine's parameters
    seed, take: with `bar` they determine the randomness; take counts the bars asked for again
    fill, vary: the performer asked for a fill, or for something different from what would come
    heard:      notes that a person played on the player's inputs, that began or sounded since the last bar was asked
                for, ticks relative to start_tick (negative); their part is the seat whose channel they came on
    now_tick:   where the song is when the span is asked for, relative to start_tick, negative; a note of `heard` that
                lasts until then is held still
    band:       notes of the other players that this one hears, in their bars since the last bar asked for, ticks
                relative to start_tick (negative); each has its part
    following:  the bar that comes after, where that is known already: this one is to lead into it
    time_left_s: time in which the bar has to be made, without end offline. An engine that sees that it cannot make the
                whole bar returns what it has up to a beat, and says so: Phrase.cut_tick
    """

    bar: int
    start_tick: int
    length_ticks: int
    meter: Meter
    tempo_bpm: float
    parameters: dict[str, Value]
    seed: int = 0
    take: int = 0
    fill: bool = False
    vary: bool = False
    heard: tuple[Note, ...] = ()
    now_tick: int = 0
    band: tuple[Note, ...] = ()
    following: Phrase | None = None
    time_left_s: float = 3600.0


class Played(msgspec.Struct, frozen=True):
    """A bar that was played, as given to `prime`: its metre, its phrase, and what the players it hears played in it.

    band: as a Request's, but in ticks from this bar's start
    """

    meter: Meter
    phrase: Phrase
    band: tuple[Note, ...] = ()


Chunk: TypeAlias = "Phrase | Loop"
"""What `generate` returns for a Request's span: notes, or the audio of exactly that span."""


class Engine(Protocol):
    """A source of music, one bar at a time.

    `parameters` holds for the life of the object. No method mutates a state it was given, so that another take, undo
    and hot swap are ordinary calls.
    """

    parameters: tuple[Parameter, ...]

    @classmethod
    def load(cls, bundle: Bundle | None, runtime: str = "auto") -> Self:
        """Make the engine from its bundle, or from nothing if it needs none.

        runtime: "auto", or one of the bundle's graph variants ("int4", "int8", "fp32", "torchscript").
        Raises SidemanError when it cannot.
        """
        ...

    def start(self, seed: int) -> State:
        """The state before the first bar of a song."""
        ...

    def prime(self, history: Sequence[Played], seed: int) -> State:
        """The state after the given bars, oldest first, for an engine that has just been loaded."""
        ...

    def generate(self, request: Request, state: State) -> tuple[Chunk, State]:
        """The bar asked for and the state after it. The chunk's length is request.length_ticks.

        A bar that is cut (Phrase.cut_tick) is whole as far as the state is concerned: the next goes on from there.
        """
        ...
