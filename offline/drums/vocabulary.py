"""Vocabulary: the masks that are tokens of their own, as the seed's vocab_topN.json holds them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import MASKS
from engines.errors import SidemanError

UNKNOWN = 0


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Token 0 is UNK; token i > 0 is masks[i - 1], most frequent first.

    masks:  the masks, each once; counts: how often each occurs in the training steps (UNK's count first)
    """

    masks: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, masks: NDArray[np.uint16], cap: int) -> Self:
        """The `cap` most frequent of the masks of training steps; of equals the lower mask first."""
        counts = np.bincount(masks, minlength=MASKS)
        order = np.lexsort((np.arange(MASKS), -counts))
        kept = [int(mask) for mask in order[:cap] if counts[mask]]
        known = [int(counts[mask]) for mask in kept]
        return cls(tuple(kept), (int(counts.sum()) - sum(known), *known))

    def __len__(self) -> int:
        """The number of tokens, UNK included."""
        return len(self.masks) + 1

    def token_of_mask(self) -> NDArray[np.int64]:
        """Token of each of the 512 masks: int64 [512]."""
        table = np.full(MASKS, UNKNOWN, np.int64)
        table[list(self.masks)] = np.arange(1, len(self))
        return table

    def save(self, path: Path) -> None:
        """Write the seed's form: unk_id, id2bitmask with null for UNK, cap and counts."""
        partial = path.with_name(f".{path.name}.part")
        table = {
            "unk_id": UNKNOWN,
            "id2bitmask": [None, *self.masks],
            "cap": len(self.masks),
            "counts": self.counts,
        }
        partial.write_text(json.dumps(table) + "\n", encoding="utf-8")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a vocabulary. Raises SidemanError when it is missing or not one."""
        path = Path(path)
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            masks = tuple(table["id2bitmask"][1:])
            counts = tuple(table.get("counts", (0,) * (len(masks) + 1)))
            whole = all(type(mask) is int and 0 <= mask < MASKS for mask in masks)
            if not whole or len(set(masks)) != len(masks) or len(counts) != len(masks) + 1 or table["unk_id"]:
                raise ValueError("its tokens are not distinct masks after UNK")
        except FileNotFoundError as problem:
            raise SidemanError(f"{path} does not exist; sideman prepare drums writes it with the data") from problem
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as problem:
            raise SidemanError(f"{path} is not a vocabulary ({problem}); make it again with prepare") from problem
        return cls(masks, counts)
