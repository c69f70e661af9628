"""NoteModel: what the engine of notes asks of a model, and what it asks of a bar."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engines.notes.events import Events
from engines.notes.grammar import Grammar
from engines.notes.history import History, Measure


@dataclass(frozen=True, slots=True)
class Asked:
    """A bar that is to be written.

    bar:         its length, tempo, controls and seats; without notes
    number:      how many bars of the song came before it
    genres:      index in the model's genres, or -1 for none said, and its share; shares sum to 1
    grammar:     what may be written
    temperature: 0 takes the likeliest; top_p, top_k: cuts of what is likely; 1 and 0 are off
    memory:      0-1, share of what it leans towards what stood at the same place before (engines.notes.memory)
    left_s:      the time that there is still for it, in seconds
    """

    bar: Measure
    number: int
    genres: tuple[tuple[int, float], ...]
    grammar: Grammar
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    memory: float = 1.0
    left_s: Callable[[], float] = lambda: math.inf


@dataclass(frozen=True, slots=True)
class Written:
    """A bar's notes, as bar 0 in canonical order. complete: False if there was not enough time to end it."""

    events: Events
    complete: bool = True


class NoteModel(Protocol):
    """A model of bars of notes over the history of a song. Nothing passed in is mutated.

    Caches are its own business: what it answers depends on what it is asked alone.
    """

    @property
    def genres(self) -> tuple[str, ...]:
        """The genres that it can be asked for."""
        ...

    def write(self, history: History, asked: Asked, random: np.random.Generator) -> Written:
        """The next bar, sampled."""
        ...

    def score(self, history: History, asked: Asked) -> float:
        """Nats of asked.bar's notes, if they were to follow the history; grammar and sampling do not matter."""
        ...
