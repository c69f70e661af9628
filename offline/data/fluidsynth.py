"""Notes made sound by FluidSynth, in this process (pyfluidsynth): the same notes are the same samples, always.

A synthesiser that has played remembers it: remnants of voices, and which voice is taken next. So every render has a
synthesiser of its own, made anew in some milliseconds; what is slow to load, the sound font, is handed from one to the
next.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError

RATE_HZ = 44_100
"""Of what is rendered, as in SynTheory; sample sets are recorded at it. Brought down afterwards, by resample()."""
BLOCK = 64
"""Frames: FluidSynth looks for events as often, so events lie on its grid (1.5 ms)."""
GAIN = 3.0
"""A note at half velocity peaks at .1 to .4; what would be too loud is brought down, by sixteen_bits()."""
DRUM_BANK = 128
CHANNELS = 144
"""More than there are programs: a song has a channel for each."""

FONTS = (
    "/usr/share/sounds/sf2/TimGM6mb.sf2",
    "/usr/share/soundfonts/TimGM6mb.sf2",
    "/usr/local/share/soundfonts/TimGM6mb.sf2",
)
"""Where systems keep the font that SynTheory was made with."""

_LEVELS = range(5)

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sounding:
    """A note: at_s and until_s are seconds from the start; channel, pitch and velocity MIDI's, from 0."""

    at_s: float
    until_s: float
    channel: int
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class Voice:
    """What a channel plays. reverb: how much of it is sent to the reverb, 0 to 127."""

    channel: int
    program: int
    drums: bool = False
    reverb: int = 0


class SoundFont:
    """A sound font, held open; `render` plays with it. Use in a with statement."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        self.path = path
        self._library: Any = None
        self._holder: Any = None
        self._font: Any = None

    def __enter__(self) -> Self:
        """Raises SidemanError where FluidSynth is missing or the file is no sound font."""
        self._library = library()
        if not self.path.is_file():
            raise SidemanError(f"there is no sound font {self.path}; --font takes a .sf2 file")
        self._holder = self._library.Synth(samplerate=float(RATE_HZ))
        number = self._holder.sfload(str(self.path))
        if number < 0:
            self._holder.delete()
            raise SidemanError(f"{self.path} is no sound font that FluidSynth takes")
        self._font = self._library.fluid_synth_get_sfont_by_id(self._holder.synth, number)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._holder is not None:
            self._holder.delete()
            self._holder = None

    def render(self, voices: Sequence[Voice], notes: Iterable[Sounding], seconds: float) -> Samples:
        """The notes as float32 [round(seconds x RATE_HZ)], both sides mixed; without reverb unless a voice asks for it.

        A note of a channel without a voice, or under velocity 1, is not heard.
        """
        frames = round(seconds * RATE_HZ)
        library, reverb = self._library, any(voice.reverb for voice in voices)
        effects = {"synth.reverb.active": int(reverb), "synth.chorus.active": 0}
        synth = library.Synth(gain=GAIN, samplerate=float(RATE_HZ), channels=CHANNELS, **effects)
        attach, detach, write = _calls(library)
        detach(self._holder.synth, self._font)
        number = attach(synth.synth, self._font)
        try:
            for voice in voices:
                synth.program_select(voice.channel, number, DRUM_BANK if voice.drums else 0, voice.program)
                if voice.reverb:
                    synth.cc(voice.channel, 91, voice.reverb)
            sides = np.zeros((2, -(-frames // BLOCK) * BLOCK), np.float32)
            at = 0
            for block, velocity, channel, pitch in _events({voice.channel for voice in voices}, notes):
                until = min(block * BLOCK, sides.shape[1])
                _write(write, synth.synth, sides, at, until)
                at = max(at, until)
                if velocity:
                    synth.noteon(channel, pitch, velocity)
                else:
                    synth.noteoff(channel, pitch)
            _write(write, synth.synth, sides, at, sides.shape[1])
        finally:
            detach(synth.synth, self._font)
            attach(self._holder.synth, self._font)
            synth.delete()
        mixed: Samples = sides[:, :frames].mean(axis=0)
        return mixed


def library() -> Any:
    """The module of pyfluidsynth, its warnings silenced. Raises SidemanError where it or FluidSynth is missing."""
    try:
        import fluidsynth
    except ModuleNotFoundError as error:
        raise SidemanError('making sound needs pyfluidsynth: pip install "sideman[train]"') from error
    except (ImportError, OSError) as error:
        raise SidemanError(
            "making sound needs FluidSynth: install it (on Debian and Ubuntu: sudo apt install fluidsynth)"
        ) from error
    silence = fluidsynth.cfunc(
        "fluid_set_log_function", ctypes.c_void_p,
        ("level", ctypes.c_int, 1), ("fun", ctypes.c_void_p, 1), ("data", ctypes.c_void_p, 1),
    )  # fmt: skip
    for level in _LEVELS:
        silence(level, None, None)
    return fluidsynth


def find_font(given: Path | None) -> Path:
    """The font that was given, or the one that the system has. Raises SidemanError if there is none."""
    if given is not None:
        if not given.is_file():
            raise SidemanError(f"there is no sound font {given}; give the .sf2 file of one")
        return given
    for name in FONTS:
        if Path(name).is_file():
            return Path(name)
    raise SidemanError(
        "no sound font found; give one with --font, or install TimGM6mb (on Debian and Ubuntu: "
        "sudo apt install timgm6mb-soundfont)"
    )


def resample(samples: Samples, rate_hz: int, own_hz: int = RATE_HZ) -> Samples:
    """Samples [N] at another rate (soxr's high quality): float32 [round(N x rate_hz / own_hz)]."""
    if own_hz == rate_hz:
        return samples
    import soxr

    frames = round(len(samples) * rate_hz / own_hz)
    made = np.asarray(soxr.resample(samples, own_hz, rate_hz), np.float32)
    return np.pad(made, (0, max(0, frames - len(made))))[:frames]


def sixteen_bits(samples: Samples) -> NDArray[np.int16]:
    """Samples as 16-bit integers; what would be cut off is made quieter as a whole."""
    peak = float(np.abs(samples).max(initial=0.0))
    whole: NDArray[np.int16] = np.rint(samples * (32767 / max(1.0, peak))).astype(np.int16)
    return whole


def _events(channels: set[int], notes: Iterable[Sounding]) -> list[tuple[int, int, int, int]]:
    """(block, velocity, channel, pitch) in order; the end of a note is of velocity 0, and comes before a beginning."""
    events = []
    for note in notes:
        if note.channel in channels and note.velocity > 0:
            first = round(note.at_s * RATE_HZ / BLOCK)
            last = max(first + 1, round(note.until_s * RATE_HZ / BLOCK))
            events.append((first, note.velocity, note.channel, note.pitch))
            events.append((last, 0, note.channel, note.pitch))
    return sorted(events)


def _calls(library: Any) -> tuple[Any, Any, Any]:
    """What pyfluidsynth does not wrap of libfluidsynth: handing a font on, and samples as floats, without dither."""
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    font = (("synth", pointer, 1), ("font", pointer, 1))
    return (
        library.cfunc("fluid_synth_add_sfont", integer, *font),
        library.cfunc("fluid_synth_remove_sfont", integer, *font),
        library.cfunc(
            "fluid_synth_write_float", integer, ("synth", pointer, 1), ("len", integer, 1),
            ("left", pointer, 1), ("left_at", integer, 1), ("left_step", integer, 1),
            ("right", pointer, 1), ("right_at", integer, 1), ("right_step", integer, 1),
        ),
    )  # fmt: skip


def _write(write: Any, synth: Any, sides: Samples, first: int, last: int) -> None:
    if last > first:
        where = sides.ctypes.data
        write(synth, last - first, where, first, 1, where, sides.shape[1] + first, 1)
