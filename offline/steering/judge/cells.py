"""Cells: what is made and heard together, takes of one concept, method and strength; and sounds that are only heard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.errors import SidemanError
from engines.musicgen.direction import Direction, Selection, Units, read_direction
from engines.musicgen.sampling import Settings
from offline.steering.concepts import concept_of, file_name

UNSTEERED = "unsteered"
METHODS = ("rfm", "diffmean", "ridge", "random")
KINDS = ("note", "chord", "tempo")
"""Kinds of concept for which there is a judge."""

PROMPTS: dict[str, tuple[str, ...]] = {
    "note": (
        "a piano note", "a guitar note", "a strings note", "an organ note", "a brass note", "a flutes note",
        "a synth pad note", "jazz, piano, 120 bpm",
    ),
    "chord": (
        "a piano chord", "a guitar chord", "a strings chord", "an organ chord", "a brass chord", "a reeds chord",
        "a synth pad chord", "pop, piano, 120 bpm",
    ),
    "tempo": ("clicks", "rock, drums, guitar and bass", "electronic, drums and bass", "pop, drums, piano and bass"),
}  # fmt: skip
"""As a model of our own was trained on (offline/musicgen/prompts.py), but none says what is steered."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What all cells have in common; it goes to other processes.

    model: says which bundle's graphs these are; half of the takes choose strengths, the other half is reported
    """

    bundle: Path
    model: str
    runtime: str
    clips: int
    seconds: float
    seed: int
    batch: int
    adherence: int
    settings: Settings
    selection: Selection
    units: Units
    cache: Path
    probes: tuple[tuple[str, Path], ...] = ()

    def probe(self, kind: str) -> Path | None:
        """The file of the seed's judge of a kind, if there is one."""
        return dict(self.probes).get(kind)


@dataclass(frozen=True, slots=True)
class Cell:
    """Takes. concept: such as note:C; the kind alone where nothing steers; direction: its file; sha256: of that."""

    concept: str
    method: str
    strength: float
    prompts: tuple[str, ...]
    direction: Path | None = None
    sha256: str = ""

    @property
    def kind(self) -> str:
        """What is listened for."""
        return self.concept.partition(":")[0]

    def name(self, plan: Plan) -> str:
        """Of its files in the cache: it says all that the takes depend on."""
        own = plan.settings
        what = [plan.model, plan.runtime, plan.clips, plan.seconds, plan.seed, own.temperature, own.top_k, own.top_p,
                own.guidance, self.prompts]  # fmt: skip
        if self.direction is not None:
            chosen = plan.selection
            what += [self.sha256, self.strength, plan.units, chosen.layers, chosen.top, chosen.base, chosen.coefficient]
        return f"{file_name(self.concept)}.{self.method}.{self.strength:g}-{digest(what):.12}"


@dataclass(frozen=True, slots=True)
class Source:
    """Sounds whose class is known. paths: of clips, or none: `made` says what kind of sound; labels: -1 is no class.

    coded: through the bundle's codec and back
    """

    kind: str
    title: str
    paths: tuple[Path, ...]
    labels: tuple[float, ...]
    coded: bool = False

    def name(self, plan: Plan) -> str:
        """Of its file in the cache."""
        what = [[str(path) for path in self.paths], len(self.labels), self.kind, plan.seconds]
        if self.coded:
            what.append(plan.model)
        return f"{self.kind}.{file_name(self.title)}{'.coded' if self.coded else ''}-{digest(what):.12}"


def digest(what: object) -> str:
    """SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def cells_of(
    directions: dict[tuple[str, str], tuple[Path, Direction]], strengths: Sequence[float],
    prompts: dict[str, tuple[str, ...]],
) -> Iterator[Cell]:  # fmt: skip
    """Unsteered takes of each kind, then each direction at each strength; a number's at as much below 0 too."""
    kinds = dict.fromkeys(concept.partition(":")[0] for concept, _ in directions)
    for kind in kinds:
        yield Cell(kind, UNSTEERED, 0.0, prompts[kind])
    for (concept, method), (path, direction) in directions.items():
        kind = concept.partition(":")[0]
        signs = (-1.0, 1.0) if kind == "tempo" else (1.0,)
        for strength in sorted(sign * each for sign in signs for each in strengths):
            yield Cell(concept, method, strength, prompts[kind], path, direction.about.sha256)


def directions_of(
    folder: Path, concepts: Sequence[str], methods: Sequence[str]
) -> tuple[dict[tuple[str, str], tuple[Path, Direction]], list[str]]:
    """(concept, method) -> file and direction, of a folder and those in it; and concepts that no judge knows.

    concepts: kinds and classes that are wanted, or none: all. Raises SidemanError where there are none, or two of one.
    """
    if not folder.is_dir():
        raise SidemanError(f"--directions {folder} is no folder; sideman train steering writes one")
    wanted = [concept_of(text) for text in concepts]
    for concept in wanted:
        if concept.kind not in KINDS:
            raise SidemanError(f"--concepts {concept.name}: there is no judge of it, only of {', '.join(KINDS)}")
    found: dict[tuple[str, str], tuple[Path, Direction]] = {}
    unknown: list[str] = []
    files = sorted(file for file in folder.rglob("*.safetensors")
                   if file.with_suffix(".json").is_file()
                   and not any(part.startswith(".") for part in file.relative_to(folder).parts))  # fmt: skip
    for file in files:
        direction = read_direction(file)
        about = direction.about
        concept = concept_of(about.concept)
        if about.method not in methods:
            continue
        if wanted and not any(each.name in (concept.kind, concept.name) for each in wanted):
            continue
        if concept.kind not in KINDS:
            unknown.append(about.concept)
            continue
        if (concept.name, about.method) in found:
            first = found[concept.name, about.method][0]
            raise SidemanError(f"there are two directions of {concept.name} by {about.method}, {first} and {file}; "
                               "name a folder that has one of them")  # fmt: skip
        found[concept.name, about.method] = (file, direction)
    if not found:
        what = f" of {', '.join(concepts)}" if concepts else ""
        raise SidemanError(f"{folder} has no directions{what} by {', '.join(methods)} that can be judged; make some "
                           "with: sideman train steering")  # fmt: skip
    order = {method: number for number, method in enumerate(METHODS)}
    keys = sorted(found, key=lambda key: (KINDS.index(key[0].partition(":")[0]), _place(key[0]), order[key[1]]))
    return {key: found[key] for key in keys}, sorted(set(unknown))


def _place(concept: str) -> tuple[int, str]:
    value = concept_of(concept).value
    return (value, "") if isinstance(value, int) else (0, str(value))
