"""The seed's LSTM in Keras, small: trained, interrupted, resumed, exported and played. Loads TensorFlow."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from engines.bundle import Bundle
from engines.drums.engine import load_model
from engines.drums.model import Controls
from engines.errors import SidemanError
from engines.music import Meter
from offline.drums.dataset import DrumDataset, Piece
from offline.drums.lstm.config import LstmConfig
from offline.drums.lstm.run import LstmRun
from offline.drums.lstm.train import train

pytest.importorskip("tensorflow", reason="TensorFlow comes with the keras extra")
pytest.importorskip("tf2onnx", reason="tf2onnx comes with the keras extra")
pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow deprecates parts of itself

CONFIG = LstmConfig(units=32, embedding=16, context_bars=2, batch_steps=256, epochs=2, vocab_cap=6, learning_rate=0.01)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for split, count in (("train", 40), ("validation", 20)):
        pieces = []
        for _ in range(count):
            masks = np.tile([5, 0, 4, 1, 6, 0, 4, 0], 8).astype(np.uint16)
            masks[random.random(64) < 0.1] = 511
            velocity = np.where(masks[:, None] >> np.arange(9) & 1, 90, 0).astype(np.uint8)
            pieces.append(
                Piece(masks, velocity, np.zeros((64, 9), np.int16), Meter(), 120.0, style="rock", source="us")
            )
        DrumDataset.of(pieces).save(folder / f"{split}.npz")
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of two epochs that was interrupted after the first."""
    from offline.drums.lstm import fit

    folder = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        whole = fit.Clock.on_epoch_end

        def interrupt(self: Any, epoch: int, logs: Any = None) -> None:
            whole(self, epoch, logs)
            if epoch == 1:
                raise KeyboardInterrupt

        patch.setattr(fit.Clock, "on_epoch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(data, CONFIG, folder)
    assert len(fit.read_log(folder)) == 1
    train(data, CONFIG, folder)
    return folder


def test_a_training_goes_on_where_it_was_interrupted(run: Path) -> None:
    from offline.drums.lstm.fit import read_log

    log = read_log(run)
    assert [row["epoch"] for row in log] == ["0", "1"]
    assert float(log[1]["val_loss"]) < float(log[0]["val_loss"])
    metrics = LstmRun(run).metrics()
    assert metrics["epochs"] == 2
    assert metrics["validation"]["perplexity"] == pytest.approx(float(log[1]["val_perplexity"]), rel=1e-3)


def test_epochs_without_progress_are_counted_on() -> None:
    import keras

    from offline.drums.lstm.fit import Recall

    losses, rates = [3.0, 2.0, 2.1, 2.2, 2.3], [1e-3, 1e-3, 1e-3, 5e-4, 5e-4]
    history = [{"val_loss": str(v), "learning_rate": str(r)} for v, r in zip(losses, rates, strict=True)]
    stop, plateau = keras.callbacks.EarlyStopping(), keras.callbacks.ReduceLROnPlateau()
    Recall(history, stop, plateau).on_train_begin()
    assert (stop.best, stop.wait) == (2.0, 3)
    assert (plateau.best, plateau.wait) == (2.0, 2), "the rate fell after the third epoch"


def test_a_finished_training_is_not_begun_again(run: Path, data: Path) -> None:
    with pytest.raises(SidemanError, match="holds this training, finished"):
        train(data, CONFIG, run)
    assert not (run / "backup").exists()


def test_another_config_does_not_go_on_with_it(run: Path, data: Path) -> None:
    with pytest.raises(SidemanError, match="holds a training with other settings or data"):
        train(data, msgspec.structs.replace(CONFIG, units=33), run)


def test_keras_and_h5_hold_the_same_weights(run: Path) -> None:
    one, other = (LstmRun(run / name).network().get_weights() for name in ("best.keras", "best.h5"))
    assert len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    (run / "torn.keras").write_bytes((run / "best.keras").read_bytes()[:1000])
    with pytest.raises(SidemanError, match=r"torn.keras does not hold this network's weights"):
        LstmRun(run / "torn.keras").network()


def test_an_exported_bundle_plays_as_the_checkpoint_says(run: Path, data: Path, tmp_path: Path) -> None:
    from export.bundle import write_bundle
    from export.drums import load_subject

    manifest = write_bundle(load_subject(run, data, 1000), tmp_path / "b", "b", ["onnx", "int8"], lambda line: None)
    assert manifest.kind == "lstm" and manifest.sources[0].name == "us" and manifest.sources[0].pieces == 40
    assert manifest.parity["step"]["fp32"]["max_abs"] <= 1e-4
    assert manifest.parity["step"]["int8"]["kl_mean"] <= 0.01
    assert manifest.metrics["epochs"] == 2
    exported, checkpoint = load_model(Bundle.load(tmp_path / "b"), "fp32"), LstmRun(run).model()
    bars = DrumDataset.load(data / "validation.npz").piece(0).bars()
    controls = Controls(style="rock")
    np.testing.assert_allclose(
        exported.distributions(bars, controls), checkpoint.distributions(bars, controls), atol=1e-5
    )
    carry = exported.prime(bars, controls)
    bar, _ = exported.bar(bars, carry, Meter(), controls, np.random.default_rng(0))
    assert bar.masks.any()
