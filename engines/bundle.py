"""Bundles: a model as a folder that can be checked before it is trusted.

A bundle holds manifest.json and the files it names. Loading checks the schema, every file's SHA-256 and that no file
lies outside the folder; nothing is ever unpickled (docs/ARCHITECTURE.md, The few values everything speaks).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engines.errors import BundleError
from engines.runtime import Graph, open_graph

SCHEMA = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 1 << 20

NOT_COMMERCIAL = "not for commercial use"


class Tensor(msgspec.Struct, frozen=True):
    """A named input or output of a graph; a dimension of -1 is free."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class GraphEntry(msgspec.Struct, frozen=True):
    """A graph of the bundle: its tensors, and the file of each variant ("fp32", "int8", "int4", "torchscript")."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    files: dict[str, str]


class Source(msgspec.Struct, frozen=True):
    """Where training data came from."""

    name: str
    licence: str
    pieces: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """manifest.json, as written by `sideman export`.

    engine:     entry point that plays it; kind: the model within that engine ("groove", "lstm")
    config:     what the engine needs beside the graphs
    sha256:     of each file
    sources:    data it was trained on; licence: of the weights
    training, metrics, parity, speed: as measured when it was made
    """

    schema: int
    name: str
    engine: str
    kind: str
    version: str
    created: str
    licence: str
    sources: tuple[Source, ...]
    graphs: dict[str, GraphEntry]
    sha256: dict[str, str]
    config: dict[str, Any] = {}
    training: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    parity: dict[str, Any] = {}
    speed: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files have been checked."""

    path: Path
    manifest: Manifest

    @classmethod
    def load(cls, path: Path) -> Bundle:
        """Read and verify a bundle folder. Raises BundleError, naming what is wrong and what to do."""
        file, manifest = path / MANIFEST, manifest_of(path)
        for name, digest in manifest.sha256.items():
            _check_file(path, name, digest)
        for graph, entry in manifest.graphs.items():
            for name in entry.files.values():
                if name not in manifest.sha256:
                    raise BundleError(f"{file}: graph {graph} names {name}, which has no SHA-256; export it again")
        return cls(path, manifest)

    def variants(self) -> tuple[str, ...]:
        """The variants that every graph of the bundle has, quickest first."""
        sets = [set(entry.files) for entry in self.manifest.graphs.values()]
        common = set.intersection(*sets) if sets else set()
        return tuple(v for v in ("int4", "int8", "fp32", "torchscript") if v in common)

    def graph(self, name: str, variant: str = "auto", threads: int = 1, device: str = "cpu") -> Graph:
        """Open a graph. "auto" takes the quickest ONNX variant; device: of TorchScript, see open_graph.

        Raises BundleError if the bundle has none such.
        """
        entry = self.manifest.graphs.get(name)
        if entry is None:
            raise BundleError(f"{self.path} has no graph {name}; export the bundle again")
        if variant == "auto":
            variant = next((v for v in ("int4", "int8", "fp32") if v in entry.files), "onnx")
        if variant not in entry.files:
            has = ", ".join(entry.files) or "none"
            raise BundleError(
                f"{self.path} has no {variant} variant of {name}; it has {has}: export it with that one too"
            )
        inputs = tuple(tensor.name for tensor in entry.inputs)
        outputs = tuple(tensor.name for tensor in entry.outputs)
        return open_graph(self.path / entry.files[variant], inputs, outputs, threads, device)


def manifest_of(path: Path) -> Manifest:
    """What a bundle folder says of itself; its files are not looked at. Raises BundleError."""
    file = path / MANIFEST
    if not file.is_file():
        raise BundleError(f"{path} is no bundle: it has no {MANIFEST}")
    if file.stat().st_size > MANIFEST_BYTES_MAX:
        raise BundleError(f"{file} is over {MANIFEST_BYTES_MAX} bytes: it is no manifest of Sideman's")
    raw = file.read_bytes()
    _check_schema(file, raw)
    try:
        return msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as error:
        raise BundleError(f"{file}: {error}; export the bundle again") from error


def licence_of(path: Path) -> str:
    """The licence of a bundle folder's weights; "" for a folder that is no bundle. Raises BundleError."""
    return manifest_of(path).licence if (path / MANIFEST).is_file() else ""


def non_commercial(licence: str) -> bool:
    """Whether a licence, by its name (CC-BY-NC-4.0 and the like), allows no commercial use."""
    words = re.findall(r"[a-z]+", licence.lower())
    return "nc" in words or "noncommercial" in words or "non commercial" in " ".join(words)


def shipped_folder() -> Path:
    """The folder of the bundles that come with Sideman."""
    return Path(__file__).parent / "bundles"


def shipped() -> Iterator[Path]:
    """The folders of the bundles that come with Sideman, by name."""
    return (path.parent for path in sorted(shipped_folder().glob(f"*/{MANIFEST}")))


def find(name_or_path: str) -> Path:
    """The folder of a bundle from the name of a shipped one, or its path. Raises BundleError listing what there is.

    A folder without a manifest is one too: there are engines that play from such (engines.registry.opened).

    A shipped name means the shipped bundle, whatever folder the command is run in; ./NAME is a folder.
    """
    names = {folder.name: folder for folder in shipped()}
    if name_or_path in names:
        return names[name_or_path]
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path
    raise BundleError(f"there is no bundle {name_or_path}: give a folder, or one of {', '.join(names) or 'none'}")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_schema(file: Path, raw: bytes) -> None:
    """A newer schema may not even decode, so its number is looked at first."""
    try:
        schema = json.loads(raw).get("schema")
    except (ValueError, AttributeError, RecursionError) as error:
        raise BundleError(f"{file} is not JSON; export the bundle again") from error
    if not isinstance(schema, int):
        raise BundleError(f"{file} has no schema number; export the bundle again")
    if schema > SCHEMA:
        raise BundleError(f"{file} has schema {schema}, this version reads up to {SCHEMA}: upgrade sideman")


def _check_file(folder: Path, name: str, digest: str) -> None:
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts or not path.resolve().is_relative_to(folder.resolve()):
        raise BundleError(f"{folder}: {name} lies outside the bundle; do not use it")
    if not path.is_file():
        raise BundleError(f"{folder}: {name} is missing; copy or export the bundle again")
    if sha256_of(path) != digest:
        raise BundleError(f"{folder}: {name} is not the file its manifest names (SHA-256 differs); get it again")
