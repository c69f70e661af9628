"""Generator: codes, column by column, for several takes side by side.

A take is a prompt, a steering and a seed. With guidance each take has two rows in the batch, with its text and without;
the steer goes to the row with the text alone, unless asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from engines.musicgen.delay import Codes
from engines.musicgen.model import Prompt, SteeredModel
from engines.musicgen.sampling import Settings, guided, sampled
from engines.musicgen.steering import Steering
from engines.runtime.context import Context


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """One of the things that are made at once."""

    prompt: Prompt
    steering: Steering
    seed: int


class Generator:
    """Steps through the columns of some takes. `frames` says how far; None goes on until the window is full."""

    def __init__(
        self, model: SteeredModel, takes: Sequence[Take], settings: Settings, *,
        frames: int | None = None, window: int | None = None, steer_both: bool = False, context: Context | None = None,
    ) -> None:  # fmt: skip
        """window: positions to keep, by default what `frames` takes, or all that the model counts to.

        steer_both: the rows without the text are steered as well
        context: buffers for as many rows and positions, in place of new ones
        Raises SidemanError for frames, or settings, that cannot be.
        """
        settings.check()
        shape = model.shape
        if frames is not None and frames < 1:
            raise SidemanError("a duration of nothing: at least one frame of codes has to be made")
        needed = shape.positions if frames is None else shape.delay.columns(frames) - 1
        self.window = needed if window is None else window
        if not 1 <= self.window <= shape.positions or (frames is not None and needed > self.window):
            most = (min(self.window, shape.positions) - shape.delay.longest) / shape.frame_rate_hz
            raise SidemanError(f"the model counts to {most:.1f} s, with its prompt; ask for less")
        self.model, self.settings, self.frames = model, settings, frames
        self._takes = tuple(takes)
        self._steer_both = steer_both
        self._two = settings.guidance != 1.0
        self._context = context or model.context(len(self._takes) * (2 if self._two else 1), self.window)
        self._columns: list[Codes] = []  # [takes, books] each; the last is not heard yet
        self._known: Codes = shape.delay.laid(np.zeros((shape.books, 0), np.int64))
        self._known_frames = 0
        self._before = 0  # columns that a stream had made before it was renewed
        self._lead = 0  # frames of what the stream once continued
        self._begin_prompts()

    @property
    def takes(self) -> tuple[Take, ...]:
        """What is made."""
        return self._takes

    @property
    def column(self) -> int:
        """Of the column that the next step hears."""
        return self._context.length

    @property
    def room(self) -> int:
        """Steps that can still be made."""
        return self.window - self._context.length

    @property
    def context(self) -> Context:
        """The buffers."""
        return self._context

    @property
    def before(self) -> int:
        """Columns that were made before the first that is kept."""
        return self._before

    @property
    def columns(self) -> Codes:
        """All that are kept, int64 [takes, books, n]; the last is not heard yet."""
        return np.stack(self._columns, axis=-1)

    @property
    def reached(self) -> int:
        """Columns that there are, with those before."""
        return self._before + len(self._columns)

    def begin(self, codes: Codes | None = None) -> Self:
        """Hear the codes [books, n] of what is continued, which nothing steers; None: begin from nothing."""
        shape = self.model.shape
        if codes is not None:
            self._known = shape.delay.laid(codes)
            self._known_frames = self._lead = codes.shape[1]
        if self._known_frames + 1 > self.window or (self.frames is not None and self._known_frames >= self.frames):
            raise SidemanError("the sound that is to be continued is as long as all that is asked for; ask for more")
        rows = len(self._takes)
        self._columns = [np.repeat(self._known[None, :, c], rows, 0) for c in range(1 + self._known_frames)]
        none = np.zeros((shape.layers, shape.width), np.float32)
        self._hear(self._columns[:-1], [none] * rows)
        return self

    def resume(self, columns: Codes, before: int = 0, lead: int = 0) -> Self:
        """Go on behind columns [books, n], of which the context may have heard some; it hears the others but the last.

        before, lead: columns that were made before these, and how many of all were not made but continued
        """
        self._columns = list(np.repeat(columns.T[:, None], len(self._takes), 1))
        self._before, self._lead = before, lead
        unheard = self._columns[self._context.length : -1]
        if unheard:
            self._hear(unheard, self._steers())
        return self

    def step(self) -> Codes | None:
        """Make the next column; the frame [takes, books] that is whole by it, if there is one.

        The frames of what is continued are not said again.
        """
        if not self._columns:
            self.begin()
        column, delay = len(self._columns), self.model.shape.delay
        logits = self._hear(self._columns[-1:], self._steers())
        if self._two:
            half = len(self._takes)
            logits = guided(logits[:half], logits[half:], self.settings.guidance)
        drawn = np.stack(
            [sampled(each, self.settings, take.seed, self._before + column)
             for each, take in zip(logits, self._takes, strict=True)]
        )  # fmt: skip
        drawn = np.where(delay.open(column, self.frames), drawn, delay.pad)
        if column < self._known.shape[1]:  # late codebooks of what is continued
            known = delay.open(column, self._known_frames)
            drawn = np.where(known, self._known[:, column], drawn)
        self._columns.append(drawn)
        frame = column - 1 - delay.longest
        if frame < self._known_frames:
            return None
        return np.stack([self._columns[frame + 1 + late][:, book] for book, late in enumerate(delay.delays)], axis=1)

    def made(self) -> Iterator[Codes]:
        """Frames [takes, books], one after the other, as many as were asked for or there is room for."""
        while self.room and (self.frames is None or self.column + 1 < self.model.shape.delay.columns(self.frames)):
            frame = self.step()
            if frame is not None:
                yield frame

    def all(self) -> Codes:
        """All the frames that are left, int64 [takes, books, n]."""
        frames = list(self.made())
        empty = np.zeros((len(self._takes), self.model.shape.books, 0), np.int64)
        return np.stack(frames, axis=-1) if frames else empty

    def renewed(self, columns: int) -> Generator:
        """A generator that goes on from the last so many columns, as if its positions began there.

        It is primed when it is returned.
        """
        tail = self._columns[-columns:]
        new = Generator(
            self.model, self._takes, self.settings, window=self.window, steer_both=self._steer_both
        )  # fmt: skip
        delays = np.array(self.model.shape.delays)
        pad = self.model.shape.vocabulary
        first = np.full_like(tail[0], pad)
        new._columns = [first, *(np.where(number >= delays, each, pad) for number, each in enumerate(tail))]
        new._before, new._lead = self._before + len(self._columns) - len(new._columns), self._lead
        new._hear(new._columns[:-1], new._steers())
        return new

    def _steers(self) -> list[NDArray[np.float32]]:
        """What the next step adds, for each take; its number counts from the first column that was made."""
        number = max(0, self._before + len(self._columns) - 1 - self._lead)
        return [take.steering.at(number, take.seed) for take in self._takes]

    def _begin_prompts(self) -> None:
        prompts = [take.prompt for take in self._takes]
        if self._two:
            prompts += [self.model.prompt("")] * len(prompts)
        self.model.hear_prompts(self._context, prompts)

    def _hear(self, columns: Sequence[Codes], steers: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Run the step's graph on columns [takes, books]: logits [rows, books, vocabulary] after the last of them.

        steers: [layers, d] for each take
        """
        steer = np.stack(steers, axis=1)
        if self._two:
            steer = np.concatenate([steer, steer if self._steer_both else np.zeros_like(steer)], axis=1)
        logits = np.zeros((steer.shape[1], self.model.shape.books, self.model.shape.vocabulary), np.float32)
        # Several rows hear several columns at once only where nothing was heard before: the operator's own limit.
        together = len(columns) if not self._context.length else 1
        for begin in range(0, len(columns), max(1, together)):
            codes = np.stack(columns[begin : begin + together], axis=1)
            if self._two:
                codes = np.concatenate([codes, codes])
            first, count = self._context.length, codes.shape[1]
            (logits,) = self._context.hear(count, codes=codes, position=np.arange(first, first + count), steer=steer)
        if not np.isfinite(logits).all():
            raise SidemanError("the model says numbers that are not finite; steer less, or export the bundle again")
        return logits
