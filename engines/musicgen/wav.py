"""Sound files for MusicGen: read at any rate, brought to the model's; written as 16-bit WAV."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.audio import CHANNELS_MAX, Frames
from engines.engine import Played
from engines.errors import SidemanError

RATE_MIN, RATE_MAX = 4_000, 384_000
SECONDS_MAX = 600.0


def read_sound(path: Path, rate_hz: int, seconds: float) -> Frames:
    """The last so many seconds of a file, float32 [samples, channels] at rate_hz. Raises SidemanError."""
    import soundfile
    import soxr

    try:
        with soundfile.SoundFile(path) as file:
            own_hz, count, channels = int(file.samplerate), int(file.frames), int(file.channels)
            if not RATE_MIN <= own_hz <= RATE_MAX or not 1 <= channels <= CHANNELS_MAX:
                raise SidemanError(f"{path.name} has {channels} channels at {own_hz} Hz; convert it to a plain WAV")
            if count > SECONDS_MAX * own_hz:
                raise SidemanError(f"{path.name} is longer than {SECONDS_MAX:g} s; cut it")
            file.seek(max(0, count - round(seconds * own_hz)))
            frames: Frames = file.read(dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:  # libsndfile's own is a RuntimeError
        raise SidemanError(f"{path} cannot be read: {_reason(error)}") from error
    if not len(frames):
        raise SidemanError(f"{path.name} holds no sound; give another, or none")
    if not np.isfinite(frames).all():
        raise SidemanError(f"{path.name} holds numbers that are not finite; export it again")
    return frames if own_hz == rate_hz else np.asarray(soxr.resample(frames, own_hz, rate_hz), np.float32)


def history_sound(history: Sequence[Played], rate_hz: int, channels: int, seconds: float) -> Frames:
    """The last so many seconds of the loops that were played, [samples, channels]; back to where one is not there."""
    parts: list[Frames] = []
    left = round(seconds * rate_hz)
    for played in reversed(history):
        loop = played.phrase.loop
        if loop is None or left <= 0:
            break
        try:
            part = read_sound(Path(loop.path), rate_hz, min(left / rate_hz, loop.frames / loop.rate))
        except SidemanError:
            break
        part = part.mean(axis=1, keepdims=True) if channels == 1 else part[:, [0, -1]]
        parts.insert(0, part[-left:])
        left -= len(part)
    return np.concatenate(parts) if parts else np.zeros((0, channels), np.float32)


def write_sound(path: Path, frames: Frames, rate_hz: int) -> None:
    """Write float32 [samples, channels]; what is louder than full scale is brought down as a whole.

    An older file is replaced only by a whole one. Raises SidemanError if it cannot be written.
    """
    import soundfile

    peak = float(np.abs(frames).max(initial=0.0))
    partial = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        soundfile.write(partial, frames / peak if peak > 1.0 else frames, rate_hz, subtype="PCM_16")
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # libsndfile's own is a RuntimeError
        raise SidemanError(f"{path} cannot be written: {getattr(error, 'strerror', None) or _reason(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """What libsndfile says, without the file's name before it."""
    return str(error).rpartition(": ")[2].rstrip(".")
