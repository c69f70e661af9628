"""RemiModel: a NoteModel of the flat GPT, the seed's system, as the drum engine has the seed's LSTM.

It was told a genre and nothing else: controls, seats and `memory` it ignores, and harmony it keeps by the grammar
alone. offline/notes/gpt/network.py says what the graph holds; docs/MODELS.md how it was made and what it scores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle, Tensor
from engines.errors import BundleError
from engines.music import STEP_TICKS
from engines.notes.asked import Asked, Written
from engines.notes.events import DURATIONS, PITCH, VELOCITIES, Events
from engines.notes.grammar import NOTES_MAX, Grammar, Mask
from engines.notes.history import History
from engines.notes.remi.line import Line
from engines.notes.remi.vocabulary import END, NEXT, POSITIONS, Kind, Vocabulary, log_sums, place_of, row_at
from engines.notes.roles import DRUMS, ROLE_COUNT
from engines.runtime import Graph
from engines.sampling import pick, shaped

GRAPH = "step"
POSITION_TICKS = STEP_TICKS // 2

LINES = 3
"""Contexts that are kept at once: one for each genre that is blended, and one for a genre that comes back."""


class RemiSettings(msgspec.Struct, frozen=True):
    """The manifest's config. vocabulary: the name of each token."""

    vocabulary: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemiGraph:
    """The graph of a bundle and its inputs: tokens, cos, sin, last, total, and the buffers."""

    graph: Graph
    inputs: tuple[Tensor, ...]


class RemiModel:
    """A NoteModel (engines.notes.asked) of the flat GPT.

    A bar is sampled token by token, of those that the grammar allows, so that it always decodes. After a context has
    slid, what is kept of it was computed when more was there: the same bar asked of a fresh worker may differ.
    """

    def __init__(self, graph: RemiGraph, vocabulary: Vocabulary) -> None:
        self._graph = graph
        self.vocabulary = vocabulary
        self._lines: dict[int, Line] = {}

    @classmethod
    def load(cls, bundle: Bundle, runtime: str = "auto") -> Self:
        """Open a bundle of kind remi; see engines.engine.Engine.load. Raises BundleError."""
        try:
            settings = msgspec.convert(bundle.manifest.config, RemiSettings)
            vocabulary = Vocabulary(settings.vocabulary)
        except (msgspec.ValidationError, BundleError) as error:
            raise BundleError(f"{bundle.path}: its config is not a flat GPT's ({error}); export it again") from error
        graph = bundle.graph(GRAPH, runtime)
        return cls(RemiGraph(graph, bundle.manifest.graphs[GRAPH].inputs), vocabulary)

    @property
    def genres(self) -> tuple[str, ...]:
        """See NoteModel."""
        return self.vocabulary.genres

    def write(self, history: History, asked: Asked, random: np.random.Generator) -> Written:
        """See NoteModel."""
        writing = _Writing(self.vocabulary, self._opened(history, asked), asked)
        complete = writing.run(random)
        return Written(writing.events(), complete)

    def score(self, history: History, asked: Asked) -> float:
        """See NoteModel."""
        return _Writing(self.vocabulary, self._opened(history, asked), asked).scored(asked.bar.events)

    def line(self, genre: int) -> Line:
        """A new context. genre: index in genres, or -1."""
        return Line(self._graph.graph, self._graph.inputs, self.vocabulary, genre)

    def _opened(self, history: History, asked: Asked) -> list[tuple[Line, float]]:
        lines = []
        for genre, share in asked.genres:
            line = self._lines.pop(genre, None) or self.line(genre)
            self._lines[genre] = line  # the latest used comes last
            line.open(history, asked.bar, asked.number)
            lines.append((line, share))
        while len(self._lines) > LINES:
            del self._lines[next(iter(self._lines))]
        return lines


class _Writing:
    """A bar that is being written, on the lines of one or more genres."""

    def __init__(self, vocabulary: Vocabulary, lines: list[tuple[Line, float]], asked: Asked) -> None:
        self._vocabulary, self._lines, self._asked = vocabulary, lines, asked
        limits = asked.grammar.limits
        known = replace(limits, may=limits.may & vocabulary.pitches)
        self._grammar: Grammar = _unordered(replace(asked.grammar, limits=known))
        self._position = lines[0][0].position
        self._rows: list[list[int]] = []

    def events(self) -> Events:
        """What is written, in canonical order."""
        rows = np.array(self._rows, np.int32).reshape(-1, 7)
        return rows[np.lexsort(rows[:, PITCH:0:-1].T)]

    def run(self, random: np.random.Generator) -> bool:
        """Write until the bar ends; False if the time was over before."""
        words = self._vocabulary
        while self._asked.left_s() > 0.0:
            choice = self._drawn(words.next, self._next_mask(), random)
            if choice == END:
                return True
            if choice < POSITIONS:
                self._hear([words.position(choice)])
                self._position = choice
                choice = self._drawn(words.next, self._seats(), random)  # nobody leaves a position without a note
            row = self._note(choice - POSITIONS, random)
            self._rows.append(row)
            self._grammar = _unordered(self._grammar.wrote(np.array(row, np.int32)))
        return False

    def _note(self, role: int, random: np.random.Generator) -> list[int]:
        """A note of a role at the position that is reached, a row of Events; its four tokens are heard."""
        words = self._vocabulary
        step, offset = row_at(self._position)
        self._hear([words.program(role)])
        pitch = self._drawn(words.pitch, self._free()[role], random)
        self._hear([words.pitch_token(pitch)])
        velocity = self._drawn(words.velocity, np.arange(VELOCITIES) > 0, random)
        self._hear([words.velocity_token(velocity)])
        longest = 1 if role == DRUMS else len(DURATIONS)
        duration = self._drawn(words.duration, np.arange(len(DURATIONS)) < longest, random)
        self._hear([words.duration_token(role, duration)])
        return [0, step, role, pitch, duration, velocity, offset]

    def scored(self, events: Events) -> float:
        """Nats of these notes and of the bar's end."""
        words, total = self._vocabulary, 0.0
        for position, row in sorted((place_of(row), row) for row in events.tolist()):
            if not words.pitches[row[PITCH]]:
                continue
            if position != self._position:
                total -= self._likely(words.next)[position]
                self._hear([words.position(position)])
                self._position = position
            tokens = words.note(row)
            kinds = (words.next, words.pitch, words.velocity, words.duration)
            for token, kind in zip(tokens, kinds, strict=True):
                total -= self._likely(kind)[kind.classes[token]]
                self._hear([token])
        return float(total - self._likely(words.next)[END])

    def _hear(self, tokens: list[int]) -> None:
        for line, _ in self._lines:
            line.hear(tokens)

    def _drawn(self, kind: Kind, mask: Mask, random: np.random.Generator) -> int:
        """A class that the mask allows, at the temperature and with the cuts that are asked for."""
        asked = self._asked
        likely = np.where(mask, self._likely(kind), -np.inf).astype(np.float32)
        return pick(shaped(likely, asked.temperature, asked.top_k, asked.top_p), random.random())

    def _likely(self, kind: Kind) -> NDArray[np.float64]:
        """[kind.count] log-probabilities, the genres' mixed by their shares."""
        mixed: NDArray[np.float64] = sum(
            (share * log_sums(line.logits, kind) for line, share in self._lines), np.zeros(kind.count)
        )
        return mixed

    def _next_mask(self) -> Mask:
        """What may follow: a later position where somebody may play, somebody at this one, the end."""
        mask = np.zeros(NEXT, bool)
        mask[END] = True
        if self._grammar.count >= NOTES_MAX:
            return mask
        later = np.arange(self._position + 1, min(2 * self._grammar.limits.steps - 1, POSITIONS))
        mask[later] = self._free_at(later).any((1, 2))
        return mask | self._seats() if self._position >= 0 else mask

    def _seats(self) -> Mask:
        """Who may play at the position that is reached."""
        mask = np.zeros(NEXT, bool)
        mask[POSITIONS : POSITIONS + ROLE_COUNT] = self._free().any(1)
        return mask

    def _free(self) -> Mask:
        """[ROLE_COUNT, 128]: what may begin at the position that is reached."""
        mask: Mask = self._free_at(np.array([self._position]))[0]
        return mask

    def _free_at(self, positions: NDArray[np.int64]) -> Mask:
        """[P, ROLE_COUNT, 128]: what may begin at each position, by the limits and by what sounds."""
        limits, until = self._grammar.limits, self._grammar.until
        sounds = until > (positions * POSITION_TICKS)[:, None, None]
        free = limits.may[(positions + 1) // 2] & ~sounds
        voices = sounds.sum(2)
        free &= (voices < limits.voices)[:, :, None]
        free[voices[:, DRUMS + 1 :].sum(1) >= limits.total, DRUMS + 1 :] = False
        return free


def _unordered(grammar: Grammar) -> Grammar:
    """The grammar without canonical order: notes of one moment come as the seed's files have them, in any."""
    return replace(grammar, step=0, role=0, pitch=-1)
