"""Training the groove model on a small data set: what it learns, what it leaves, and that it plays."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.drums.bar import Bar, hits
from engines.drums.features import tables
from engines.drums.model import Controls
from engines.errors import SidemanError
from engines.music import Meter
from engines.randomness import generator
from offline.drums.dataset import DrumDataset, Piece

torch = pytest.importorskip("torch", reason="torch comes with the train extra")

from offline.drums import train as command  # noqa: E402
from offline.drums.groove.checkpoint import load_checkpoint, load_model  # noqa: E402
from offline.drums.groove.config import PRESETS, GrooveConfig  # noqa: E402
from offline.drums.groove.data import Augmentation, Corpus, FeelData, StepEpoch, StepScore, Swaps, density_quantiles  # noqa: E402
from offline.drums.groove.network import StepNetwork, StepShape  # noqa: E402
from offline.drums.groove.train import train  # noqa: E402

SMALL = replace(
    GrooveConfig(), epochs=2, batch=128, width=24, candidate=8, feel_epochs=2, feel_batch=64, feel_width=16, patience=0
)
ROCK = [5, 4, 4, 4, 6, 4, 4, 4, 5, 4, 5, 4, 6, 4, 4, 8]
WALTZ = [1, 0, 4, 0, 6, 0, 4, 0, 6, 0, 4, 0]


def piece(meter: Meter, bar: list[int], bars: int, seed: int, style: str) -> Piece:
    random = np.random.default_rng(seed)
    masks = np.tile(np.array(bar, np.uint16), bars)
    changed = random.random(len(masks)) < 0.05
    masks[changed] = random.integers(0, 512, changed.sum())
    on = hits(masks)
    velocity = np.where(on, random.integers(60, 110, on.shape), 0).astype(np.uint8)
    offset = np.where(on, random.integers(-20, 20, on.shape), 0).astype(np.int16)
    source = "Groove MIDI Dataset v1.0.0" if seed % 2 else "Other"
    return Piece(masks, velocity, offset, meter, 110.0, bool(seed % 3), style, f"g{seed}", "x.mid", source, "CC0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name, seeds in (("train", range(1, 9)), ("validation", range(20, 23))):
        pieces = [piece(Meter(4, 4), ROCK, 12, seed, "rock") for seed in seeds]
        pieces += [piece(Meter(3, 4), WALTZ, 6, seed + 50, "jazz") for seed in seeds]
        DrumDataset.of(pieces).save(folder / f"{name}.npz")
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(data, SMALL, folder, "cpu")
    return folder


def corpus(data: Path) -> Corpus:
    dataset = DrumDataset.load(data / "train.npz")
    return Corpus.of(dataset, ("jazz", "rock"), density_quantiles(dataset))


def test_the_run_says_what_it_is(run: Path) -> None:
    table = json.loads((run / "hparams.json").read_text())
    assert table["styles"] == ["jazz", "rock"]
    assert {source["name"] for source in table["sources"]} == {"Groove MIDI Dataset v1.0.0", "Other"}
    for part in ("step", "humaniser"):
        assert len((run / part / "log.csv").read_text().splitlines()) == 3
    step, humaniser, loaded = load_checkpoint(run)
    assert loaded["config"] == SMALL
    assert not step.training
    assert not humaniser.training


def test_the_model_scores_what_the_network_scores(run: Path, data: Path) -> None:
    model = load_model(run)
    step, _, _ = load_checkpoint(run)
    whole = corpus(data)
    first = whole.dataset.piece(0)
    controls = Controls(style=first.style, fill=first.fill)
    p = model.distributions(first.bars(), controls)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-4)
    batch = StepScore(whole, torch.device("cpu"), size=len(first.masks)).batches()[0]
    with torch.no_grad():
        expected = step.log_probability(batch.past, batch.copies, batch.agreement, batch.context, batch.mask)
    said = np.log(p[np.arange(len(p)), first.masks])
    np.testing.assert_allclose(said, expected.numpy(), atol=2e-4)


def test_the_mixture_is_exact() -> None:
    torch.manual_seed(0)
    network = StepNetwork(StepShape(styles=2, width=16)).eval()
    coefficients = torch.randn(1, 45)
    every = torch.arange(512)
    total = network.written(coefficients.expand(512, -1), every).exp().sum()
    assert float(total) == pytest.approx(1.0, abs=1e-4)


def test_it_plays_any_metre_and_the_seed_decides(run: Path) -> None:
    model = load_model(run)
    history: tuple[Bar, ...] = ()
    carry = model.prime(history, Controls())
    for number, meter in enumerate(["4/4", "4/4", "7/8", "2/4", "5/4", "6/8", "3/4"]):
        controls = Controls(style="rock", density=number / 7, temperature=0.9)
        bar, after = model.bar(history, carry, Meter.parse(meter), controls, generator(1, number))
        again, _ = model.bar(history, carry, Meter.parse(meter), controls, generator(1, number))
        np.testing.assert_array_equal(bar.masks, again.masks)
        np.testing.assert_array_equal(bar.velocity, again.velocity)
        assert len(bar.masks) == Meter.parse(meter).steps
        assert ((bar.velocity > 0) == hits(bar.masks)).all()
        assert (np.abs(bar.offset + 0.5) <= 120).all()
        assert not bar.offset[~hits(bar.masks)].any()
        history, carry = (*history, bar), after
    others = [model.bar(history, carry, Meter(), Controls(), generator(seed, 7))[0].masks for seed in range(5)]
    assert len({masks.tobytes() for masks in others}) > 1


def test_variation_leaves_the_past(run: Path) -> None:
    model = load_model(run)
    rock = np.array(ROCK, np.uint16)
    feel = np.where(hits(rock), 80, 0)
    bar = Bar(Meter(), rock, feel.astype(np.uint8), np.zeros((16, 9), np.int16))
    history = (bar,) * 8

    def copied(variation: float) -> int:
        played = [model.bar(history, 8, Meter(), Controls(variation=variation), generator(0, i))[0] for i in range(12)]
        return sum(int((each.masks == rock).sum()) for each in played)

    assert copied(-4.0) > copied(0.0) > copied(4.0)


def test_feel_is_given_for_every_hit(run: Path, data: Path) -> None:
    model = load_model(run)
    bars = DrumDataset.load(data / "validation.npz").piece(0).bars()
    for continuing in (True, False):
        velocity, offset = model.feel(bars, Controls(), continuing)
        assert velocity.shape == offset.shape == (len(bars) * 16, 9)
        assert 0 < velocity.min() <= velocity.max() < 128


def test_batches_depend_on_their_place_alone(data: Path) -> None:
    whole, device = corpus(data), torch.device("cpu")
    one, two = (StepEpoch(whole, Augmentation(), 64, (5, 1), device) for _ in range(2))
    one.batch(0)
    for field in ("past", "copies", "agreement", "context", "mask"):
        assert torch.equal(getattr(one.batch(3), field), getattr(two.batch(3), field))
    other = StepEpoch(whole, Augmentation(), 64, (5, 2), device)
    assert not torch.equal(one.batch(3).mask, other.batch(3).mask)


def test_a_swap_exchanges_how_instruments_agreed_too() -> None:
    line = np.random.default_rng(3).integers(0, 512, 16 * 20).astype(np.uint16)
    pieces = np.array([0, len(line)]), np.array([16])
    swaps = Swaps(np.random.default_rng(4), 6)
    plain = tables(line, *pieces).agreement
    for masks, agreements in zip(swaps.tables.numpy(), swaps.agreements.numpy(), strict=True):
        swapped = tables(masks[line].astype(np.uint16), *pieces).agreement
        np.testing.assert_array_equal(swapped, plain[:, :, agreements])
    assert len(np.unique(swaps.agreements.numpy(), axis=0)) > 2


def test_a_swap_keeps_copies_and_mask_together(data: Path) -> None:
    """Where a candidate was the right one, it is so after instruments are exchanged."""
    whole = corpus(data)
    still = Augmentation(lose_instrument=0, wrong_hit=0, swap=1.0, lose_lag=0)
    plain = replace(still, swap=0.0)
    a, b = (StepEpoch(whole, told, 256, (1, 0), torch.device("cpu")).batch(0) for told in (plain, still))
    assert torch.equal(a.copies == a.mask[:, None], b.copies == b.mask[:, None])
    assert not torch.equal(a.mask, b.mask)


def test_another_player_is_louder_and_later_in_the_past_and_now(data: Path) -> None:
    feel = FeelData(corpus(data), ("Groove",), torch.device("cpu"))
    rows = feel.rows[200:260]
    told = torch.ones(3, len(rows), dtype=torch.bool)
    knows = np.arange(len(rows)) % 2 == 0
    change = np.full(len(rows), 1.25, np.float32), np.full(len(rows), 30.0, np.float32)
    plain = feel.batch(rows, True, told, knows)
    other = feel.batch(rows, True, told, knows, change)
    on = plain.on & torch.from_numpy(knows)[:, None]
    # 30 ticks are 4 bins; a velocity of 60 to 109 is 15 to 27 higher, 3 to 7 bins.
    assert (other.bins[:, 1][on] == plain.bins[:, 1][on] + 4).all()
    assert ((other.bins[:, 0] - plain.bins[:, 0])[on] >= 3).all()
    was, now = (batch.heard.reshape(len(rows), -1, 2, 9) for batch in (plain, other))
    played = was[:, :, 0] > 0
    torch.testing.assert_close(now[:, :, 1][played], was[:, :, 1][played] + 30 / 128)
    torch.testing.assert_close(now[:, :, 0], was[:, :, 0] * 1.25)
    unknowing = ~torch.from_numpy(knows)
    assert torch.equal(other.bins[unknowing], plain.bins[unknowing])
    assert not now[unknowing].any()


def arguments(data: Path, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([str(data), *more])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "widht=3"], "widht"),
        (["--set", "width=wide"], "wide"),
        (["--set", "dropout=3"], "dropout"),
        (["--preset", "best"], "best"),
        (["--resume"], "--resume needs -o"),
    ],
)
def test_a_mistake_names_itself(data: Path, tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(SidemanError, match=message):
        command.run(arguments(data, *words))
    assert not list(tmp_path.iterdir())


def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(data: Path, run: Path) -> None:
    with pytest.raises(SidemanError, match="--resume"):
        train(data, SMALL, run, "cpu")
    with pytest.raises(SidemanError, match="other settings"):
        train(data, replace(SMALL, seed=9), run, "cpu", resume=True)


def test_presets_are_in_range() -> None:
    for config in PRESETS.values():
        config.check()
