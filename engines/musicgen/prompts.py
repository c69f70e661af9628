"""Prompts while it plays: with the tempo behind them, and kept."""

from __future__ import annotations

import re

from engines.errors import SidemanError
from engines.musicgen.model import Prompt, SteeredModel

KEPT = 8
TEMPO = re.compile(r"\d\s*bpm\b", re.IGNORECASE)


class Prompts:
    """What a model hears of texts."""

    def __init__(self, model: SteeredModel) -> None:
        self._model = model
        self._kept: dict[str, Prompt] = {}

    def heard(self, text: str, tempo_bpm: float) -> tuple[Prompt, list[str]]:
        """A text as the decoder attends to it, and, the first time, a line for people if it is too long.

        The tempo is said as in the training's prompts, unless the text says one itself or nothing at all.
        """
        if text and not TEMPO.search(text):
            text = f"{text}, {tempo_bpm:.0f} bpm"
        prompt, said = (self._kept.pop(text), []) if text in self._kept else self._fitting(text)
        self._kept[text] = prompt  # the latest comes last
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return prompt, said

    def _fitting(self, text: str) -> tuple[Prompt, list[str]]:
        """As much of a text as is read."""
        whole = text
        while True:
            try:
                prompt = self._model.prompt(text)
            except SidemanError:
                text = text[: len(text) * 3 // 4]
                continue
            return prompt, [] if text == whole else [f"the prompt is too long: heard up to '{text[-20:]}'"]
