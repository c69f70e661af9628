"""Rows of a dataclass as a Parquet file, and files that are not what they should be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from engines.errors import SidemanError
from offline.data.table import read_rows, write_rows

pa = pytest.importorskip("pyarrow", reason="needs the extra train")

COMMAND = "sideman prepare fruit"


@dataclass(frozen=True)
class Fruit:
    name: str
    ripe: bool
    pips: int
    grams: float
    colour: str | None = None
    days: int | None = None


FRUIT = [Fruit("apple", True, 5, 150.5, "red"), Fruit("quince", False, 10, 300.0, days=20)]


def read(path: Path) -> list[Fruit]:
    return read_rows(path, Fruit, COMMAND, inside="name")


@pytest.mark.parametrize("rows", [FRUIT, [], FRUIT[:1]])
def test_rows_come_back_and_equal_rows_are_equal_bytes(tmp_path: Path, rows: list[Fruit]) -> None:
    write_rows(tmp_path / "a.parquet", Fruit, rows)
    write_rows(tmp_path / "b.parquet", Fruit, iter(rows))
    assert read(tmp_path / "a.parquet") == rows
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_row_that_cannot_be_written_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "fruit.parquet"
    write_rows(path, Fruit, FRUIT)
    with pytest.raises(pa.ArrowException):
        write_rows(path, Fruit, [Fruit("pear", True, "many", 1.0)])  # type: ignore[arg-type]
    assert read(path) == FRUIT


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        ({"pips": ["5"]}, "its column pips is of another kind"),
        ({"grams": pa.array([None], pa.float64())}, "its column grams is of another kind"),
        ({"ripe": [1]}, "its column ripe is of another kind"),
        ({"colour": [3]}, "its column colour is of another kind"),
        ({"name": ["../apple"]}, "leads out of the folder"),
        ({"name": ["/etc/apple"]}, "leads out of the folder"),
        ({"days": None}, "days"),
    ],
)
def test_what_is_not_such_a_file_is_told_in_a_line(tmp_path: Path, change: dict[str, object], trouble: str) -> None:
    from pyarrow import parquet

    columns = {"name": ["apple"], "ripe": [True], "pips": [5], "grams": [1.0], "colour": ["red"], "days": [1], **change}
    path = tmp_path / "fruit.parquet"
    parquet.write_table(pa.table({name: values for name, values in columns.items() if values is not None}), path)
    with pytest.raises(SidemanError, match=f"cannot be used .*{trouble}.*{COMMAND}") as told:
        read(path)
    assert "\n" not in str(told.value)


def test_a_link_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "apple").symlink_to(tmp_path / "orchard")
    write_rows(tmp_path / "data" / "fruit.parquet", Fruit, FRUIT[:1])
    with pytest.raises(SidemanError, match="leads out of the folder"):
        read(tmp_path / "data" / "fruit.parquet")


def test_a_file_that_is_damaged_or_not_there_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(SidemanError, match=rf"has no fruit\.parquet; it is made by: {COMMAND}"):
        read(tmp_path / "fruit.parquet")
    (tmp_path / "fruit.parquet").write_bytes(b"PAR1")
    with pytest.raises(SidemanError, match="cannot be used"):
        read(tmp_path / "fruit.parquet")
