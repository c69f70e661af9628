"""`sideman export drums`: what it says to a mistake, and where its figures come from."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from engines.errors import SidemanError
from export import drums
from export.command import read_metrics


def parsed(*words: str) -> Any:
    parser = argparse.ArgumentParser()
    drums.add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["run", "-o", "b", "--formats", "onnx,gguf"], r"--formats onnx,gguf: of onnx, int8, torchscript"),
        (["run", "-o", "b", "--formats", "torchscript"], r"with onnx or int8 among them"),
        (["run", "-o", "b", "--steps", "10"], r"--steps 10: parity takes at least 1000"),
        (["nowhere", "-o", "b"], r"nowhere does not exist; give the folder that sideman train drums wrote"),
    ],
)
def test_a_mistake_is_named(words: list[str], reason: str) -> None:
    with pytest.raises(SidemanError, match=reason):
        drums.run(parsed(*words))


def test_a_folder_without_a_training_is_named(tmp_path: Path) -> None:
    for name in ("best.keras", "hparams.json"):
        (tmp_path / name).write_bytes(b"{}")
        with pytest.raises(SidemanError, match=r"hparams.json"):
            drums.load_subject(tmp_path, None, 1000)


def test_metrics_are_the_rows_of_the_bundle_s_name(tmp_path: Path) -> None:
    table = tmp_path / "metrics.csv"
    table.write_text("model,part,accuracy,note\nlstm,rest,0.5,\nunigram,rest,0.1,\nlstm,groove validation,0.625,a\n")
    found = read_metrics(table, "lstm")
    assert found == {"rest": {"accuracy": 0.5}, "groove validation": {"accuracy": 0.625, "note": "a"}}
    with pytest.raises(SidemanError, match=r"metrics.csv has no row of groove"):
        read_metrics(table, "groove")
    (tmp_path / "m.json").write_text('{"bits": 3}')
    assert read_metrics(tmp_path / "m.json", "x") == {"bits": 3}
    (tmp_path / "m.json").write_text("[]")
    with pytest.raises(SidemanError, match=r"m.json holds no metrics"):
        read_metrics(tmp_path / "m.json", "x")
