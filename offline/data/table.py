"""Table: rows of a dataclass as a Parquet file, a column for each field."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from engines.errors import SidemanError

ROWS_MAX = 10_000_000

Row = TypeVar("Row")


def write_rows(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write a file, whole or not at all; equal rows give equal bytes.

    kind: a dataclass of str, bool, int and float, or of these and None
    """
    import pyarrow as pa
    from pyarrow import parquet

    types = {"str": pa.string(), "bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}
    ordered = list(rows)
    columns = {
        name: pa.array([getattr(row, name) for row in ordered], types[plain]) for name, plain, _ in _columns(kind)
    }
    partial = path.with_name(f".{path.name}.part")
    parquet.write_table(pa.table(columns), partial)
    partial.replace(path)


def read_rows(
    path: Path, kind: type[Row], command: str, check: Callable[[Row], None] = lambda _: None, inside: str = ""
) -> list[Row]:
    """The rows of a file.

    command: that writes it; check: raises ValueError for a row that nobody should use; inside: the field that names
    files, which have to lie in the file's own folder
    Raises SidemanError where it is not there, is damaged or has more than ROWS_MAX rows, columns of other kinds or a
    row that is refused.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if not path.is_file():
        raise SidemanError(f"{path.parent} has no {path.name}; it is made by: {command}")
    try:
        file = parquet.ParquetFile(path)
        if file.metadata.num_rows > ROWS_MAX:
            raise ValueError(f"it has more than {ROWS_MAX:,} rows")
        table = file.read([name for name, _, _ in _columns(kind)])
        for name, plain, optional in _columns(kind):
            _check_column(name, table.column(name), plain, optional)
        found = [kind(**values) for values in table.to_pylist()]
        for row in found:
            check(row)
        for name in {getattr(row, inside) for row in found} if inside else ():
            _check_inside(path.parent, name)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as problem:
        first = (str(problem) or type(problem).__name__).splitlines()[0]
        raise SidemanError(f"{path} cannot be used ({first:.160}); write it again with: {command}") from problem
    return found


def _check_inside(folder: Path, name: str) -> None:
    """Neither by its words nor by a link does a path lead elsewhere."""
    if ".." in PurePosixPath(name).parts or not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name!r} leads out of the folder")


def _columns(kind: Any) -> list[tuple[str, str, bool]]:
    """Of each field: its name, its type and whether it may be None."""
    return [(field.name, str(field.type).partition(" ")[0], "None" in str(field.type)) for field in fields(kind)]


def _check_column(name: str, column: Any, plain: str, optional: bool) -> None:
    import pyarrow as pa

    right = {
        "str": pa.types.is_string, "bool": pa.types.is_boolean,
        "int": pa.types.is_integer, "float": pa.types.is_floating,
    }  # fmt: skip
    if not right[plain](column.type) or (column.null_count and not optional):
        raise ValueError(f"its column {name} is of another kind")
