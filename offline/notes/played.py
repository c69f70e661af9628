"""Played: what bundles play when they are asked for a genre, judged beside real music of the same length.

Every genre is asked for in 4/4 at 120 bpm with all seats free, so that nothing but its name tells it from another.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from engines.notes.events import Bars
from engines.randomness import generator
from offline.csvfile import Cell, write_csv
from offline.notes.compare import compare
from offline.notes.copies import COPIES, COPY_BARS, copy_rows
from offline.notes.features import excerpts
from offline.notes.genre import REAL, Excerpts, Judge, Verdict, blend_rows, draw_confusion
from offline.notes.likeness import likeness_rows, phrases
from offline.notes.models import Playing, Prompt, Song
from offline.notes.playing import plain_bars, write_midi
from offline.notes.songs import PARTS

INSIDE = ("MMA", "EWLD")
"""The parts that are of one kind, made by one arranger: there genre is not the source."""
BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)
EXCERPTS_LEARNED = 2
"""Excerpts of each song that a judge learns from."""
EXCERPTS_HELD = 4
"""Excerpts of each held-out song that are judged."""
GENRE_MIN = 5
"""Real excerpts below which a genre is not compared."""


@dataclass(frozen=True, slots=True)
class Plan:
    """samples: of each genre; bars: of each; blends: pairs of genres to mix; phrases: songs of which one is heard."""

    samples: int
    bars: int
    seed: int
    temperature: float | None
    top_p: float | None
    blends: tuple[tuple[str, str], ...]
    phrases: int
    figures: bool = True


def judge_playing(
    players: Mapping[str, Playing],
    train: Sequence[Song],
    parts: Mapping[str, Sequence[Song]],
    plan: Plan,
    folder: Path,
) -> None:
    """Let the players play, write what they play as MIDI, and write and print what the judges say of it."""
    held_parts = {
        part: [each for song in songs for each in excerpts(song, plan.bars, EXCERPTS_HELD)]
        for part, songs in parts.items()
    }
    held = [each for songs in held_parts.values() for each in songs]
    made = {name: samples(name, player, plan, folder / "generated" / _word(name)) for name, player in players.items()}
    write_csv(folder / "genre_compare.csv", _comparisons(made, held, train, plan))
    real = {f"{REAL}, {part}": songs for part, songs in held_parts.items()}
    copies = copy_rows({**made, **real}, train)
    write_csv(folder / "copies.csv", copies)
    heard = phrases([song for songs in parts.values() for song in songs], plan.phrases, plan.seed)
    alike = [row for name, player in players.items() for row in likeness_rows(name, player, heard, plan.seed)]
    if alike:
        write_csv(folder / "likeness.csv", alike)
    for row in copies:
        print(f"{row['pieces']}, {row['compared']}: {row[COPIES]:.0%} hold a copy of {COPY_BARS} bars, longest run "
              f"{row['longest_run']} notes")  # fmt: skip
    for row in alike:
        if row["phrases"]:
            print(f"{row['model']}, {row['after']}: {row['measure']} {row['likeness']:.2f} like the phrase, "
                  f"{row['shuffled']:.2f} like others, gain {row['gain']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
                  + ("" if row["changed"] is None else f", {row['changed']:.0%} changed by it"))  # fmt: skip
    mixed = [_mixed(name, player, pair, plan) for name, player in players.items() for pair in plan.blends]
    seen = {REAL: Excerpts.of([song for song in held if song.genre])}
    seen |= {name: Excerpts.of(songs) for name, songs in made.items()}
    _judge_genres(_judges(train, plan), seen, mixed, folder, plan.figures)


def _judge_genres(
    judges: Sequence[tuple[Judge, tuple[str, ...]]],
    seen: Mapping[str, Excerpts],
    mixed: Sequence[_Blend],
    folder: Path,
    figures: bool,
) -> None:
    """Write and print what judges say of excerpts by name; of the real ones, those of the sources that they know."""
    rows: list[dict[str, Cell]] = []
    confusions: list[dict[str, Cell]] = []
    blended: list[dict[str, Cell]] = []
    for judge, known in judges:
        here = {name: each[_of(known, each)] if name == REAL else each for name, each in seen.items()}
        verdicts = [Verdict.of(judge, name, each) for name, each in here.items()]
        for verdict in verdicts:
            rows += verdict.rows(verdicts[0].counts.sum(1))
            confusions += verdict.confusion()
        if figures:
            draw_confusion(folder / f"confusion_{_word(judge.name)}.png", verdicts)
        for blend in mixed:
            if all(genre in judge.genres for genre in blend.pair):
                blended += blend_rows(judge, blend.model, blend.pair, blend.played)
    write_csv(folder / "genre_classifier.csv", rows)
    write_csv(folder / "genre_confusion.csv", confusions)
    if blended:
        write_csv(folder / "genre_blend.csv", blended)
    for row in rows:
        if row["genre"] == "all":
            print(
                f"{row['judge']}, {row['subject']}: genre recognised in {row['recognised']:.0%} of {row['excerpts']} "
                f"excerpts, mean of genres {row['recognised_mean']:.0%} (chance {row['chance']:.0%}), in the real mix "
                f"{row['recognised_mix']:.0%} (majority {row['majority']:.0%})"
            )
    for row in blended:
        print(f"{row['judge']}, {row['model']}: {row['blend_amount']:.0%} {row['blend']} in {row['genre']}: "
              f"{row['p_blend']:.2f} to {row['p_genre']:.2f}")  # fmt: skip


def samples(name: str, player: Playing, plan: Plan, folder: Path) -> list[Song]:
    """So many songs of each of its genres, written to the folder too; a genre each line of progress."""
    songs = []
    for genre in player.genres:
        (folder / _word(genre)).mkdir(parents=True, exist_ok=True)
        for number in range(plan.samples):
            song = _played(player, name, _prompt(plan, genre, number))
            write_midi(folder / _word(genre) / f"{number:03}.mid", song.events, song.bars)
            songs.append(song)
        print(f"{name}: {plan.samples} of {genre}", file=sys.stderr)
    return songs


def _prompt(plan: Plan, genre: str, number: int, blend: str = "", amount: float = 0.0) -> Prompt:
    bars: Bars = plain_bars(plan.bars)
    seed = plan.seed * 100_003 + crc32(genre.encode()) + number  # what one genre happens to draw says nothing of others
    return Prompt(genre, bars, seed, plan.temperature, plan.top_p, blend, amount)


def _played(player: Playing, name: str, prompt: Prompt) -> Song:
    events, bars = player.play(prompt)
    return Song("", prompt.genre, name, "", events, bars)


def _judges(train: Sequence[Song], plan: Plan) -> list[tuple[Judge, tuple[str, ...]]]:
    """Judges of all sources, and of INSIDE alone where the data has it, each with how its sources' names begin."""
    heard = [each for song in train if song.genre for each in excerpts(song, plan.bars, EXCERPTS_LEARNED)]
    learned = Excerpts.of(heard)
    judges: list[tuple[Judge, tuple[str, ...]]] = [(Judge.taught("all sources", learned, plan.seed), ("",))]
    starts = tuple(start for start, part in PARTS.items() if part in INSIDE)
    inside = learned[_of(starts, learned)]
    if len(np.unique(inside.genre)) > 1:
        judges.append((Judge.taught(" and ".join(INSIDE), inside, plan.seed), starts))
    return judges


def _of(starts: tuple[str, ...], excerpts: Excerpts) -> NDArray[np.bool_]:
    """Which excerpts are of sources whose names begin so."""
    return np.array([source.startswith(starts) for source in excerpts.source.tolist()], np.bool_)


def _comparisons(
    made: Mapping[str, Sequence[Song]], held: Sequence[Song], train: Sequence[Song], plan: Plan
) -> list[dict[str, Cell]]:
    rows = []
    for name, songs in made.items():
        for genre in dict.fromkeys(song.genre for song in songs):
            real = [song for song in held if song.genre == genre]
            learned = [song for song in train if song.genre == genre]
            if len(real) < GENRE_MIN or len(learned) < GENRE_MIN:
                continue
            drawn = generator(plan.seed, 0).permutation(len(learned))[: len(real)]
            other = [next(iter(excerpts(learned[i], plan.bars, 1))) for i in drawn]
            rows += compare(name, genre, [song for song in songs if song.genre == genre], real, other)
    return rows


@dataclass(frozen=True, slots=True)
class _Blend:
    """What a model played of two genres, by the share of the second."""

    model: str
    pair: tuple[str, str]
    played: dict[float, Excerpts]


def _mixed(name: str, player: Playing, pair: tuple[str, str], plan: Plan) -> _Blend:
    unknown = [genre for genre in pair if genre not in player.genres]
    if unknown:
        raise SidemanError(f"{name} has no genre {unknown[0]}; there are {', '.join(player.genres)}")
    return _Blend(name, pair, {
        amount: Excerpts.of(
            [_played(player, name, _prompt(plan, pair[0], i, pair[1], amount)) for i in range(plan.samples)]
        )
        for amount in BLENDS
    })  # fmt: skip


def _word(name: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "_"
