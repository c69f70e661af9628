"""Judging: what held-out codes cost a network, with their own text, another clip's, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offline.musicgen.decoder.data import IGNORED, Batch, Example, Form
from offline.musicgen.decoder.text import numbers_of


def nats(network: Any, batch: Batch) -> Any:
    """What each code costs, [B, T, books], in nats; 0 where nothing is asked."""
    from torch.nn import functional

    logits = network(batch.columns, batch.tokens, batch.heard)
    flat = functional.cross_entropy(
        logits.flatten(0, 2).float(), batch.targets.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return flat.view(batch.targets.shape)


def costs(  # noqa: PLR0917  # a network, and what is asked of it
    network: Any, tokenizer: Any, form: Form, examples: Sequence[Example], texts: Sequence[str], frames: int, rows: int
) -> NDArray[np.float64]:
    """Mean nats of a code [N, books] in the first `frames` of each example, told its text; `rows` at once."""
    import torch

    found = []
    with torch.inference_mode():
        for first in range(0, len(examples), rows):
            part = [example.codes[:, :frames] for example in examples[first : first + rows]]
            tokens, heard = numbers_of(tokenizer, texts[first : first + rows])
            batch = form.batch(part, frames, tokens, heard)
            asked = (batch.targets != IGNORED).sum(1)
            found.append((nats(network, batch).double().sum(1) / asked).cpu().numpy())
    return np.concatenate(found)


def others_texts(examples: Sequence[Example]) -> list[str]:
    """For each example the text of another of its source that says something else; its own where there is none."""
    texts = []
    for i, example in enumerate(examples):
        turned = [*examples[i + 1 :], *examples[:i]]
        fits = (
            other.clip.prompt
            for other in turned
            if other.clip.source == example.clip.source and other.clip.prompt != example.clip.prompt
        )
        texts.append(next(fits, example.clip.prompt))
    return texts
