"""Sequences: pieces as the chain model reads them, and the batches of windows that it learns from and is judged on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.notes.controls import CONTROL_CLASSES, ROOT, TEMPO_EDGES, band, controls_of
from engines.notes.events import BAR, BAR_END, DURATION, OFFSET, PITCH, ROLE, STEP, VELOCITIES, VELOCITY, Bars, Events
from engines.notes.fields import BAR_FIELDS, DENOMINATORS, MEMORY_FIELDS, NOTE_FIELDS, PHRASE_BARS, Layout
from engines.notes.memory import BARS_BACK, CANDIDATES, NO_CANDIDATE, NO_PITCH, NO_REFERENCE, sequence_of
from engines.notes.roles import DRUMS, ROLE_COUNT
from engines.notes.tonality import tonality_of
from offline.notes.chain.config import ChainConfig

if TYPE_CHECKING:
    import torch

    from offline.notes.chain.network import Choice

THICK = 3
"""Roles from which on a piece is also heard without some of them."""


@dataclass(frozen=True, slots=True)
class Song:
    """One piece: its music, and what is said of it."""

    events: Events
    bars: Bars
    genre: int
    source: int
    velocity_known: bool
    performed: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """B windows of T elements, padded at their ends.

    notes:   int64 [B, T, NOTE_FIELDS], 0 for bars; memory: int64 [B, T, MEMORY_FIELDS]
    bars:    int64 [K, BAR_FIELDS] of the bars among them, at flat places bar_at [K] of B * T
    index, time: [B, T] number of the element, and sixteenths since the window began
    scored:  int64 [M] flat places whose next is judged; step: [M] what comes; candidates: [M, CANDIDATES, 4]
    followed: int64 [N] which of the M a note follows; choice: those N notes, without `hidden`
    velocity, offset: [N]; velocity_weight, offset_weight: [N]; source: [M]; song: [M] its number in the corpus
    """

    notes: torch.Tensor
    memory: torch.Tensor
    bars: torch.Tensor
    bar_at: torch.Tensor
    index: torch.Tensor
    time: torch.Tensor
    scored: torch.Tensor
    step: torch.Tensor
    candidates: torch.Tensor
    followed: torch.Tensor
    choice: Choice
    velocity: torch.Tensor
    offset: torch.Tensor
    velocity_weight: torch.Tensor
    offset_weight: torch.Tensor
    source: NDArray[np.int64]
    song: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a song, elements first to last, of which those from `judged` on count.

    shift: semitones; genre: whether it is told; told: bool [bars of the song, 6] density, polyphony, register, root,
    quality, and who plays (in the first row), or None
    loud:  class that velocities are made up around where they are not known (0: left so), -1: none is told
    lost:  bool [CANDIDATES] lanes of memory that say nothing
    wrong: probability that a note was heard at another pitch nearby, drawn with the seed `noise`
    """

    song: int
    first: int
    last: int
    judged: int
    shift: int = 0
    genre: bool = True
    told: NDArray[np.bool_] | None = None
    loud: int = 0
    lost: NDArray[np.bool_] | None = None
    wrong: float = 0.0
    noise: int = 0


class Sequences:
    """Songs, and for each element what memory says, in flat arrays."""

    def __init__(self, songs: Sequence[Song], layout: Layout) -> None:
        self.songs, self.layout = songs, layout
        notes = [len(song.events) for song in songs]
        bars = [len(song.bars) for song in songs]
        self.note_start = np.concatenate([[0], np.cumsum(notes)]).astype(np.int64)
        self.bar_start = np.concatenate([[0], np.cumsum(bars)]).astype(np.int64)
        self.start = self.note_start + self.bar_start
        made = [sequence_of(song.events, len(song.bars)) for song in songs]

        def joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate(parts) if parts else np.zeros(0, np.int32)

        self.note = joined([each.note for each in made])  # within the song, -1 for a bar
        self.bar = joined([each.bar for each in made])
        self.following = joined([each.following for each in made])
        self.candidates = joined([each.candidates for each in made])
        self.matched = joined([each.matched for each in made])
        self.references = joined([each.references for each in made])
        self.events = joined([song.events.astype(np.int16) for song in songs])
        self.controls = joined([controls_of(song.events, song.bars[:, 0]) for song in songs])
        self.facts = joined([bar_facts(song) for song in songs])
        self.bar_time = joined([np.cumsum(song.bars[:, 0]) - song.bars[:, 0] for song in songs])
        self.source = np.array([song.source for song in songs], np.int64)
        self.size = np.diff(self.start)

    def bars_of(self, song: int) -> NDArray[np.int64]:
        """Places, within the song, of its bars' rows."""
        return np.flatnonzero(self.note[self.start[song] : self.start[song + 1]] < 0)

    def batch(self, windows: Sequence[Window], config: ChainConfig) -> Batch:
        """The windows as tensors on the CPU."""
        import torch

        from offline.notes.chain.network import Choice

        longest = max(window.last - window.first for window in windows)
        shape = (len(windows), longest)
        notes = np.zeros((*shape, NOTE_FIELDS), np.int32)
        memory = np.zeros((*shape, MEMORY_FIELDS), np.int32)
        time = np.zeros(shape, np.float32)
        bars, bar_at, scored, step, candidates, followed = [], [], [], [], [], []
        events, references, tones, weights, source, song = [], [], [], [], [], []
        judged = 0
        for i, window in enumerate(windows):
            base, note_base = self.start[window.song], self.note_start[window.song]
            span = slice(base + window.first, base + window.last)
            note, bar, following = self.note[span], self.bar[span], self.following[span]
            size = len(note)
            note_rows, bar_rows = np.flatnonzero(note >= 0), np.flatnonzero(note < 0)
            heard = self._moved(self.events[note_base + note[note_rows]].astype(np.int32), window.shift)
            if window.wrong:
                heard[:, PITCH] = _misheard(heard, window)
            heard[:, VELOCITY] = _louder(heard[:, VELOCITY], heard[:, STEP], heard[:, ROLE], window.loud)
            notes[i, note_rows] = self.layout.of_notes(heard)
            named, matched = _shifted(self.candidates[span], window.shift), self.matched[span]
            if window.lost is not None:
                named, matched = named.copy(), matched * ~window.lost[-2:]
                named[:, window.lost] = NO_CANDIDATE
            memory[i, :size] = self.layout.of_memory(named, matched)
            at = self.bar_time[self.bar_start[window.song] + bar]
            time[i, :size] = at - at[0]
            time[i, note_rows] += heard[:, STEP]
            tonality = tonality_of(time[i, :size].astype(np.float64), heard, note_rows)
            bars.append(self._bar_fields(window, bar[bar_rows], heard[:, ROLE]))
            bar_at.append(bar_rows + i * longest)

            rows = np.arange(window.judged - window.first, size)
            next_ = following[rows]
            follow = np.flatnonzero(next_ >= 0)
            comes = self._moved(self.events[note_base + next_[follow]].astype(np.int32), window.shift)
            steps = np.full(len(rows), BAR_END)
            steps[follow] = comes[:, STEP]
            scored.append(rows + i * longest)
            step.append(steps)
            candidates.append(named[rows])
            followed.append(follow + judged)
            tones.append(tonality[rows[follow]])
            judged += len(rows)
            events.append(comes)
            references.append(
                _moved_references(self.references[note_base + next_[follow]], comes[:, STEP], comes[:, ROLE], window)
            )
            this = self.songs[window.song]
            weights.append(
                np.stack(
                    [
                        (comes[:, VELOCITY] > 0) & this.velocity_known,
                        np.full(len(comes), config.offset_weight if this.performed else 1.0),
                    ],
                    1,
                )
            )
            source.append(np.full(len(rows), this.source))
            song.append(np.full(len(rows), window.song))

        def tensor(array: NDArray[Any]) -> torch.Tensor:
            wide = array.astype(np.int64) if array.dtype.kind in "iu" else array
            return torch.from_numpy(np.ascontiguousarray(wide))

        comes, refs, weight = np.concatenate(events), np.concatenate(references), np.concatenate(weights)
        named, follow = np.concatenate(candidates), np.concatenate(followed)
        choice = Choice(
            hidden=torch.zeros(0),
            candidates=tensor(named[follow]),
            references=tensor(refs),
            reference_fields=tensor(self.layout.of_references(refs, comes[:, ROLE])),
            tonality=tensor(np.concatenate(tones)),
            note_fields=tensor(self.layout.of_notes(comes)),
            step=tensor(comes[:, STEP]),
            role=tensor(comes[:, ROLE]),
            pitch=tensor(comes[:, PITCH]),
            duration=tensor(comes[:, DURATION]),
        )
        return Batch(
            notes=tensor(notes),
            memory=tensor(memory),
            bars=tensor(np.concatenate(bars)),
            bar_at=tensor(np.concatenate(bar_at)),
            index=torch.arange(longest).expand(shape),
            time=torch.from_numpy(time),
            scored=tensor(np.concatenate(scored)),
            step=tensor(np.concatenate(step)),
            candidates=tensor(named),
            followed=tensor(follow),
            choice=choice,
            velocity=tensor(comes[:, VELOCITY]),
            offset=tensor(comes[:, OFFSET]),
            velocity_weight=torch.from_numpy(weight[:, 0].astype(np.float32)),
            offset_weight=torch.from_numpy(weight[:, 1].astype(np.float32)),
            source=np.concatenate(source),
            song=np.concatenate(song),
        )

    @staticmethod
    def _moved(events: Events, shift: int) -> Events:
        if shift:
            events = events.copy()
            events[:, PITCH] += np.where(events[:, ROLE] == DRUMS, 0, shift)
        return events

    def _bar_fields(self, window: Window, bars: NDArray[np.int32], roles: NDArray[np.int32]) -> NDArray[np.int32]:
        """[K, BAR_FIELDS]; what a window is not told is class 0."""
        rows = self.bar_start[window.song] + bars
        facts, controls = self.facts[rows].copy(), self.controls[rows].copy()
        if not window.genre:
            facts[:, 3] = 0
        root = controls[:, ROOT]
        controls[:, ROOT] = np.where(root >= 2, (root - 2 + window.shift) % 12 + 2, root)
        seats = np.zeros((len(rows), ROLE_COUNT), np.int32)
        if window.told is None:
            controls[:] = 0
        else:
            controls *= window.told[bars - bars[0], : len(CONTROL_CLASSES)] if len(bars) else 1
            if window.told[0, -1]:
                seats[:] = 1 + (np.bincount(roles, minlength=ROLE_COUNT) > 0)
        return self.layout.of_bars(facts, controls, seats).reshape(-1, BAR_FIELDS)


def bar_facts(song: Song) -> NDArray[np.int32]:
    """[B, 5] of a song's bars, as Layout.of_bars takes them."""
    steps, denominator, tempo = song.bars.T
    known = [DENOMINATORS.index(int(d)) + 1 if int(d) in DENOMINATORS else 0 for d in denominator]
    return np.stack(
        [
            steps,
            np.array(known, np.int64),
            band(tempo.astype(np.float64), TEMPO_EDGES),
            np.full(len(steps), song.genre),
            np.arange(len(steps)) % PHRASE_BARS,
        ],
        1,
    ).astype(np.int32)


def _shifted(candidates: NDArray[np.uint8], shift: int) -> NDArray[np.uint8]:
    if not shift:
        return candidates
    moved = candidates.copy()
    pitched = (moved[..., 1] != DRUMS) & (moved[..., 2] < NO_PITCH)
    moved[..., 2] = np.where(pitched, np.clip(moved[..., 2].astype(np.int16) + shift, 0, 127), moved[..., 2])
    return moved


def _moved_references(
    references: NDArray[np.uint8], step: NDArray[np.int32], role: NDArray[np.int32], window: Window
) -> NDArray[np.uint8]:
    moved = references.copy()
    if window.shift:
        pitched = (role != DRUMS)[:, None] & (moved[..., 0] < NO_PITCH)
        there = moved[..., 0].astype(np.int16) + window.shift
        moved[..., 0] = np.where(pitched, np.clip(there, 0, 127), moved[..., 0])
    if window.loud:
        known = moved[..., 2] < VELOCITIES
        louder = _louder(moved[..., 2].astype(np.int32), step[:, None], role[:, None], window.loud)
        moved[..., 2] = np.where(known, louder, moved[..., 2])
    if window.lost is not None:
        moved[:, : len(BARS_BACK)][:, window.lost[: len(BARS_BACK)]] = NO_REFERENCE
    return moved


def _misheard(heard: Events, window: Window) -> NDArray[np.int32]:
    """Pitches [N] with a few wrong ones: what a model plays is not all right either, and it must find back."""
    rng = np.random.default_rng(window.noise)
    off = rng.choice([-2, -1, 1, 2], len(heard)) * ((rng.random(len(heard)) < window.wrong) & (heard[:, ROLE] != DRUMS))
    return np.clip(heard[:, PITCH] + off, 0, 127).astype(np.int32)


def _louder(
    velocity: NDArray[np.int32], step: NDArray[np.int32], role: NDArray[np.int32], loud: int
) -> NDArray[np.int32]:
    """Velocities as a window is told them: beats a little louder than what is between, drums than the rest."""
    if loud < 0:
        return np.zeros_like(velocity)
    if loud == 0:
        return velocity
    made_up = np.clip(loud + (step % 4 == 0) + (role == DRUMS), 1, VELOCITIES - 1)
    return np.where(velocity > 0, velocity, made_up).astype(np.int32)


def thinned(song: Song, rng: np.random.Generator) -> Song | None:
    """The song without some of its roles, drums first of all; None where it has too few."""
    roles = np.unique(song.events[:, ROLE])
    if len(roles) < THICK:
        return None
    gone = rng.random(len(roles)) < np.where(roles == DRUMS, 0.7, 0.3)
    if not gone.any() or gone.all():
        gone = roles == roles[0]
    events = song.events[~np.isin(song.events[:, ROLE], roles[gone])]
    used = np.unique(events[:, BAR])
    bars = song.bars[used[0] : used[-1] + 1]
    events = events.copy()
    events[:, BAR] -= used[0]
    return Song(events, bars, song.genre, song.source, song.velocity_known, song.performed)


class Epoch:
    """`steps` batches of random windows; each depends on (seed, epoch, number) alone."""

    def __init__(
        self, corpus: Sequences, twins: NDArray[np.int64], config: ChainConfig, epoch: int, device: Any
    ) -> None:
        """twins: of each song, the number of its thinned version or -1; those are not drawn for themselves."""
        self._corpus, self._twins, self._config, self._epoch, self._device = corpus, twins, config, epoch, device
        own = np.flatnonzero(twins != -2)
        totals = np.bincount(corpus.source[own], corpus.size[own])
        share = np.where(totals > 0, np.maximum(totals, 1.0) ** -config.balance, 0.0)
        chance = corpus.size[own] * share[corpus.source[own]]
        self._own, self._edges = own, np.cumsum(chance / chance.sum())

    def __len__(self) -> int:
        return self._config.steps

    def batch(self, index: int) -> Batch:
        """See offline.trainer.Batches."""
        rng = np.random.default_rng((self._config.seed, self._epoch, index))
        return on(
            self._corpus.batch([self._window(rng) for _ in range(self._config.batch)], self._config), self._device
        )

    def _window(self, rng: np.random.Generator) -> Window:
        config, corpus = self._config, self._corpus
        place = int(np.searchsorted(self._edges, rng.random()))
        song = int(self._own[min(place, len(self._own) - 1)])
        if self._twins[song] >= 0 and rng.random() < config.thin:
            song = int(self._twins[song])
        bars, size = corpus.bars_of(song), int(corpus.size[song])
        reachable = bars[bars <= max(0, size - config.context)]
        late = rng.random() >= 0.1
        first = int(reachable[int(rng.integers(len(reachable)))]) if late else 0
        last = min(first + config.context, size)
        loud = -1 if rng.random() < config.hide_velocity else int(rng.integers(3, 7)) if rng.random() < 0.5 else 0
        lost = rng.random(CANDIDATES) < config.lose_lane
        return Window(song, first, last, first, self._shift(song, rng), rng.random() >= config.hide_genre,
                      self._told(rng, len(bars)), loud, lost if lost.any() else None,
                      config.wrong_note, int(rng.integers(1 << 31)))  # fmt: skip

    def _shift(self, song: int, rng: np.random.Generator) -> int:
        events = self._corpus.songs[song].events
        shift = int(rng.integers(self._config.lowest, self._config.highest + 1))
        pitch = events[events[:, ROLE] != DRUMS, PITCH]
        fits = len(pitch) and int(pitch.min()) + shift >= 0 and int(pitch.max()) + shift <= 127
        return shift if fits else 0

    def _told(self, rng: np.random.Generator, bars: int) -> NDArray[np.bool_] | None:
        """[bars, 6]: density, polyphony, register, root, quality and who plays."""
        if rng.random() >= self._config.tell:
            return None
        kinds = rng.random(5) < 0.5
        told: NDArray[np.bool_] = kinds[None, :] & (rng.random((bars, 5)) < 0.85)
        told[:, 4] = kinds[4]
        return told[:, [0, 1, 2, 3, 3, 4]]


def judging(corpus: Sequences, config: ChainConfig, songs: Sequence[int]) -> Iterator[Window]:
    """Windows that judge each element of the songs once, with at least about half a context before it."""
    for song in songs:
        bars, size = corpus.bars_of(song), int(corpus.size[song])
        done = 0
        while done < size:
            wanted = max(0, done - config.context // 2)
            first = int(bars[bars <= wanted][-1])
            last = min(first + config.context, size)
            if last <= done:  # a bar longer than half the context
                first, last = done, min(done + config.context, size)
            yield Window(song, first, last, done)
            done = last


def on(batch: Batch, device: Any) -> Batch:
    """The batch on a device."""
    from dataclasses import fields, replace

    import torch

    if str(device) == "cpu":
        return batch

    def moved(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to(device, non_blocking=True)
        return value

    choice = replace(batch.choice, **{f.name: moved(getattr(batch.choice, f.name)) for f in fields(batch.choice)})
    values = {f.name: moved(getattr(batch, f.name)) for f in fields(batch) if f.name != "choice"}
    return Batch(choice=choice, **values)
