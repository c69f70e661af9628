"""What several tests of the bridge share: an engine that does everything wrong that an engine can."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

Closing = TypeVar("Closing")

TROUBLED = """
import os, sys, time
from engines.errors import SidemanError
from engines.music import Note, Phrase
from engines.parameter import Parameter

TROUBLES = (
    "none", "raise", "exit", "hang", "die", "length", "outside", "float", "notes", "none_at_all", "mistake",
    "speak", "choke", "babble",
)


class Troubled:
    parameters = (Parameter(name="trouble", kind="choice", default="none", choices=TROUBLES),)

    def __init__(self):
        self.remarks = []

    def said(self):
        lines, self.remarks = self.remarks, []
        if lines == ["choke"]:
            raise ValueError("no words")
        return lines

    @classmethod
    def load(cls, bundle, runtime="auto"):
        if bundle is not None and bundle.manifest.config.get("trouble"):
            raise SidemanError("this bundle is broken on purpose")
        return cls()

    def start(self, seed):
        return 0

    def prime(self, history, seed):
        return len(history)

    def generate(self, request, state):
        trouble, length = request.parameters["trouble"], request.length_ticks
        if trouble in ("speak", "choke"):
            self.remarks.append(trouble)
        if trouble == "babble":
            self.remarks += ["bla\\n" * 1000] * 1000
        if trouble == "raise":
            raise ZeroDivisionError("first line\\nsecond line")
        if trouble == "mistake":
            raise SidemanError("turn it down")
        if trouble == "exit":
            sys.exit(3)
        if trouble == "hang":
            time.sleep(600)
        if trouble == "die":
            os._exit(1)
        if trouble == "length":
            return Phrase(length + 1), state
        if trouble == "outside":
            return Phrase(length, (Note(length, 36, 100, 10),)), state
        if trouble == "float":
            return Phrase(length, (Note(0.0, 36, 100, 10),)), state
        if trouble == "notes":
            return Phrase(length, (Note(0, 36, 100, 10),) * 5000), state
        if trouble == "none_at_all":
            return None, state
        return Phrase(length, (Note(0, 36 + state % 24, 100, 100),)), state + 1


class Reserved(Troubled):
    parameters = (Parameter(name="hold", kind="bool", default=False),)
"""

ENTRY_POINTS = """[sideman.engines]
troubled = troubled:Troubled
reserved = troubled:Reserved
gone = troubled:Gone
"""


@pytest.fixture
def troubled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the engines `troubled` and `reserved`, as pip leaves it, where this process's children look."""
    folder = tmp_path / "site"
    info = folder / "troubled-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "troubled.py").write_text(TROUBLED)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: troubled\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def closing() -> Iterator[Callable[[Closing], Closing]]:
    """Keeps what a test opens, and closes it, the last one first."""
    opened: list[Any] = []

    def keep(part: Closing) -> Closing:
        opened.append(part)
        return part

    yield keep
    for part in reversed(opened):
        part.close()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 256 KiB of its own; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here (it takes root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)
