"""`sideman evaluate drums`: models beside each other, beside baselines and beside what was really played."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from engines.bundle import shipped as shipped_bundles
from engines.drums.model import ANY_STYLE, Controls, DrumModel
from engines.errors import SidemanError
from engines.music import Meter
from offline.csvfile import write_csv
from offline.drums.baselines import fit_baselines
from offline.drums.dataset import DrumDataset, Piece
from offline.drums.feel import Feel, Guess, HasFeel, controls
from offline.drums.freerun import TEMPERATURES, Start, Trial, model_playing, real_playing, starts
from offline.drums.metrics import Scores
from offline.drums.models import load_model, load_vocabulary
from offline.drums.prepare import VOCABULARY_FILE
from offline.drums.results import REAL, SEED_ROW, Comparison, Result, render
from offline.drums.vocabulary import Vocabulary

GROOVE = "Groove MIDI Dataset"
"""How the source of a Groove piece begins; its official splits are parts of their own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman evaluate drums`."""
    parser.add_argument(
        "models", nargs="*", metavar="[NAME=]MODEL", help="bundles, or folders or checkpoints of trainings"
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DATASET", help="a folder from prepare drums")
    parser.add_argument("--train", type=Path, metavar="DATASET", help="whose train.npz the baselines learn [--data]")
    parser.add_argument("--split", choices=("validation", "test", "all"), default="all", help="which to judge by [all]")
    parser.add_argument("--meter", default="4/4", help="only bars in this metre are judged [4/4]")
    parser.add_argument("-o", "--output", type=Path, default=Path("evaluation"), metavar="FOLDER", help="[evaluation]")
    parser.add_argument("--starts", type=int, default=32, metavar="N", help="free runs per trial, 0 for none [32]")
    parser.add_argument("--bars", type=int, default=16, metavar="N", help="bars of each free run [16]")
    parser.add_argument(
        "--untold", action="store_true", help="score models without telling style, beat or fill, or tempo"
    )
    parser.add_argument("--no-baselines", action="store_true", help="only the models")
    parser.add_argument("--no-figures", action="store_true", help="no PNGs")
    parser.add_argument("--seed", type=int, default=0, help="of free running and intervals [0]")


@dataclass(frozen=True, slots=True)
class Part:
    """The pieces of one part, the places free running starts from, the train set its controls learn from, and
    whether models are told what the labels say of a piece."""

    name: str
    pieces: tuple[Piece, ...]
    starts: tuple[Start, ...]
    train: DrumDataset | None
    told: bool = True


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns 0. Raises SidemanError for data or models that cannot be read."""
    if args.starts < 0 or args.bars < 1:
        raise SidemanError("--starts must be 0 or more, --bars 1 or more")
    train = None if args.no_baselines else _train(args)
    vocabulary = _vocabulary(args)
    parts = _parts(args, train)
    _say_leaks(parts, train)
    models: dict[str, DrumModel] = {name: load_model(path) for name, path in _named(args.models).items()}
    baselines: dict[str, DrumModel] = dict(fit_baselines(train)) if train is not None else {}
    trials = _trials(args)
    args.output.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    comparisons: list[Comparison] = []
    for part in parts:
        found = [_judge(name, model, part, vocabulary, trials) for name, model in (baselines | models).items()]
        comparisons += _compare(found[len(baselines) :], found[: len(baselines)], args.seed)
        found += _controls(part)
        if trials and part.starts:
            real = real_playing(part.pieces)
            found.append(Result(REAL, part.name, playing=dict.fromkeys(trials, real)))
        results += found
        bars = sum(piece.bar_count for piece in part.pieces)
        print(f"\n== {part.name}: {bars:,} bars of {args.meter} from {len({p.path for p in part.pieces})} files\n")
        print(render(found, trials, args.seed))
    print(f"\n{SEED_ROW['model']}, on {SEED_ROW['part']}: accuracy .5559, perplexity 4.80")
    for comparison in comparisons:
        print(comparison)
    write_csv(args.output / "metrics.csv", [*(result.row(args.seed) for result in results), SEED_ROW])
    if comparisons:
        columns = Comparison.__dataclass_fields__
        write_csv(args.output / "comparisons.csv", [{c: getattr(row, c) for c in columns} for row in comparisons])
    if not args.no_figures:
        from offline.drums.figures import draw

        draw(results, args.output, args.seed)
    print(f"written to {args.output}")
    return 0


def _train(args: argparse.Namespace) -> DrumDataset | None:
    path = (args.train or args.data) / "train.npz"
    if args.train is None and not path.exists():
        print(f"no baselines: {path} does not exist (--train DATASET names another data set to fit them on)")
        return None
    return DrumDataset.load(path)


def _vocabulary(args: argparse.Namespace) -> Vocabulary | None:
    for folder in (args.data, args.train):
        if folder is not None and (folder / VOCABULARY_FILE).exists():
            return Vocabulary.load(folder / VOCABULARY_FILE)
    shipped = [path.name for path in shipped_bundles()]
    for path in (*_named(args.models).values(), *shipped):
        vocabulary = load_vocabulary(path)
        if vocabulary is not None:
            print(f"accuracy and perplexity by the vocabulary of {path}")
            return vocabulary
    print(f"no accuracy and perplexity of tokens: no {VOCABULARY_FILE} beside the data (--train DATASET has one)")
    return None


def _parts(args: argparse.Namespace, train: DrumDataset | None) -> list[Part]:
    """Groove's official splits, and the rest, in one metre."""
    meter = Meter.parse(args.meter)
    wanted = ("validation", "test") if args.split == "all" else (args.split,)
    files = [args.data / f"{split}.npz" for split in wanted]
    present = [file for file in files if file.exists()] or files[:1]
    other_meters = 0
    grouped: dict[str, list[Piece]] = {}
    for file in present:
        for piece in DrumDataset.load(file).pieces():
            if piece.meter != meter:
                other_meters += piece.bar_count
                continue
            name = f"groove {file.stem}" if piece.source.startswith(GROOVE) else "rest"
            if name == "rest" and file.stem == "test" and len(present) > 1:
                name = "rest of test"
            grouped.setdefault(name, []).append(piece)
    if other_meters:
        print(f"{other_meters:,} bars in other metres than {meter} are left out")
    if not grouped:
        raise SidemanError(f"{args.data} has no bars of {meter} to judge by; prepare it from more files")
    return [
        Part(
            name,
            tuple(pieces),
            tuple(starts(pieces, args.starts, args.seed)),
            _of_same_kind(train, name.startswith("groove")),
            not args.untold,
        )
        for name, pieces in sorted(grouped.items())
    ]


def _say_leaks(parts: Sequence[Part], train: DrumDataset | None) -> None:
    learned = {piece.fingerprint() for piece in train.pieces()} if train is not None else set()
    known = sorted({piece.path for part in parts for piece in part.pieces if piece.fingerprint() in learned})
    if known:
        print(f"warning: {len(known)} of the files to judge by are in train.npz too, such as {known[0]}")


def _of_same_kind(train: DrumDataset | None, groove: bool) -> DrumDataset | None:
    """Groove's pieces, or the others': a control of feel learns from its own kind."""
    if train is None:
        return None
    same = np.char.startswith(train.piece_source, GROOVE) == groove
    return train.select(same) if same.any() else train


def _named(paths: Sequence[str]) -> dict[str, str]:
    """Path of each model by name: the one that was given, or the folder's own where that tells them apart."""
    given = [path.partition("=") if "=" in path else (Path(path).resolve().name, "", path) for path in paths]
    short = [name for name, _, _ in given]
    return {name if short.count(name) == 1 else path: path for name, _, path in given}


def _trials(args: argparse.Namespace) -> dict[str, Trial]:
    if not args.starts:
        return {}
    return {
        f"{'primed' if primed else 'empty'}_t{temperature:g}": Trial(primed, temperature, args.bars, args.seed)
        for primed in (True, False)
        for temperature in TEMPERATURES
    }


def _judge(name: str, model: DrumModel, part: Part, vocabulary: Vocabulary | None, trials: dict[str, Trial]) -> Result:
    print(f"{part.name}: {name} ...", file=sys.stderr, flush=True)
    scores: dict[str, Scores] = {}
    feel: dict[str, Feel] = {}
    for piece in part.pieces:
        bars = piece.bars()
        known = _told(piece, model) if part.told else Controls()
        one = Scores.of(piece.masks, model.distributions(bars, known), piece.steps_per_bar, vocabulary)
        scores[piece.path] = scores[piece.path] + one if piece.path in scores else one
        if isinstance(model, HasFeel):
            for kind in ("hits", "continuing"):
                _add(feel, kind, piece, model.feel(bars, known, kind == "continuing"))
    playing = {trial: model_playing(model, part.starts, how) for trial, how in trials.items() if part.starts}
    return Result(name, part.name, scores, playing, feel, vocabulary is not None)


def _told(piece: Piece, model: DrumModel) -> Controls:
    """What a performer would tell: the style where the model has it, beat or fill where labelled, the tempo."""
    style = piece.style if piece.style in model.styles else ANY_STYLE
    return Controls(style=style, fill=piece.fill, bpm=piece.bpm)


def _controls(part: Part) -> list[Result]:
    """Each control guesses either from the hits alone or from the real feel so far."""
    results = []
    table: dict[str, Callable[[Piece], Guess]] = controls(part.train)
    for name, guess in table.items():
        feel: dict[str, Feel] = {}
        for piece in part.pieces:
            _add(feel, "continuing" if name == "running mean" else "hits", piece, guess(piece))
        results.append(Result(name, part.name, feel=feel))
    return results


def _add(feel: dict[str, Feel], kind: str, piece: Piece, guess: Guess) -> None:
    one = Feel.of(piece, guess)
    feel[kind] = feel[kind] + one if kind in feel else one


def _compare(models: Sequence[Result], baselines: Sequence[Result], seed: int) -> list[Comparison]:
    """Every pair of models, and each model with the best baseline."""
    pairs = list(combinations(models, 2))
    if baselines:
        best = min(baselines, key=lambda result: sum(scores.bits for scores in result.scores.values()))
        pairs += [(model, best) for model in models]
    return [Comparison.of(one, other, seed) for one, other in pairs]
