"""Songs of a data set: what its manifest names and is not there is counted, named, and stops nothing."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

pyarrow = pytest.importorskip("pyarrow", reason='tables need the train extra: pip install "sideman[train]"')

from offline.notes.index import MANIFEST_FILE, TokenRow  # noqa: E402
from offline.notes.songs import _tokens  # noqa: E402


def test_tokens_that_are_gone_are_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow.parquet

    rows = [TokenRow(f"{i}.mid", "jazz", "validation", f"tokens/{i}.npy", 5, False) for i in range(3)]
    (tmp_path / "tokens").mkdir()
    np.save(tmp_path / "tokens/0.npy", np.arange(5, dtype=np.uint16))
    (tmp_path / "tokens/1.npy").write_bytes(b"no array")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([asdict(row) for row in rows]), tmp_path / MANIFEST_FILE)
    found = _tokens(tmp_path, "validation")
    assert list(found) == ["0.mid"]
    assert "2 files of its manifest are missing or damaged, such as tokens/1.npy" in capsys.readouterr().err
