"""The built-in kit: nine drums made of sines and noise when it is needed. No sound font and no samples.

bridge/sound/mixer.py plays it, through the sound device, into `--record FILE.wav` and `sideman generate -o FILE.wav`.
float32, made at 48 kHz and brought to the rate asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.music import DRUM_OF_PITCH, DRUMS

RATE = 48_000

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sound:
    """A drum: a body, an edge that is added the harder it is hit, both (frames,), its gain and its place (-1 to 1)."""

    body: Samples
    edge: Samples
    gain: float
    pan: float

    def struck(self, velocity: int) -> Samples:
        """The sound at a velocity of 1-127; loudness follows its square, as on most drum machines."""
        force = velocity / 127
        return np.float32(self.gain * force**2) * (self.body + np.float32(force) * self.edge)


class Kit:
    """The nine drums of `engines.music.DRUMS`, in its order, at a rate."""

    def __init__(self, rate: int = RATE) -> None:
        self.rate = rate
        makers = {
            "kick": _kick,
            "snare": _snare,
            "closed_hat": lambda rng: _hat(rng, 0.035),
            "open_hat": lambda rng: _hat(rng, 0.22),
            "floor_tom": lambda rng: _tom(rng, 82.0, 0.30),
            "mid_tom": lambda rng: _tom(rng, 118.0, -0.05),
            "high_tom": lambda rng: _tom(rng, 164.0, -0.30),
            "crash": _crash,
            "ride": _ride,
        }
        sounds = [makers[drum.name](np.random.default_rng(i)) for i, drum in enumerate(DRUMS)]
        self.sounds = sounds if rate == RATE else [_at_rate(sound, rate) for sound in sounds]

    def sound(self, pitch: int) -> Sound | None:
        """The drum of a General MIDI pitch; None for what the kit does not have."""
        index = DRUM_OF_PITCH.get(pitch)
        return None if index is None else self.sounds[index]


def _at_rate(sound: Sound, rate: int) -> Sound:
    import soxr

    def resampled(samples: Samples) -> Samples:
        return np.asarray(soxr.resample(samples, RATE, rate, "HQ"), np.float32)

    return Sound(resampled(sound.body), resampled(sound.edge), sound.gain, sound.pan)


# The sounds. Each is a recipe known from the drum machines of the eighties: a swept sine, a noise, six square waves.


def _time(seconds: float) -> NDArray[np.float64]:
    return np.arange(int(seconds * RATE)) / RATE


def _noise(rng: np.random.Generator, t: NDArray[np.float64], low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """White noise between two frequencies, with a peak of about 1."""
    spectrum = np.fft.rfft(rng.standard_normal(len(t)))
    hz = np.fft.rfftfreq(len(t), 1 / RATE)
    band = 1 / np.sqrt(1 + (low_hz / np.maximum(hz, 1)) ** 6) / np.sqrt(1 + (hz / high_hz) ** 6)
    noise = np.fft.irfft(spectrum * band, len(t))
    return np.asarray(noise / (3 * noise.std()))


def _sweep(t: NDArray[np.float64], from_hz: float, to_hz: float, fall_s: float) -> NDArray[np.float64]:
    """A sine whose frequency falls exponentially."""
    phase = to_hz * t + (from_hz - to_hz) * fall_s * (1 - np.exp(-t / fall_s))
    return np.asarray(np.sin(2 * np.pi * phase))


def _metal(rng: np.random.Generator, t: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Six square waves out of tune with one another: the TR-808's cymbal circuit, made bright."""
    squares = [np.sign(np.sin(2 * np.pi * (hz * scale * t + rng.random()))) for hz in (205, 304, 370, 523, 540, 800)]
    bright = np.diff(np.sum(squares, axis=0), prepend=0.0)
    return np.asarray(bright / 4)


def _sound(body: NDArray[np.float64], edge: NDArray[np.float64], gain: float, pan: float) -> Sound:
    """Both parts, faded at the very end so that nothing clicks."""
    fade = np.minimum(1, np.arange(len(body))[::-1] / (0.01 * RATE))
    return Sound((body * fade).astype(np.float32), (edge * fade).astype(np.float32), gain, pan)


def _kick(rng: np.random.Generator) -> Sound:
    t = _time(0.5)
    body = np.tanh(1.6 * _sweep(t, 190, 49, 0.032) * np.exp(-t / 0.16))
    edge = 0.5 * _noise(rng, t, 1500, 7000) * np.exp(-t / 0.004) + 0.25 * _sweep(t, 900, 120, 0.006) * np.exp(-t / 0.02)
    return _sound(body, edge, 0.72, 0.0)


def _snare(rng: np.random.Generator) -> Sound:
    t = _time(0.4)
    tone = (_sweep(t, 240, 182, 0.02) + 0.55 * _sweep(t, 420, 331, 0.02)) * np.exp(-t / 0.07)
    body = 0.55 * tone + 0.5 * _noise(rng, t, 900, 9000) * np.exp(-t / 0.10)
    edge = 0.7 * _noise(rng, t, 2500, 14000) * (np.exp(-t / 0.012) + 0.5 * np.exp(-t / 0.09))
    return _sound(body, edge, 0.55, -0.04)


def _hat(rng: np.random.Generator, decay_s: float) -> Sound:
    t = _time(decay_s * 5)
    shape = np.minimum(1, t / 0.0006) * np.exp(-t / decay_s)
    body = (0.5 * _metal(rng, t, 4.1) + 0.55 * _noise(rng, t, 7500, 16000)) * shape
    edge = 0.7 * _noise(rng, t, 5500, 18000) * np.exp(-t / (decay_s / 4 + 0.004))
    return _sound(body, edge, 0.30, 0.22)


def _tom(rng: np.random.Generator, hz: float, pan: float) -> Sound:
    t = _time(0.7)
    body = _sweep(t, hz * 1.55, hz, 0.05) * np.exp(-t / 0.19) + 0.25 * _sweep(t, hz * 2.4, hz * 1.6, 0.03) * np.exp(
        -t / 0.07
    )
    edge = 0.35 * _noise(rng, t, 600, 5000) * np.exp(-t / 0.02)
    return _sound(body, edge, 0.55, pan)


def _crash(rng: np.random.Generator) -> Sound:
    t = _time(2.2)
    shape = np.minimum(1, t / 0.002) * (0.6 * np.exp(-t / 0.5) + 0.4 * np.exp(-t / 0.12))
    body = (0.8 * _noise(rng, t, 2800, 15000) + 0.25 * _metal(rng, t, 3.3)) * shape
    edge = 0.5 * _noise(rng, t, 5000, 18000) * np.exp(-t / 0.15)
    return _sound(body, edge, 0.36, -0.28)


def _ride(rng: np.random.Generator) -> Sound:
    t = _time(1.5)
    ping = np.sum([np.sin(2 * np.pi * hz * t) for hz in (2871, 3583, 4377, 5411)], axis=0) / 4 * np.exp(-t / 0.22)
    wash = (0.5 * _noise(rng, t, 5000, 14000) + 0.2 * _metal(rng, t, 3.7)) * np.exp(-t / 0.42)
    edge = 0.4 * ping * np.exp(-t / 0.05)
    return _sound(0.55 * ping + 0.5 * wash, edge, 0.28, 0.32)
