"""`sideman clients`: puts what plays inside other programs into a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.errors import SidemanError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to."""
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="default: the folder you are in")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def run(args: argparse.Namespace) -> int:
    """Write the files, and say of each what to do with it. Raises SidemanError if one is there or cannot be written."""
    from bridge.clients.live import device

    data = device.made()
    folder: Path = args.folder
    file = folder / device.NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("wb" if args.force else "xb") as stream:
            stream.write(data)
    except FileExistsError as error:
        raise SidemanError(f"{file} is there already; name another folder, or write over it with --force") from error
    except OSError as error:
        raise SidemanError(f"{file} cannot be written: {error.strerror}") from error
    print(f"{file}: for Ableton Live 12 with Max for Live; drop it on a track (docs/CLIENTS.md)")
    return 0
