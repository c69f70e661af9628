"""The notebooks in docs/ run from first to last: bars on the shipped bundle, notes on what its evaluation found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EVALUATION = Path(__file__).parent.parent / "docs" / "evaluation" / "notes"

pytestmark = pytest.mark.filterwarnings("default")  # those of Jupyter's own parts are not ours to mend

Notebook = Callable[[str], tuple[str, list[dict[str, Any]]]]


def test_bars(tmp_path: Path, notebook: Notebook) -> None:
    texts, shown = notebook("bars.ipynb")
    assert "8 bars of 4/4 at 104 bpm" in texts and "kick  " in texts
    assert {"image/png", "text/html"} <= {kind for data in shown for kind in data}, "a picture and a player"
    assert (tmp_path / "work" / "bars.wav").stat().st_size > 100_000


@pytest.mark.skipif(not EVALUATION.is_dir(), reason="no evaluation of the shipped bundle in docs/evaluation/notes")
def test_notes(notebook: Notebook) -> None:
    texts, shown = notebook("notes.ipynb")
    assert "5-gram" in texts and "hold a copy of 4 bars" in texts and "gain " in texts
    assert sum("image/png" in data for data in shown) >= 5, "bits, fields, two of a model's genres, judges"
