"""loopfile: a user's own loops, from a folder of WAV, OGG and FLAC files, in tempo and from the bar on.

A loop is cut into the bars that are asked for. At its own tempo its samples are handed on untouched; at another it is
stretched at its pitch. Without a folder it is a click.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from engines.audio import Frames, Loop, frames_in
from engines.audiofile import ENDINGS, TEMPO_LOW, AudioFile, open_audio
from engines.engine import Played, Request
from engines.errors import SidemanError
from engines.music import TICKS_PER_BEAT
from engines.parameter import Parameter
from engines.randomness import generator
from engines.stretch import stretched, stretched_round

if TYPE_CHECKING:
    from engines.bundle import Bundle

CLICK_RATE = 48_000
FILES_MAX = 128
UNTOUCHED_S = 0.001
"""A bar that is off by no more is not stretched."""

WHOLE_S = 16.0
"""A loop up to this long is stretched in one, in a third of a second, and has no seam; a longer one bar by bar."""

KEPT = 4
"""Loops that stay in memory, as they are and stretched."""


@dataclass(frozen=True, slots=True)
class Source:
    """What can be played: a file, or the click. Its frames are read when they are needed."""

    file: AudioFile | None

    def span(self, tempo_bpm: float) -> tuple[float, int]:
        """Its tempo and its length in ticks; a tempo other than 0 instead of its own."""
        return (120.0, TICKS_PER_BEAT) if self.file is None else self.file.span(tempo_bpm)

    @property
    def rate(self) -> int:
        """Frames a second."""
        return CLICK_RATE if self.file is None else self.file.rate

    def frames(self, tempo_bpm: float) -> Frames:
        """All its frames."""
        return _click() if self.file is None else self.file.frames(tempo_bpm)


@dataclass(frozen=True, slots=True)
class Place:
    """A state: the file that was asked for (from 1; 0: none yet), the one that plays, and the next bar's tick in it."""

    asked: int = 0
    file: int = 0
    tick: int = 0


class LoopFiles:
    """The engine."""

    def __init__(self, sources: Sequence[Source], troubles: tuple[str, ...] = ()) -> None:
        self.troubles = troubles
        self._sources = tuple(sources)
        self._frames = lru_cache(KEPT)(lambda source, tempo_bpm: source.frames(tempo_bpm))
        self._whole = lru_cache(KEPT)(self._stretched_whole)
        self.parameters = (
            Parameter(
                name="file", kind="int", default=1, low=1, high=len(sources),
                help="which file of the folder, in the order of their names; from the next bar",
            ),
            Parameter(
                name="order", kind="choice", default="again", choices=("again", "next", "random"),
                help="what follows when a loop has been played to its end",
            ),
            Parameter(
                name="tempo", kind="float", default=0.0, low=0.0, high=999.0, unit="bpm",
                help="of the files, if it is not what they say; below 20 their word is taken",
            ),
        )  # fmt: skip

    @classmethod
    def load(cls, bundle: Bundle | None, runtime: str = "auto") -> Self:
        """Without a folder: the click. Raises SidemanError for a bundle, which has no loops."""
        if bundle is not None:
            raise SidemanError(f"{bundle.path} is a bundle; loopfile plays a folder of {', '.join(ENDINGS)} files")
        return cls([Source(None)])

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """The files of a folder. Each that cannot be played is said in one line in `troubles`.

        Raises SidemanError if none can be.
        """
        paths = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()
        )
        found, troubles = [], []
        for path in paths[:FILES_MAX]:
            try:
                found.append(open_audio(path))
            except SidemanError as error:
                troubles.append(f"{error}; it is left out")
        if not found:
            why = f" ({troubles[0]})" if troubles else ""
            raise SidemanError(f"{folder} has no {', '.join(ENDINGS)} file that can be played{why}")
        troubles += [file.notice for file in found if file.notice]
        if len(paths) > FILES_MAX:
            troubles.append(f"{folder} has {len(paths)} files; the first {FILES_MAX} are played")
        return cls([Source(file) for file in found], tuple(troubles))

    def start(self, seed: int) -> Place:
        """The beginning of the file that will be asked for."""
        return Place()

    def prime(self, history: Sequence[Played], seed: int) -> Place:
        """As far on as what was played: the file that is asked for goes on where it would be now."""
        return Place(tick=sum(played.phrase.length for played in history))

    def generate(self, request: Request, state: Place) -> tuple[Loop, Place]:
        """The bar of the loop that is due. Raises SidemanError if its file cannot be read any more."""
        file, tick = self._due(request, state)
        source, turned_bpm = self._sources[file], float(request.parameters["tempo"])
        own_bpm = turned_bpm if turned_bpm >= TEMPO_LOW else 0.0
        tempo, ticks = source.span(own_bpm)
        tick %= ticks
        wanted = frames_in(request.length_ticks, request.tempo_bpm, source.rate)
        start, stop = (frames_in(at, tempo, source.rate) for at in (tick, tick + request.length_ticks))
        if abs(stop - start - wanted) <= UNTOUCHED_S * source.rate:
            stop = start + wanted
        frames = self._frames(source, own_bpm)
        if stop - start != wanted and len(frames) <= WHOLE_S * source.rate:
            whole = self._whole(source, own_bpm, round(len(frames) * wanted / (stop - start)))
            start = round(start * len(whole) / len(frames))
            frames, stop = whole, start + wanted
        loop = Loop(stretched(frames, start, stop, wanted, source.rate), source.rate, request.length_ticks)
        return loop, self._after(request, file, tick + request.length_ticks, ticks)

    def _due(self, request: Request, state: Place) -> tuple[int, int]:
        """The file that this bar is of, and the tick in it."""
        asked = int(request.parameters["file"])
        if request.vary and len(self._sources) > 1:
            random = generator(request.seed, request.bar, request.take)
            others = [file for file in range(len(self._sources)) if file != state.file]
            return others[int(random.integers(len(others)))], 0
        if asked == state.asked:
            return state.file, state.tick
        return asked - 1, 0 if state.asked else state.tick

    def _after(self, request: Request, file: int, tick: int, ticks: int) -> Place:
        """Where the next bar is."""
        asked, order = int(request.parameters["file"]), request.parameters["order"]
        if tick < ticks or order == "again":
            return Place(asked, file, tick % ticks)
        if order == "next":
            return Place(asked, (file + 1) % len(self._sources), 0)
        random = generator(request.seed, request.bar, request.take, stream=1)
        return Place(asked, int(random.integers(len(self._sources))), 0)

    def _stretched_whole(self, source: Source, own_bpm: float, wanted: int) -> Frames:
        frames = self._frames(source, own_bpm)
        return stretched_round(frames, wanted, source.rate)


def _click() -> Frames:
    """A beat at 120 bpm, (n, 1): 20 ms of a sine at 1.5 kHz that dies away."""
    t = np.arange(CLICK_RATE // 2) / CLICK_RATE
    click = 0.5 * np.sin(2 * np.pi * 1500 * t) * np.exp(-t / 0.004) * (t < 0.02)
    return np.asarray(click[:, None], np.float32)
