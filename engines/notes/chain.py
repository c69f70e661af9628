"""ChainModel: bars from the chain model's graphs (offline/notes/chain), note by note.

The trunk hears an element, a bar's row or a note, and gives a hidden vector; six heads say the next note from it, one
choice after the other. What the trunk has heard is kept between bars (engines.notes.stream).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle, Tensor
from engines.errors import BundleError
from engines.notes.asked import Asked, Written
from engines.notes.fields import NOTE_FIELDS, REFERENCE_FIELDS, Layout
from engines.notes.history import History
from engines.notes.memory import REFERENCES
from engines.notes.page import Blend, scored, written
from engines.notes.stream import Stream
from engines.runtime import Graph

HEADS = ("step", "role", "pitch", "duration", "velocity", "offset")
TOLD_FIELDS = NOTE_FIELDS + REFERENCE_FIELDS
VERSION = 3
"""Of what the graphs are told; a bundle of another one is not played."""

STREAMS = 3
"""Contexts that are kept at once: one for each genre that is blended, and one for a genre that comes back."""


@dataclass(frozen=True, slots=True)
class Graphs:
    """The graphs of a bundle, and the inputs of its trunk."""

    trunk: Graph
    trunk_inputs: tuple[Tensor, ...]
    told: Graph
    heads: dict[str, Graph]


class ChainModel:
    """A NoteModel (engines.notes.asked) of the chain model's graphs."""

    def __init__(self, graphs: Graphs, config: dict[str, Any]) -> None:
        """config: the manifest's: version, genres, heads (of each layer of the trunk)."""
        self.graphs = graphs
        self._genres = tuple(str(genre) for genre in config["genres"])
        self.layout = Layout(len(self._genres))
        self._heads = int(config["heads"])
        self._streams: dict[int, Stream] = {}

    @classmethod
    def load(cls, bundle: Bundle, runtime: str = "auto") -> Self:
        """Open the graphs of a bundle. Raises BundleError."""
        config = bundle.manifest.config
        if config.get("version") != VERSION:
            raise BundleError(f"{bundle.path} was exported by another version; export it again")
        heads = {name: bundle.graph(name, runtime) for name in HEADS}
        inputs = bundle.manifest.graphs["trunk"].inputs if "trunk" in bundle.manifest.graphs else ()
        return cls(Graphs(bundle.graph("trunk", runtime), inputs, bundle.graph("told", runtime), heads), config)

    @property
    def genres(self) -> tuple[str, ...]:
        """See engines.notes.asked.NoteModel."""
        return self._genres

    def write(self, history: History, asked: Asked, random: np.random.Generator) -> Written:
        """See engines.notes.asked.NoteModel."""
        return written(self._page(history, asked), asked, random)

    def score(self, history: History, asked: Asked) -> float:
        """See engines.notes.asked.NoteModel."""
        return scored(self._page(history, asked), asked.bar.events)

    def _page(self, history: History, asked: Asked) -> Blend | ChainPage:
        pages = [self._opened(genre, history, asked) for genre, _ in asked.genres]
        return pages[0] if len(pages) == 1 else Blend(pages, [share for _, share in asked.genres])

    def _opened(self, genre: int, history: History, asked: Asked) -> ChainPage:
        stream = self._streams.pop(genre, None) or Stream(
            self.graphs.trunk, self.graphs.trunk_inputs, self.layout, self._heads, genre
        )
        self._streams[genre] = stream  # the latest used comes last
        while len(self._streams) > STREAMS:
            del self._streams[next(iter(self._streams))]
        stream.open(history, asked.bar, asked.number)
        return ChainPage(self, stream, asked.memory)


class ChainPage:
    """A Page (engines.notes.page) on a stream."""

    def __init__(self, model: ChainModel, stream: Stream, memory: float) -> None:
        self._model, self._stream = model, stream
        self._keep = np.array([memory], np.float32)
        self._turn()

    def _turn(self) -> None:
        found, _ = self._stream.recall.candidates()
        self._candidates = np.array([found], np.int64)
        self._references = np.zeros((1, REFERENCES, 4), np.int64)
        self._reference_fields = np.zeros((1, REFERENCES * 4), np.int64)
        self._place = (-1, -1)

    def logits(self, chosen: Sequence[int]) -> NDArray[np.float32]:
        """See engines.notes.page.Page."""
        name = HEADS[len(chosen)]
        inputs: dict[str, NDArray[Any]] = {"x": self._stream.hidden, "candidates": self._candidates}
        if len(chosen) > 1:
            self._look_up(chosen[0], chosen[1])
            inputs["references"] = self._references
        if chosen:
            inputs["chosen"] = np.array([[*chosen[:3], *[0] * (3 - len(chosen))]], np.int64)
            (told,) = self._model.graphs.told(fields=self._fields(chosen))
            inputs["x"] = self._stream.hidden + told
        if name == "pitch":
            inputs["tonality"] = self._stream.tonality.lanes()[None]
        (logits,) = self._model.graphs.heads[name](**inputs, keep=self._keep)
        result: NDArray[np.float32] = logits[0]
        return result

    def write(self, note: Sequence[int]) -> None:
        """See engines.notes.page.Page."""
        self._stream.note(note)
        self._turn()

    def _look_up(self, step: int, role: int) -> None:
        if self._place == (step, role):
            return
        self._place = (step, role)
        found = np.array([self._stream.recall.references(step, role)], np.int64)
        self._references = found
        self._reference_fields = self._model.layout.of_references(
            found.astype(np.uint8), np.array([role], np.int32)
        ).astype(np.int64)

    def _fields(self, chosen: Sequence[int]) -> NDArray[np.int64]:
        """[1, TOLD_FIELDS] of the choices made and of what the role played before; 0, nothing, for the others."""
        row = np.array([[0, *chosen, *[0] * (6 - len(chosen))]], np.int32)
        fields = np.zeros((1, TOLD_FIELDS), np.int64)
        made = len(chosen) + (len(chosen) > 2)  # a pitch has two fields
        fields[:, :made] = self._model.layout.of_notes(row)[:, :made]
        if len(chosen) > 1:
            fields[:, NOTE_FIELDS:] = self._reference_fields
        return fields
