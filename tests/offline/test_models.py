from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.drums.bar import INSTRUMENTS, MASKS, Bar, hits
from engines.drums.features import FEATURE_VERSION
from engines.drums.groove import GrooveModel
from engines.drums.model import Controls
from engines.errors import SidemanError
from engines.music import Meter
from engines.randomness import generator
from offline.drums.models import load_model, load_vocabulary

torch = pytest.importorskip("torch", reason="trainings of groove need torch, of the train extra")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A groove training with untrained weights: enough to tell what may depend on what."""
    from offline.drums.groove.checkpoint import humaniser_network, step_network
    from offline.drums.groove.config import FEEL_FOLDER, STEP_FOLDER, GrooveConfig, write_hparams

    folder = tmp_path_factory.mktemp("groove")
    config = GrooveConfig(width=32, feel_width=32)
    styles = ["jazz", "rock"]
    write_hparams(
        folder, config, {"feature_version": FEATURE_VERSION, "styles": styles, "density_quantiles": [0.0, 1.0]}
    )
    torch.manual_seed(0)
    for name, network in (
        (STEP_FOLDER, step_network(config, len(styles))),
        (FEEL_FOLDER, humaniser_network(config, len(styles))),
    ):
        (folder / name).mkdir()
        torch.save(network.state_dict(), folder / name / "best.pt")
    return folder


def bars(masks: np.ndarray) -> list[Bar]:
    on = hits(masks.astype(np.uint16))
    velocity = np.where(on, 90, 0).astype(np.uint8)
    offset = np.zeros((len(masks), INSTRUMENTS), np.int16)
    meter = Meter()
    return [
        Bar(meter, masks[i : i + 16].astype(np.uint16), velocity[i : i + 16], offset[i : i + 16])
        for i in range(0, len(masks), 16)
    ]


def test_a_groove_training_plays_and_foretells(run_folder: Path) -> None:
    model = load_model(str(run_folder))
    assert isinstance(model, GrooveModel)
    assert model.styles == ("jazz", "rock")
    controls = Controls(style="rock")
    history: tuple[Bar, ...] = ()
    carry = model.prime(history, controls)
    bar, carry = model.bar(history, carry, Meter(7, 8), controls, generator(0, 0))
    assert len(bar.masks) == 14
    assert ((bar.velocity > 0) == hits(bar.masks)).all()
    p = model.distributions([bar], controls)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-3)
    assert load_vocabulary(str(run_folder)) is None


def test_groove_foretells_a_step_without_looking_at_it_or_beyond(run_folder: Path) -> None:
    model = load_model(str(run_folder))
    random = np.random.default_rng(3)
    masks = random.choice([0, 1, 4, 6], 16 * 6)
    before = model.distributions(bars(masks), Controls())
    for step in (0, 17, 50, 95):
        other = masks.copy()
        other[step:] = random.integers(0, MASKS, len(other) - step)
        after = model.distributions(bars(other), Controls())
        np.testing.assert_array_equal(before[: step + 1], after[: step + 1])


def test_a_training_cut_short_says_how_to_go_on(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "hparams.json").write_bytes((run_folder / "hparams.json").read_bytes())
    with pytest.raises(SidemanError, match="--resume"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_what_is_no_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SidemanError):
        load_model(name)
