"""Choose: some of a set's clips, as many of each class as of another, always the same ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from offline.data.split import fingerprint
from offline.steering.recipe import Clip
from offline.steering.split import SPLITS

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
_SALT = b"sideman steering choice 1"


def choose(clips: Iterable[Clip], size: int) -> list[Clip]:
    """`size` clips in order of split and name, SHARES of them from each split; all of them if size is 0.

    The classes of a split (Clip.label) take turns; which clip of a class comes first depends on its name alone, so that
    a larger choice holds a smaller one.
    """
    by_split: dict[str, dict[str, list[Clip]]] = {split: defaultdict(list) for split in SPLITS}
    for clip in clips:
        by_split[clip.split][clip.label].append(clip)
    chosen: list[Clip] = []
    for split, classes in by_split.items():
        for members in classes.values():
            members.sort(key=_rank)
        deepest = max(map(len, classes.values()), default=0)
        turns = [members[i] for i in range(deepest) for members in classes.values() if i < len(members)]
        wanted = max(1, round(size * SHARES[split])) if size else len(turns)
        chosen += sorted(turns[:wanted], key=_name)
    return chosen


def _rank(clip: Clip) -> str:
    return fingerprint(_SALT, clip.set.encode(), clip.name.encode())


def _name(clip: Clip) -> str:
    return clip.name
