"""Split: which files train and which judge, by song or group and never by bar; and the search for leaks.

A source's own split is kept. Where a source names none, or only "train", some of its groups are held out: those whose
salted hash is lowest, so that the choice depends on their names alone.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from offline.data.labels import Label

VALIDATION_SHARE = 0.08
_SALT = "sideman split 1"


def assign_splits(labels: Sequence[Label]) -> list[str]:
    """The split of each file, "train", "validation" or "test", in the order given.

    A file without a group is a group of its own. A file without a split follows its group where the source's own
    split names it. Of the groups left to divide, VALIDATION_SHARE go to validation, but at least one of two or more.
    """
    by_source: dict[str, list[int]] = defaultdict(list)
    for i, label in enumerate(labels):
        by_source[label.source].append(i)
    splits = [label.split for label in labels]
    for source, members in by_source.items():
        stated = {labels[i].split for i in members} - {""}
        own_split = bool(stated - {"train"})
        followed = {_group(labels[i]): labels[i].split for i in members if own_split and labels[i].split}
        divided = sorted({_group(labels[i]) for i in members} - set(followed), key=lambda g: _rank(source, g))
        count = max(1, round(VALIDATION_SHARE * len(divided))) if len(divided) > 1 else 0
        held_out = set(divided[:count])
        for i in members:
            if own_split and labels[i].split:
                continue
            group = _group(labels[i])
            splits[i] = followed.get(group) or ("validation" if group in held_out else "train")
    return splits


def fingerprint(*parts: bytes) -> str:
    """A digest of a piece's content; equal digests mean equal content."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:32]


def leaks(splits: Sequence[str], fingerprints: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (i, j) of items with one fingerprint in two splits; i is in train unless neither is.

    Each item of train is named once, with the first item outside train it equals.
    """
    first: dict[tuple[str, str], int] = {}
    for i, (split, mark) in enumerate(zip(splits, fingerprints, strict=True)):
        first.setdefault((mark, split), i)
    pairs = []
    for i, (split, mark) in enumerate(zip(splits, fingerprints, strict=True)):
        others = {"train": ("validation", "test"), "validation": ("test",)}.get(split, ())
        twin = next((first[mark, other] for other in others if (mark, other) in first), None)
        if twin is not None:
            pairs.append((i, twin))
    return pairs


def _group(label: Label) -> str:
    return label.group or f"file {label.path}"


def _rank(source: str, group: str) -> str:
    return fingerprint(_SALT.encode(), source.encode(), group.encode())
