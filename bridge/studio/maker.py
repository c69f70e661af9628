"""What the page does when asked: bars of one bundle, as a picture, a sound and a MIDI file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.commands.making import Plan, continued, infilled, made, parse_bars, prompt_for
from bridge.files.loopwav import LoopFolder
from bridge.files.song import SongBar, write_song
from bridge.set import SEED_MAX, TEMPO_BPM_HIGH, TEMPO_BPM_LOW, new_seed, parse_meter
from bridge.studio.roll import piano_roll
from engines.bundle import find
from engines.engine import Engine
from engines.errors import SidemanError
from engines.parameter import Parameters
from engines.registry import engine_for, opened

BARS_MAX = 64

FONTS = (
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    Path("/usr/share/sounds/sf2/default-GM.sf2"),
    Path("/usr/share/sounds/sf2/TimGM6mb.sf2"),
)
"""Where Linux distributions put General MIDI."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a page asks for, not checked yet.

    tempo_bpm, meter: None and "" for the prompt's; seed: "" for one that nobody chose
    prompt: a MIDI file to go on from; infill: bars of it, such as 5-6, to be made anew instead
    font: the sound font it is played with, None for the built-in sounds
    values: of parameters, by name; those that are left out stay at their defaults
    """

    bars: float = 8
    tempo_bpm: float | None = None
    meter: str = ""
    seed: str = ""
    prompt: Path | None = None
    infill: str = ""
    font: Path | None = None
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Take:
    """What was made. midi is None for audio; picture is an <svg> element; about is one line for people."""

    midi: Path | None
    wav: Path
    picture: str
    about: str


class Maker:
    """An opened bundle, and what becomes of its bars."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine

    @classmethod
    def opened(cls, name_or_path: str) -> Maker:
        """Open a shipped bundle by its name, or a folder. Raises SidemanError."""
        folder = find(name_or_path)
        engine, _ = opened(engine_for(folder), folder)
        return cls(folder.name, engine)

    def make(self, wish: Wish, folder: Path, tell: Callable[[int, int], None] = lambda done, all_: None) -> Take:
        """Make a take; its files go into a folder that is there.

        tell: called with the number of bars made, and of all. Raises SidemanError for what cannot be wished.
        """
        plan = self._plan(wish)
        parameters = Parameters(self.engine.parameters)
        for name, value in wish.values.items():
            parameters.set(name, value)
        new: list[SongBar] = []
        for bar in made(self.engine, parameters, plan, LoopFolder(folder)):
            new.append(bar)
            tell(len(new), len(plan.places))
        song = [*plan.before, *new, *plan.after]
        given = [i for i in range(len(song)) if not 0 <= i - len(plan.before) < len(new)]
        wav, midi = (folder / f"{self.name}-{plan.seed}{ending}" for ending in (".wav", ".mid"))
        audio = any(bar.phrase.loop for bar in new)
        write_song(wav, song, None if audio else wish.font)
        if not audio:
            write_song(midi, song)
        notes = "" if audio else f" {sum(len(bar.phrase.notes) for bar in new)} notes,"
        about = f"{len(new)} bars of {self.name},{notes} seed {plan.seed}"
        return Take(None if audio else midi, wav, piano_roll(song, given), about)

    def _plan(self, wish: Wish) -> Plan:
        """The bars that are wished. Raises SidemanError."""
        seed = _seed(wish.seed)
        prompt = [] if wish.prompt is None else prompt_for(self.engine, wish.prompt)
        if len(prompt) > BARS_MAX:
            raise SidemanError(f"the prompt has {len(prompt)} bars; here it may have {BARS_MAX}: cut it")
        if wish.infill.strip():
            if not prompt:
                raise SidemanError("bars to make anew are a prompt's; give a MIDI file as well")
            return infilled(prompt, seed, parse_bars(wish.infill))
        bars = int(_between("bars", wish.bars, 1, BARS_MAX))
        tempo_bpm = wish.tempo_bpm or None
        if tempo_bpm is not None:
            _between("the tempo", tempo_bpm, TEMPO_BPM_LOW, TEMPO_BPM_HIGH)
        meter = parse_meter(wish.meter) if wish.meter.strip() else None
        return continued(prompt, seed, bars, meter, tempo_bpm)


def usual_font() -> Path | None:
    """A General MIDI sound font of this machine's, if FluidSynth is here to play it."""
    if shutil.which("fluidsynth") is None:
        return None
    return next((font for font in FONTS if font.is_file()), None)


def _seed(text: str) -> int:
    """The seed that is written there, or a new one. Raises SidemanError."""
    word = text.strip()
    if word and not (word.isascii() and word.isdecimal() and int(word) <= SEED_MAX):
        raise SidemanError(f"the seed takes a whole number from 0 to {SEED_MAX}, not {word[:40]}")
    return int(word) if word else new_seed()


def _between(name: str, value: float, low: float, high: float) -> float:
    if not isinstance(value, (int, float)) or not low <= value <= high:
        raise SidemanError(f"{name} takes a number from {low:g} to {high:g}, not {value}")
    return value
