"""Notes played with a sound font by FluidSynth, whose library is called as it is: libfluidsynth 2 or 3."""

from __future__ import annotations

import ctypes
import ctypes.util
from bisect import insort
from collections.abc import Mapping
from typing import Any

import numpy as np

from bridge.sound.kit import Samples
from bridge.sound.mixer import Hit
from engines.errors import SidemanError
from engines.notes.roles import PROGRAMS

REMEDY = "install FluidSynth (on Debian and Ubuntu: sudo apt install fluidsynth)"
NAMES = ("libfluidsynth.so.3", "libfluidsynth.so.2", "libfluidsynth.3.dylib", "libfluidsynth-3.dll")
GAIN = 0.6


class FontPlayer:
    """An instrument that renders General MIDI. It cannot go back: a note that comes late sounds in the next frame."""

    rewinds = False

    def __init__(self, font: str, rate: int, frame: int, programs: Mapping[int, int] = PROGRAMS) -> None:
        """Load a font; programs: General MIDI's by channel 1-16.

        Raises SidemanError where FluidSynth is not installed, or the file is no sound font.
        """
        library = _library()
        self._library = library
        self._settings = library.new_fluid_settings()
        library.fluid_settings_setnum(self._settings, b"synth.sample-rate", float(rate))
        library.fluid_settings_setnum(self._settings, b"synth.gain", GAIN)
        self._synth = library.new_fluid_synth(self._settings)
        if not self._synth or library.fluid_synth_sfload(self._synth, font.encode(), 1) < 0:
            raise SidemanError(f"{font} is no sound font that FluidSynth takes; the built-in kit plays instead")
        for channel, program in programs.items():
            library.fluid_synth_program_change(self._synth, channel - 1, program)
        self._hits: list[Hit] = []
        self._frame = frame
        self._part = np.zeros((0, 2), np.float32)

    @property
    def frame(self) -> int:
        """The next frame to be rendered."""
        return self._frame

    def add(self, hit: Hit) -> None:
        """Queue a hit."""
        insort(self._hits, hit, key=_frame)

    def silence(self) -> None:
        """End every note, and forget what was to come."""
        self._hits.clear()
        self._library.fluid_synth_all_sounds_off(self._synth, -1)

    def render_into(self, mix: Samples) -> None:
        """Add the next frames, each note on its own."""
        at, end = 0, self._frame + len(mix)
        while at < len(mix):
            while self._hits and self._hits[0].frame <= self._frame + at:
                self._play(self._hits.pop(0))
            until = min(len(mix), self._hits[0].frame - self._frame) if self._hits else len(mix)
            self._write(mix[at:until])
            at = until
        self._frame = end

    def rewind(self, frame: int) -> int:
        """Stay where it is."""
        del frame
        return self._frame

    def skip(self, frame: int) -> None:
        """Go on at a later frame."""
        while self._frame < frame:
            self.render_into(np.zeros((min(4096, frame - self._frame), 2), np.float32))

    def _play(self, hit: Hit) -> None:
        channel = hit.channel - 1
        if hit.velocity:
            self._library.fluid_synth_noteon(self._synth, channel, hit.pitch, hit.velocity)
        else:
            self._library.fluid_synth_noteoff(self._synth, channel, hit.pitch)

    def _write(self, mix: Samples) -> None:
        if len(self._part) < len(mix):
            self._part = np.zeros((len(mix), 2), np.float32)
        part = self._part[: len(mix)]
        where = part.ctypes.data_as(ctypes.c_void_p)
        self._library.fluid_synth_write_float(self._synth, len(mix), where, 0, 2, where, 1, 2)
        mix += part


def _library() -> Any:
    for name in (*NAMES, ctypes.util.find_library("fluidsynth") or ""):
        try:
            library = ctypes.CDLL(name) if name else None
        except OSError:
            continue
        if library is not None:
            return _typed(library)
    raise SidemanError(f"a sound font needs FluidSynth: {REMEDY}; the built-in kit plays instead")


def _typed(library: Any) -> Any:
    pointer, text, integer = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    library.new_fluid_settings.restype = pointer
    library.fluid_settings_setnum.argtypes = [pointer, text, ctypes.c_double]
    library.new_fluid_synth.restype = pointer
    library.new_fluid_synth.argtypes = [pointer]
    library.fluid_synth_sfload.argtypes = [pointer, text, integer]
    library.fluid_synth_noteon.argtypes = [pointer, integer, integer, integer]
    library.fluid_synth_noteoff.argtypes = [pointer, integer, integer]
    library.fluid_synth_program_change.argtypes = [pointer, integer, integer]
    library.fluid_synth_all_sounds_off.argtypes = [pointer, integer]
    library.fluid_synth_write_float.argtypes = [pointer, integer, pointer, integer, integer, pointer, integer, integer]
    return library


def _frame(hit: Hit) -> int:
    return hit.frame
