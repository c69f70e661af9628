"""Excerpts: stretches of a song, rendered, with what is true of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engines.music import STEP_TICKS
from offline.data.fluidsynth import RATE_HZ, Samples, SoundFont, Sounding, Voice, resample
from offline.musicgen.prompts import instruments_of, key_of, on_grid
from offline.notes.reading import Reading

LEAD_S = 1.0
"""Played before an excerpt and cut off, so that what sounds into it is there."""
FEWEST_NOTES = 6
DRUM_CHANNEL = 9
LEVEL, LOUDEST, MOST_GAIN = 0.1, 0.95, 30.0
"""Root mean square that a clip is brought to, the peak that it may then have, and how much louder it may be made."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A stretch of a song.

    bpm: of its beats, None where it changes by more than 1 % or the notes are not on a grid; key: "" if not clear
    """

    samples: Samples
    instruments: tuple[str, ...]
    bpm: float | None
    key: str


def excerpts(font: SoundFont, reading: Reading, seconds: float, most: int, rate_hz: int) -> Iterator[Excerpt]:
    """Up to `most` stretches of a song of `seconds` each, evenly spread, none where hardly anything is played."""
    at_s = reading.seconds(reading.ticks)
    until_s = reading.seconds(reading.ticks + reading.length)
    spare_s = float(until_s.max()) - seconds
    if spare_s < 0:
        starts = np.zeros(1)
    else:
        count = min(most, int(spare_s / seconds) + 1)
        starts = (np.arange(count) + 0.5) / count * spare_s
    for start_s in starts.tolist():
        inside = (at_s >= start_s) & (at_s < start_s + seconds)
        if inside.sum() < FEWEST_NOTES:
            continue
        heard = (at_s >= start_s - LEAD_S) & (at_s < start_s + seconds)
        lead_s = min(LEAD_S, start_s)
        channel = np.where(reading.is_drum, DRUM_CHANNEL, reading.program + (reading.program >= DRUM_CHANNEL))
        notes = [
            Sounding(begin - start_s + lead_s, end - start_s + lead_s, *rest)
            for begin, end, *rest in zip(
                at_s[heard].tolist(), until_s[heard].tolist(), channel[heard].tolist(), reading.pitch[heard].tolist(),
                reading.velocity[heard].tolist(), strict=True,
            )
        ]  # fmt: skip
        voices = sorted({(c, p, d) for c, p, d in zip(channel[heard].tolist(), reading.program[heard].tolist(),
                                                      reading.is_drum[heard].tolist(), strict=True)})  # fmt: skip
        rendered = font.render([Voice(*voice) for voice in voices], notes, lead_s + seconds)
        cut = rendered[round(lead_s * RATE_HZ) :]
        pitched = inside & ~reading.is_drum
        yield Excerpt(
            levelled(resample(cut, rate_hz)),
            tuple(instruments_of(reading.program[inside], reading.is_drum[inside])),
            _bpm(reading, inside),
            key_of(reading.pitch[pitched], (until_s - at_s)[pitched]),
        )


def levelled(samples: Samples) -> Samples:
    """Samples at a usual loudness."""
    power = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
    peak = float(np.abs(samples).max(initial=0.0))
    if not peak:
        return samples
    scaled: Samples = samples * np.float32(min(LEVEL / power, LOUDEST / peak, MOST_GAIN))
    return scaled


def _bpm(reading: Reading, inside: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float | None:
    ticks = reading.ticks[inside]
    if not on_grid(ticks, STEP_TICKS):
        return None
    held = [us for (tick, us), (after, _) in zip(reading.tempi, [*reading.tempi[1:], (1 << 62, 0)], strict=True)
            if tick <= int(ticks[-1]) and after > int(ticks[0])]  # fmt: skip
    return 60e6 / held[0] if max(held) <= 1.01 * min(held) else None
