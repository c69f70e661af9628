"""`sideman evaluate notes`: models beside n-grams on real music, and what they play beside what is really played."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from engines.errors import SidemanError
from offline.csvfile import Cell, write_csv
from offline.data.labels import SPLITS
from offline.notes.gpt.data import read_words
from offline.notes.loading import load_model
from offline.notes.models import Playing, Scored, Song
from offline.notes.ngram import NGram
from offline.notes.played import Plan, judge_playing
from offline.notes.results import SEED_ROW, Result, render, rows_of
from offline.notes.songs import parts_of, read_songs
from offline.notes.streams import FIELDS_SIZE, NGramModel, fields_of, seed_of

ORDERS = {"unigram": 1, "bigram": 2, "5-gram": 5}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman evaluate notes`."""
    parser.add_argument(
        "models", nargs="*", metavar="[NAME=]MODEL", help="folders of trainings (scored) and bundles (played)"
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DATASET", help="a folder from prepare notes")
    parser.add_argument("--split", choices=SPLITS[1:], default="validation", help="which to judge by [validation]")
    parser.add_argument("-o", "--output", type=Path, default=Path("evaluation"), metavar="FOLDER", help="[evaluation]")
    parser.add_argument("--seed", type=int, default=0, help="of samples, intervals and judges [0]")
    parser.add_argument("--songs", type=int, default=0, metavar="N", help="at most so many of each part [all]")
    parser.add_argument("--no-nc", action="store_true", help="judge by no songs of non-commercial licences")
    parser.add_argument("--no-baselines", action="store_true", help="no n-grams")
    parser.add_argument("--samples-per-genre", type=int, default=25, metavar="N", help="that bundles play [25]")
    parser.add_argument("--bars", type=int, default=16, metavar="N", help="of each sample and excerpt [16]")
    parser.add_argument("--temperature", type=float, help="of the samples [the bundle's own]")
    parser.add_argument("--top-p", type=float, help="of the samples [the bundle's own]")
    parser.add_argument(
        "--blend", action="append", default=[], metavar="GENRE:GENRE", help="judge blends of two; may be repeated"
    )
    parser.add_argument("--phrases", type=int, default=64, metavar="N", help="that each bundle hears, 0 for none [64]")
    parser.add_argument("--no-figures", action="store_true", help="no PNGs")


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns 0. Raises SidemanError for data or models that cannot be read."""
    if args.samples_per_genre < 1 or args.bars < 1 or min(args.songs, args.phrases) < 0:
        raise SidemanError("--samples-per-genre and --bars must be 1 or more, --songs and --phrases 0 or more")
    blends = [_pair(text) for text in args.blend]
    models = {name: load_model(path) for name, path in _named(args.models).items()}
    scored = {name: model for name, model in models.items() if isinstance(model, Scored)}
    _check_vocabularies(scored, args.data)
    players = {name: model for name, model in models.items() if isinstance(model, Playing)}
    parts = {
        part: _some(songs, args.songs)
        for part, songs in parts_of(read_songs(args.data, args.split, tokens=True, nc=not args.no_nc)).items()
    }
    train = read_songs(args.data, "train", tokens=not args.no_baselines, nc=False)
    args.output.mkdir(parents=True, exist_ok=True)
    if not args.no_baselines:
        scored = _baselines(train, args.data) | scored
    if scored:
        _score(scored, parts, args.output, args.seed)
    if players:
        plan = Plan(
            args.samples_per_genre, args.bars, args.seed, args.temperature, args.top_p, tuple(blends),
            args.phrases, not args.no_figures,
        )  # fmt: skip
        judge_playing(players, train, parts, plan, args.output)
    print(f"written to {args.output}")
    return 0


def _score(models: dict[str, Scored], parts: dict[str, list[Song]], folder: Path, seed: int) -> None:
    """Write model_metrics.csv and print what it says, model by model as they come."""
    rows: list[dict[str, Cell]] = []
    for name, model in models.items():
        results = []
        for part, songs in parts.items():
            usable = [song for song in songs if song.tokens is not None or not model.reads_tokens]
            if len(usable) < len(songs):
                print(f"{name}: {len(songs) - len(usable)} songs of {part} have no tokens", file=sys.stderr)
            if usable:
                results.append(Result.of(name, part, model, usable))
        rows += rows_of(results, seed)
        print(f"{name}: scored", file=sys.stderr)
    write_csv(folder / "model_metrics.csv", [*rows, SEED_ROW])
    for figure, title in (
        ("bits_per_note", "bits a note"),
        ("bits_per_note_on_grid", "without offsets"),
        ("bits_per_beat", "bits a beat"),
        ("perplexity", "perplexity of a decision"),
    ):
        print("\n" + render(rows, figure, title))
    print()


def _check_vocabularies(models: Mapping[str, Scored], data: Path) -> None:
    """Raise SidemanError for a model of tokens whose vocabulary is not that of the data."""
    for name, model in models.items():
        if model.reads_tokens and getattr(model, "words", None) != read_words(data):
            raise SidemanError(f"{name} was trained on another vocabulary than that of {data}; prepare the data alike")


def _baselines(train: Sequence[Song], data: Path) -> dict[str, Scored]:
    """n-grams of the product's fields, and of the seed's tokens where there are any; fitted when they are needed."""
    flat = [fields_of(song).tokens for song in train]
    found: dict[str, Scored] = {
        name: NGramModel(NGram(order, FIELDS_SIZE).fit(flat), fields_of) for name, order in ORDERS.items()
    }
    with_tokens = [song for song in train if song.tokens is not None]
    if with_tokens:
        words = read_words(data)
        stream = seed_of(words)
        streams = [stream(song).tokens for song in with_tokens]
        for name, order in ORDERS.items():
            found[f"{name} of the seed's tokens"] = NGramModel(NGram(order, len(words)).fit(streams), stream, True)
    return found


def _some(songs: list[Song], most: int) -> list[Song]:
    """All songs, or so many of them, evenly spread."""
    if not most or len(songs) <= most:
        return songs
    return [songs[i] for i in np.linspace(0, len(songs) - 1, most).round().astype(int)]


def _pair(text: str) -> tuple[str, str]:
    first, colon, second = text.partition(":")
    if not (colon and first and second):
        raise SidemanError(f"--blend {text}: write two genres like --blend jazz:rock")
    return first, second


def _named(models: Sequence[str]) -> dict[str, str]:
    """Name to path; the name is the folder's where none is given. Raises SidemanError for two of one name."""
    named: dict[str, str] = {}
    for text in models:
        name, equals, path = text.partition("=")
        if not equals:
            name, path = Path(text).name or text, text
        if name in named:
            raise SidemanError(f"two models are called {name}; name them: first={named[name]} second={path}")
        named[name] = path
    return named
