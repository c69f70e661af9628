"""Recipe: the synthetic sets of SynTheory (Wei, Freeman, Donahue and Sun 2024, arXiv 2410.00872), clip by clip.

Every set is a grid: notes, chords, scales and the like in every key, played by the programs of General MIDI that have a
clear pitch. At 120 bpm and velocity 64 a clip of those is 4 s. Tempos and time signatures are clicks, cut at random
places out of a longer track.

Where this differs from SynTheory: the lowest pitch of a clip always lies in the octave (`register`) that the split
gives it, so that an inverted chord or a progression is moved down by an octave where it would leave it; and in held-out
clips the octave is another one (offline/steering/split.py). A clip's concept is the same in every octave.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from engines.randomness import generator
from offline.data.fluidsynth import Sounding, Voice
from offline.data.split import fingerprint
from offline.steering.split import CLICK_SPLIT, OCTAVE, PROGRAM_SPLIT, split_of

SETS = ("notes", "intervals", "chords", "scales", "progressions", "tempos", "signatures")
CLIP_S = 4.0
BEAT_S = 0.5
VELOCITY = 64

MODES = {
    "ionian": (0, 2, 4, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "aeolian": (0, 2, 3, 5, 7, 8, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
}
CHORDS = {"maj": (0, 4, 7), "min": (0, 3, 7), "aug": (0, 4, 8), "dim": (0, 3, 6)}
PROGRESSIONS = (
    *(("ionian", degrees) for degrees in (
        (1, 4, 5, 1), (1, 4, 6, 5), (1, 5, 6, 4), (1, 6, 4, 5), (2, 5, 1, 6),
        (4, 1, 5, 6), (4, 5, 3, 6), (5, 4, 1, 5), (5, 6, 4, 1), (6, 4, 1, 5),
    )),
    *(("aeolian", degrees) for degrees in (
        (1, 2, 5, 1), (1, 3, 4, 1), (1, 4, 5, 1), (1, 6, 3, 7), (1, 6, 7, 1),
        (1, 6, 7, 3), (1, 7, 6, 4), (4, 7, 1, 1), (7, 6, 7, 1),
    )),
)  # fmt: skip
SIGNATURES = ((2, 2), (2, 4), (3, 4), (3, 8), (4, 4), (6, 8), (9, 8), (12, 8))
BPM = range(50, 211)
REVERBS = (0, 63, 127)


@dataclass(frozen=True, slots=True)
class Click:
    """A sound of clicks: its General MIDI program (or drums), the pitch of the first beat and of the others."""

    name: str
    program: int
    first: int
    rest: int
    drums: bool = False


CLICKS = (
    Click("default", 0, 37, 31, drums=True),
    Click("woodblock_dark", 115, 37, 31),
    Click("woodblock_light", 115, 52, 48),
    Click("taiko", 116, 52, 48),
    Click("synth_drum", 118, 52, 48),
)
ACCENT, REST = 100, 75
TEMPO_TRACK_S, SIGNATURE_TRACK_S = 20.0, 30.0
TEMPO_CUTS, SIGNATURE_CUTS = 5, 10


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip of the recipe: the labels of index.parquet, and what a render needs beside them.

    name:    its file without suffix; names are unique in a set
    label:   the class that a choice of some clips is balanced over
    track:   the render that it is cut out of; clips of notes are a track each
    cut:     which of the cuts of the track, -1 for all of it; track_s: the length of the track
    """

    set: str
    name: str
    split: str
    program: int
    register: int
    label: str
    track: str
    pitch: int | None = None
    note: int | None = None
    root: int | None = None
    interval: int | None = None
    motion: str | None = None
    chord: str | None = None
    inversion: int | None = None
    mode: str | None = None
    progression: str | None = None
    bpm: float | None = None
    signature: str | None = None
    click: str | None = None
    reverb: int | None = None
    cut: int = -1
    track_s: float = CLIP_S


def clips(name: str) -> Iterator[Clip]:
    """Every clip of a set that belongs to a split, in a fixed order."""
    makers = {
        "notes": _notes, "intervals": _intervals, "chords": _chords, "scales": _scales,
        "progressions": _progressions, "tempos": _tempos, "signatures": _signatures,
    }  # fmt: skip
    return makers[name]()


def _notes() -> Iterator[Clip]:
    for pitch, program in product(range(108), PROGRAM_SPLIT):
        split = split_of(program, pitch // 12)
        if split:
            name = f"{pitch:03d}-{program:03d}"
            yield Clip("notes", name, split, program, pitch // 12, str(pitch % 12), name, pitch, pitch % 12)


def _pitched(set_: str, program: int, root: int, *words: object, label: str) -> Clip:
    split = PROGRAM_SPLIT[program]
    name = "-".join([f"{root:02d}", *map(str, words), f"{program:03d}"])
    return Clip(set_, name, split, program, OCTAVE[split], label, name, root=root)


def _intervals() -> Iterator[Clip]:
    for root, size, motion, program in product(range(12), range(1, 13), ("up", "down", "together"), PROGRAM_SPLIT):
        clip = _pitched("intervals", program, root, size, motion, label=str(size))
        yield replace(clip, interval=size, motion=motion)


def _chords() -> Iterator[Clip]:
    for root, chord, inversion, program in product(range(12), CHORDS, range(3), PROGRAM_SPLIT):
        clip = _pitched("chords", program, root, chord, inversion, label=chord)
        yield replace(clip, chord=chord, inversion=inversion)


def _scales() -> Iterator[Clip]:
    for root, mode, motion, program in product(range(12), MODES, ("up", "down"), PROGRAM_SPLIT):
        yield replace(_pitched("scales", program, root, mode, motion, label=mode), mode=mode, motion=motion)


def _progressions() -> Iterator[Clip]:
    for root, (mode, degrees), program in product(range(12), PROGRESSIONS, PROGRAM_SPLIT):
        name = progression_name(mode, degrees)
        clip = _pitched("progressions", program, root, name.replace(" ", "-"), label=name)
        yield replace(clip, mode=mode, progression=name)


def progression_name(mode: str, degrees: tuple[int, ...]) -> str:
    """Such as "ionian 1-4-5-1"."""
    return f"{mode} {'-'.join(map(str, degrees))}"


def _tempos() -> Iterator[Clip]:
    for bpm, click, cut in product(BPM, CLICKS, range(TEMPO_CUTS)):
        track = f"{bpm:03d}-{click.name}"
        yield Clip(
            "tempos", f"{track}-{cut}", CLICK_SPLIT[click.name], -1, -1, str(bpm // 10), track, bpm=float(bpm),
            click=click.name, cut=cut, track_s=TEMPO_TRACK_S,
        )  # fmt: skip


def _signatures() -> Iterator[Clip]:
    for (beats, unit), reverb, click, cut in product(SIGNATURES, REVERBS, CLICKS, range(SIGNATURE_CUTS)):
        track = f"{beats:02d}-{unit}-{click.name}-{reverb:03d}"
        yield Clip(
            "signatures", f"{track}-{cut}", CLICK_SPLIT[click.name], -1, -1, f"{beats}/{unit}", track,
            signature=f"{beats}/{unit}", click=click.name, reverb=reverb, cut=cut, track_s=SIGNATURE_TRACK_S,
        )  # fmt: skip


def track_of(clip: Clip) -> tuple[Voice, list[Sounding]]:
    """What is played in the track that a clip is, or is cut out of."""
    if clip.click is not None:
        return _clicks(clip)
    chords, beats = _melody(clip)
    notes = [
        Sounding(i * beats * BEAT_S, (i + 1) * beats * BEAT_S, 0, pitch, VELOCITY)
        for i, chord in enumerate(chords)
        for pitch in chord
    ]
    return Voice(0, clip.program), notes


def starts_s(clip: Clip) -> float:
    """Where a clip begins in its track."""
    if clip.cut < 0:
        return 0.0
    seed = int(fingerprint(clip.set.encode(), clip.track.encode()), 16)
    return float(generator(seed, clip.cut, 0, 0).uniform(0.0, clip.track_s - CLIP_S))


def _melody(clip: Clip) -> tuple[list[list[int]], int]:
    """The chords of a clip, and beats of each; its lowest pitch is in its register's octave."""
    lowest = 12 * clip.register
    if clip.pitch is not None:
        return [[clip.pitch]] * 4, 2
    root = lowest + (clip.root or 0)
    if clip.interval is not None:
        pair = [[root], [root + clip.interval]]
        melody = {"up": pair, "down": pair[::-1], "together": [[root, root + clip.interval]] * 2}[clip.motion or "up"]
        return melody * 4, 1
    if clip.chord is not None:
        tones = [root + step for step in CHORDS[clip.chord]]
        inverted = [tone + 12 for tone in tones[: clip.inversion]]
        return [_lowered(tones[clip.inversion :] + inverted, lowest)] * 4, 2
    steps = MODES[clip.mode or "ionian"]
    if clip.progression is None:
        scale = [[root + step] for step in (*steps, 12)]
        return scale if clip.motion == "up" else scale[::-1], 1
    degrees = [int(degree) - 1 for degree in clip.progression.split()[1].split("-")]
    triads = [[root + steps[(d + third) % 7] + 12 * ((d + third) // 7) for third in (0, 2, 4)] for d in degrees]
    down = 12 * ((min(map(min, triads)) - lowest) // 12)
    return [[pitch - down for pitch in triad] for triad in triads], 2


def _lowered(tones: list[int], lowest: int) -> list[int]:
    down = 12 * ((min(tones) - lowest) // 12)
    return [tone - down for tone in tones]


def _clicks(clip: Clip) -> tuple[Voice, list[Sounding]]:
    """Clicks at a quarter note's tempo; the unit is an eighth in compound time, else the signature's denominator."""
    click = next(click for click in CLICKS if click.name == clip.click)
    beats, unit = (int(part) for part in (clip.signature or "4/4").split("/"))
    compound = beats % 3 == 0 and unit != 4
    step_s = 60.0 / (clip.bpm or 120.0) * (0.5 if compound else 4 / unit)
    notes = [
        Sounding(i * step_s, (i + 1) * step_s, 0, *((click.rest, REST) if i % beats else (click.first, ACCENT)))
        for i in range(int(clip.track_s / step_s) + 1)
    ]
    return Voice(0, click.program, click.drums, clip.reverb or 0), notes
