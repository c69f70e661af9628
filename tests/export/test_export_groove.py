"""The groove model with weights nobody trained, from a training's folder through every format into a bundle."""

import pytest

from engines.bundle import Bundle
from export.bundle import write_bundle
from export.drums import load_subject

torch = pytest.importorskip("torch", reason="torch comes with the train extra")
pytest.importorskip("onnxscript", reason="onnxscript comes with the train extra")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    from engines.drums.features import FEATURE_VERSION
    from offline.drums.groove.config import FEEL_FOLDER, STEP_FOLDER, GrooveConfig, write_hparams
    from offline.drums.groove.train import humaniser_network, step_network
    from offline.trainer import BEST

    folder = tmp_path_factory.mktemp("groove")
    config = GrooveConfig(width=32, feel_width=32)
    facts = {
        "feature_version": FEATURE_VERSION,
        "styles": ["funk", "jazz"],
        "density_quantiles": [i / 10 for i in range(21)],
        "sources": [{"name": "nobody", "licence": "CC0-1.0", "pieces": 0}],
    }
    write_hparams(folder / "run", config, facts)
    torch.manual_seed(0)
    for network, name in ((step_network(config, 2), STEP_FOLDER), (humaniser_network(config, 2), FEEL_FOLDER)):
        (folder / "run" / name).mkdir()
        torch.save(network.state_dict(), folder / "run" / name / BEST)
    subject = load_subject(folder / "run", None, 1000)
    write_bundle(subject, folder / "bundle", "untrained", ["onnx", "int8", "torchscript"], lambda line: None)
    return Bundle.load(folder / "bundle")


def test_both_graphs_say_what_the_checkpoint_says(bundle: Bundle) -> None:
    assert bundle.manifest.kind == "groove" and bundle.manifest.licence == "CC0-1.0"
    assert bundle.variants() == ("int8", "fp32", "torchscript")
    for graph in ("step", "humaniser"):
        parity = bundle.manifest.parity[graph]
        assert all(parity[variant]["steps"] >= 1000 for variant in ("fp32", "int8", "torchscript"))
        assert max(parity["fp32"]["max_abs"], parity["torchscript"]["max_abs"]) <= 1e-4
        assert 0.0 < parity["int8"]["kl_mean"] <= 0.01
        assert parity["int8"]["products"]["MatMulInteger"] >= 1


def test_onnx_and_torchscript_play_the_same_bars(bundle: Bundle) -> None:
    found = bundle.manifest.parity["same_bars"]
    assert found["bars"] == 64 and found["different"] == 0 and found["same"] + found["ties"] == 64
