"""`sideman bundles`: the bundles there are, each verified."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engines.bundle import NOT_COMMERCIAL, Bundle, non_commercial, shipped
from engines.errors import BundleError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which ones."""
    parser.add_argument("folder", nargs="*", type=Path, help="bundles to verify; default: those that came with Sideman")


def run(args: argparse.Namespace) -> int:
    """Print a table; 2 if one of them cannot be used."""
    folders: list[Path] = args.folder or list(shipped())
    if not folders:
        print("sideman: no bundle came with this installation; install sideman again", file=sys.stderr)
        return 2
    failed = 0
    for folder in folders:
        try:
            for line in described(Bundle.load(folder)):
                print(line)
        except BundleError as error:
            failed += 1
            print(f"sideman: {error}", file=sys.stderr)
    return 2 if failed else 0


def described(bundle: Bundle) -> list[str]:
    """A verified bundle in three lines."""
    manifest = bundle.manifest
    megabytes = sum((bundle.path / name).stat().st_size for name in manifest.sha256) / 1e6
    sources = ", ".join(f"{source.name} ({source.licence})" for source in manifest.sources)
    terms = f", {NOT_COMMERCIAL}" if non_commercial(manifest.licence) else ""
    return [
        f"{manifest.name}: {manifest.engine} engine, {manifest.kind} model, version {manifest.version}, "
        f"{megabytes:.1f} MB, {' '.join(bundle.variants()) or 'no graphs'}",
        f"  weights {manifest.licence}{terms}; learned from {sources or 'nothing that is named'}",
        f"  {bundle.path}",
    ]
