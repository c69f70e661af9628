"""The bundles of notes that ship: whole, small, with a licence, and playing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from engines.bundle import Bundle, shipped, shipped_folder
from engines.drums.engine import DrumEngine
from engines.engine import Request
from engines.errors import BundleError
from engines.music import Meter, Phrase

BYTES_MAX = {"drums": 5_000_000, "notes": 16_000_000}
ENGINES = {path.name: Bundle.load(path).manifest.engine for path in shipped()}
DRUMS = [name for name, engine in ENGINES.items() if engine == "drums"]


@pytest.fixture(params=[name for name, engine in ENGINES.items() if engine in BYTES_MAX])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    (path,) = (path for path in shipped() if path.name == request.param)
    return Bundle.load(path)


def play(engine: DrumEngine, metres: list[str], seed: int, **changes: Any) -> list[Phrase]:
    values = {parameter.name: parameter.default for parameter in engine.parameters} | changes
    state, phrases, tick = engine.start(seed), [], 0
    for bar, text in enumerate(metres):
        meter = Meter.parse(text)
        request = Request(
            bar=bar, start_tick=tick, length_ticks=meter.bar_ticks, meter=meter, tempo_bpm=120.0,
            parameters=values, seed=seed,
        )  # fmt: skip
        phrase, state = engine.generate(request, state)
        phrases.append(phrase)
        tick += meter.bar_ticks
    return phrases


def test_there_are_the_product_s_groove_and_the_seed_s_lstm() -> None:
    assert {"groove", "lstm"} <= {path.name for path in shipped()}


def test_a_groove_bundle_of_other_features_is_refused_when_it_is_loaded() -> None:
    whole = Bundle.load(shipped_folder() / "groove")
    entry = whole.manifest.graphs["humaniser"]
    other = tuple(replace(tensor, shape=(-1, 7)) if tensor.name == "means" else tensor for tensor in entry.inputs)
    graphs = whole.manifest.graphs | {"humaniser": replace(entry, inputs=other)}
    with pytest.raises(BundleError, match=r"humaniser takes means of \(7,\).*export it again"):
        DrumEngine.load(Bundle(whole.path, replace(whole.manifest, graphs=graphs)))


def test_it_is_small_and_says_what_it_learned_from(bundle: Bundle) -> None:
    files = [path for path in bundle.path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= BYTES_MAX[bundle.manifest.engine]
    assert {path.name for path in files} == {"manifest.json", *bundle.manifest.sha256}
    assert bundle.manifest.name == Path(bundle.path).name
    assert bundle.manifest.sources and "unknown" not in bundle.manifest.licence and bundle.manifest.licence
    assert not any("NC" in source.licence for source in bundle.manifest.sources)
    for graph in bundle.manifest.graphs:
        parity = bundle.manifest.parity[graph]
        assert parity["fp32"]["max_abs"] <= 1e-4 and parity["int8"]["kl_mean"] <= 0.01
        assert min(parity[variant]["steps"] for variant in parity) >= 1000
    assert bundle.manifest.metrics and bundle.manifest.speed


@pytest.mark.parametrize("bundle", DRUMS, indirect=True)
def test_it_plays_in_every_metre_and_the_same_again(bundle: Bundle) -> None:
    engine = DrumEngine.load(bundle)
    metres = ["4/4"] * 6 + ["3/4", "7/8", "2/4", "4/4"]
    phrases = play(engine, metres, seed=5)
    for phrase, metre in zip(phrases, metres, strict=True):
        phrase.check()
        assert phrase.length == Meter.parse(metre).bar_ticks
    assert play(engine, metres, seed=5) == phrases
    assert play(engine, metres, seed=6) != phrases
    assert sum(len(phrase.notes) for phrase in phrases) > 40
    assert len(set(phrases[:6])) > 1


@pytest.mark.parametrize("bundle", DRUMS, indirect=True)
def test_styles_are_told_apart(bundle: Bundle) -> None:
    engine = DrumEngine.load(bundle)
    assert {"rock", "jazz", "hiphop"} <= set(engine.model.styles)

    def rides(style: str) -> float:
        songs = [play(engine, ["4/4"] * 8, seed, style=style) for seed in range(8)]
        notes = [note for song in songs for phrase in song for note in phrase.notes]
        return float(np.mean([note.pitch == 51 for note in notes]))

    assert rides("jazz") > 1.2 * rides("hiphop")
