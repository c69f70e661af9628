"""Source: the files of a folder or an archive, read in memory and never unpacked to disk.

What comes from outside is bounded: the size of a file, of everything together, and their number. Names that climb out
of the source (absolute, "..", links) are refused, so a path in a report or a data set always lies inside it.
"""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from engines.errors import SidemanError

MAX_FILE_BYTES = 5 << 20
"""A MIDI file of three hours of drums is under 2 MB; a bigger one would take gigabytes to parse."""
MAX_LABEL_BYTES = 64 << 20
MAX_TOTAL_BYTES = 4 << 30
MAX_FILES = 500_000

_SNIFF_BYTES = 262
_BROKEN = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, RuntimeError, ValueError)
"""What the readers of archives raise at damaged input."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a source.

    path:    its name inside the source, with forward slashes
    data:    its bytes; None when it was refused or not asked for
    problem: why there are none; "" when there are
    """

    path: str
    data: bytes | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A folder, an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst; told by content) or a single file."""

    path: Path

    def read(self, wanted: Callable[[str], int]) -> Iterator[Entry]:
        """Every file in order of its name (archives: in their own order).

        wanted: the largest size in bytes to read of the file with this name; 0 leaves it unread.
        Raises SidemanError when the source is missing, empty of sense or damaged.
        """
        if not self.path.exists():
            raise SidemanError(f"{self.path} does not exist; give a folder or an archive of MIDI files")
        total = 0
        try:
            for number, entry in enumerate(self._entries(wanted)):
                total += len(entry.data or b"")
                if number >= MAX_FILES:
                    raise SidemanError(f"{self.path} holds more than {MAX_FILES:,} files; split it up")
                if total > MAX_TOTAL_BYTES:
                    raise SidemanError(f"{self.path} holds more than {MAX_TOTAL_BYTES >> 30} GB; split it up")
                yield entry
        except _BROKEN as problem:
            raise SidemanError(
                f"{self.path} cannot be read ({problem or type(problem).__name__}); "
                "give a folder, or a .zip or .tar archive that opens"
            ) from problem

    def _entries(self, wanted: Callable[[str], int]) -> Iterator[Entry]:
        if self.path.is_dir():
            return _folder(self.path, wanted)
        with self.path.open("rb") as file:
            head = file.read(_SNIFF_BYTES)
        if head.startswith(b"MThd"):
            return iter([_read(self.path.name, self.path.stat().st_size, lambda: self.path.open("rb"), wanted)])
        if zipfile.is_zipfile(self.path):
            return _zip(self.path, wanted)
        return _tar(self.path, head, wanted)


def _read(name: str, size: int, opener: Callable[[], IO[bytes] | None], wanted: Callable[[str], int]) -> Entry:
    limit = wanted(name)
    if limit <= 0:
        return Entry(name)
    too_big = Entry(name, None, f"larger than {limit / (1 << 20):.0f} MB")
    if size > limit:
        return too_big
    file = opener()
    if file is None:
        return Entry(name, None, "not a plain file")
    with file:
        data = file.read(limit + 1)  # the size an archive states may be a lie
    return too_big if len(data) > limit else Entry(name, data)


def _folder(root: Path, wanted: Callable[[str], int]) -> Iterator[Entry]:
    for folder, folders, files in os.walk(root):
        folders.sort()
        for file in sorted(files):
            path = Path(folder, file)
            name = _printable(path.relative_to(root).as_posix())
            if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
                yield Entry(name, None, "a link that leads out of the folder")
                continue
            try:
                yield _read(name, path.stat().st_size, lambda path=path: path.open("rb"), wanted)  # type: ignore[misc]
            except OSError as problem:
                yield Entry(name, None, problem.strerror or "cannot be read")


def _zip(path: Path, wanted: Callable[[str], int]) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            name = _inside(info.filename)
            if name is None:
                yield Entry(_printable(info.filename), None, "its name leads out of the archive")
            elif info.flag_bits & 1:
                yield Entry(name, None, "encrypted")
            else:
                yield _read(name, info.file_size, lambda info=info: archive.open(info), wanted)  # type: ignore[misc]


def _tar(path: Path, head: bytes, wanted: Callable[[str], int]) -> Iterator[Entry]:
    with ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(path.open("rb"))
        compressed = head.startswith(b"\x28\xb5\x2f\xfd")
        stream = _zstandard(file) if compressed else _Bounded(file)
        mode = "r|" if compressed else "r|*"
        # tarfile's stub asks for a whole file object; a stream mode only ever calls read
        archive = stack.enter_context(tarfile.open(fileobj=stream, mode=mode))  # type: ignore[call-overload]
        for member in archive:
            if member.isdir():
                continue
            name = _inside(member.name)
            if name is None:
                yield Entry(_printable(member.name), None, "its name leads out of the archive")
            elif not member.isfile():
                yield Entry(name, None, "a link or a device, not a plain file")
            else:
                yield _read(name, member.size, lambda member=member: archive.extractfile(member), wanted)  # type: ignore[misc]


def _zstandard(file: IO[bytes]) -> _Bounded:
    try:
        import zstandard
    except ImportError as problem:
        raise SidemanError(
            "reading a .zst archive needs the package zstandard: pip install zstandard, or unpack it first"
        ) from problem
    return _Bounded(zstandard.ZstdDecompressor().stream_reader(file), zstandard.ZstdError)


class _Bounded:
    """A stream that ends in an OSError where it is damaged or a decompression bomb would go on.

    damage: the decompressor's own error
    """

    def __init__(self, file: IO[bytes], damage: type[Exception] = EOFError) -> None:
        self._file = file
        self._damage = damage
        self._left = MAX_TOTAL_BYTES

    def read(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
        except self._damage as problem:
            raise OSError(str(problem)) from problem
        self._left -= len(data)
        if self._left < 0:
            raise OSError(f"it unpacks to more than {MAX_TOTAL_BYTES >> 30} GB")
        return data


def _inside(name: str) -> str | None:
    """An archive's name as a plain relative path, or None if it leads elsewhere."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or path.parts[0].endswith(":"):
        return None
    return _printable(path.as_posix())


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name.encode("utf-8", "replace").decode("utf-8"))
