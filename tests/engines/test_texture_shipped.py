"""The bundle `texture` that ships: small, of known sources, on the grid, the same again, and its notes are heard."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.audio import frames_in
from engines.bundle import Bundle, shipped_folder
from engines.engine import Request
from engines.music import Meter
from engines.musicgen.engine import MusicgenEngine
from engines.musicgen.faders import BundleFader, faders_of
from engines.musicgen.generator import Generator, Take
from engines.musicgen.parameters import settings_of
from engines.musicgen.shape import shape_of
from engines.musicgen.steering import Fader, Steering
from engines.parameter import Parameters

BYTES_MAX = 40_000_000
BAR_TICKS, BPM = 3840, 125.0
NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(shipped_folder() / "texture")


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> MusicgenEngine:
    return MusicgenEngine.load(bundle)


def test_it_is_small_and_says_what_it_learned_from(bundle: Bundle) -> None:
    files = [path for path in bundle.path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= BYTES_MAX
    assert {path.name for path in files} == {"manifest.json", *bundle.manifest.sha256}
    assert bundle.manifest.name == "texture" and bundle.manifest.sources
    assert not any("NC" in source.licence for source in bundle.manifest.sources)
    assert "unknown" not in bundle.manifest.licence and "NC" not in bundle.manifest.licence
    step = bundle.manifest.parity["step"]
    assert max(step["fp32"]["max_abs"].values()) <= 1e-4 and step["int8"]["kl_mean"] <= 0.02
    assert bundle.manifest.parity["codec"]["chunk_rms"] <= 1e-3


def test_it_has_four_faders_and_a_direction_for_every_key(bundle: Bundle) -> None:
    faders, further = faders_of(bundle, shape_of(bundle.manifest.config, bundle.path))
    assert len(faders) == 4
    assert {each.concept for each in (*faders, *further)} >= {f"note:{name}" for name in NOTES}
    assert not [each.concept for each in (*faders, *further) if each.direction.about.method == "random"]


def bars(engine: MusicgenEngine, count: int, seed: int) -> list[NDArray[np.float32]]:
    state, found = engine.start(seed), []
    for bar in range(count):
        request = Request(
            bar=bar, start_tick=bar * BAR_TICKS, length_ticks=BAR_TICKS, meter=Meter(), tempo_bpm=BPM,
            parameters=Parameters(engine.parameters).snapshot(), seed=seed,
        )  # fmt: skip
        loop, state = engine.generate(request, state)
        assert not loop.again
        found.append(loop.frames[loop.lead :])
    return found


def test_it_plays_whole_bars_that_sound_and_the_same_again(engine: MusicgenEngine) -> None:
    made = bars(engine, 3, seed=5)
    for frames in made:
        assert len(frames) == frames_in(BAR_TICKS, BPM, engine.model.shape.rate_hz)
        assert np.isfinite(frames).all() and np.sqrt(np.mean(frames**2)) > 1e-3
    assert all(np.array_equal(one, other) for one, other in zip(made, bars(engine, 3, seed=5), strict=True))
    assert not np.array_equal(made[0], bars(engine, 1, seed=6)[0])


def chroma(sound: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """Share of the magnitude between 100 Hz and 2 kHz that lies within a third of a semitone of each pitch class."""
    size = 8192
    frames = np.lib.stride_tricks.sliding_window_view(sound, size)[:: size // 2]
    magnitude = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)).sum(0)
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    inside = (hz > 100) & (hz < 2000)
    pitch = 69 + 12 * np.log2(hz[inside] / 440)
    near = np.abs(pitch - np.round(pitch)) < 1 / 3
    found = np.bincount(np.round(pitch[near]).astype(int) % 12, magnitude[inside][near], 12)
    return np.asarray(found / magnitude[inside].sum())


def test_a_fader_of_a_note_is_heard(bundle: Bundle, engine: MusicgenEngine) -> None:
    faders = [each for each in faders_of(bundle, engine.model.shape)[0] if each.concept.startswith("note:")]
    assert faders
    shape, model = engine.model.shape, engine.model
    prompt, settings = model.prompt("a piano note"), settings_of(bundle, None, None, None)

    def heard(moved: Sequence[BundleFader]) -> list[NDArray[np.float64]]:
        rows = [Fader(each.name, 1.0 * each.full, each.direction.scale) for each in moved]
        takes = [Take(prompt, Steering(rows, shape.layers, shape.width), seed) for seed in range(8)]
        codes = Generator(model, takes, settings, frames=100).all()
        return [chroma(model.codec.sound(each)[:, 0], shape.rate_hz) for each in codes]

    plain = np.mean(heard([]), axis=0)
    for each in faders:
        note = NOTES.index(each.concept.removeprefix("note:"))
        assert np.mean([one[note] for one in heard([each])]) > 2.0 * plain[note], each.concept
