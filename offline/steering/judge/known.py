"""Known sounds: held-out clips of a prepared set, for the judges' ceilings, and what the seed's probe learns from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import SidemanError
from offline.steering.codes import read_sound
from offline.steering.concepts import KINDS
from offline.steering.index import Row, read_index
from offline.steering.judge.cells import Source, digest
from offline.steering.judge.notes import CHORDS
from offline.steering.judge.probe import Examples, balanced, features, fit

PROBE_CLIPS, CONTROLS = 600, 16
CLASSES = {"note": 12, "tempo": 0}
"""Of what the probe learns; 0: a number."""
NOTHING = ("silence", "white noise", "brown noise")


def sources_of(folder: Path, kinds: Sequence[str], clips: int, seed: int) -> list[Source]:
    """What the judges are tried on: test clips of each font as they are and through the codec, and what is no note."""
    rows = read_index(folder)
    found: list[Source] = []
    for kind in kinds:
        test = [row for row in _of(rows, kind) if row.split == "test"]
        for font in sorted({row.font for row in test}):
            own = [row for row in test if row.font == font]
            labels = [_label(row, kind) for row in own]
            places = balanced(labels, clips, seed)
            paths = tuple(folder / own[at].path for at in places)
            chosen = tuple(labels[at] for at in places)
            title = f"test clips, {Path(font).stem or 'no font'}"
            found += [Source(kind, title, paths, chosen, coded) for coded in (False, True)]
        found += [Source(kind, title, (), (-1.0,) * min(clips, CONTROLS)) for title in NOTHING]
        clicks = [row for row in _of(rows, "tempo") if row.split == "test"]
        if kind != "tempo" and clicks:
            places = balanced([float(row.bpm or 0) for row in clicks], min(clips, CONTROLS), seed)
            found.append(
                Source(kind, "clicks", tuple(folder / clicks[at].path for at in places), (-1.0,) * len(places))
            )
    return found


@dataclass(frozen=True, slots=True)
class Hearing:
    """How clips are heard: at a rate, so many seconds of each, drawn by a seed."""

    folder: Path
    rate_hz: int
    seconds: float
    seed: int


def probe_of(how: Hearing, kind: str, cache: Path) -> Path | None:
    """The file of the seed's judge, trained now or before; None where there is none, or too few clips of the kind."""
    if kind not in CLASSES:
        return None
    rows = _of(read_index(how.folder), kind)
    name = digest([[row.path for row in rows], kind, how.rate_hz, how.seconds, how.seed, PROBE_CLIPS])
    path = cache / f"probe-{kind}-{name:.12}.npz"
    if path.is_file():
        return path
    split = {each: [row for row in rows if row.split == each] for each in ("train", "validation")}
    if any(len({_label(row, kind) for row in own}) < 2 for own in split.values()):
        return None
    print(f"a probe of {kind} is trained, as the seed judges by", file=sys.stderr)
    train, held = (_examples(how, own, kind, count) for own, count in
                   zip(split.values(), (PROBE_CLIPS, PROBE_CLIPS // 2), strict=True))  # fmt: skip
    fit(kind, train, held, CLASSES[kind]).save(path)
    return path


def _examples(how: Hearing, rows: Sequence[Row], kind: str, count: int) -> Examples:
    labels = [_label(row, kind) for row in rows]
    places = balanced(labels, count, how.seed)
    length = round(how.seconds * how.rate_hz)
    heard = [features(read_sound(how.folder / rows[at].path, how.rate_hz)[:length], how.rate_hz, kind) for at in places]
    return Examples(np.array(heard), np.array([labels[at] for at in places]))


def _of(rows: Sequence[Row], kind: str) -> list[Row]:
    return [row for row in rows if row.set == KINDS[kind].set and getattr(row, KINDS[kind].column) is not None]


def _label(row: Row, kind: str) -> float:
    value = getattr(row, KINDS[kind].column)
    if kind == "chord":
        if value not in CHORDS:
            raise SidemanError(f"{row.path} is labelled as the chord {value!r}; there are {', '.join(CHORDS)}")
        return float(CHORDS.index(value))
    return float(value)
