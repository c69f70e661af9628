"""From a sound font to a steered bundle that plays and is judged, with the documented commands and little of each."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from bridge.cli import main
from engines.bundle import Bundle
from engines.engine import Request
from engines.errors import SidemanError
from engines.music import Meter
from engines.parameter import Parameters
from engines.registry import opened

NEEDS = 'needs the train extra: pip install "sideman[train]"'
for module in ("torch", "transformers", "onnxscript", "pyarrow", "sklearn", "soundfile"):
    pytest.importorskip(module, reason=NEEDS)

from offline.data.fluidsynth import find_font  # noqa: E402
from offline.steering.judge.basicpitch import network_file  # noqa: E402

QUICK = ("--preset", "quick", "--device", "cpu")
DECODER = ("epochs=1", "steps=8", "batch=2", "judged=4")


@pytest.mark.timeout(400)  # graphs are exported: slow on a machine that does other work
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_from_a_sound_font_to_a_steered_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        find_font(None)
        network_file()
    except SidemanError as error:
        pytest.skip(str(error))

    def command(*words: object) -> str:
        assert main([str(word) for word in words]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    concepts, sound = tmp_path / "concepts", tmp_path / "sound"
    codec, run, bundle = tmp_path / "codec", tmp_path / "run", tmp_path / "bundle"
    found, judged = tmp_path / "found", tmp_path / "judged"
    command("prepare", "steering", "-o", concepts, "--sets", "notes", "--size", 96, "--workers", 0, "--quiet")
    command("prepare", "musicgen", "--concepts", concepts, "-o", sound, "--workers", 0, "--quiet")
    command("train", "codec", sound, "-o", codec, *QUICK)
    changed = [word for setting in DECODER for word in ("--set", setting)]
    command("train", "musicgen", sound, "--codec", codec, "-o", run, *QUICK, *changed)
    command(
        "train", "steering", concepts, "--model", run / "model", "--concept", "note:C", "--clips", 12, "--trials", 1,
        "--iterations", 1, "--cache", tmp_path / "cache", "-o", found,
    )  # fmt: skip
    fader = f"C={found / 'note-C.rfm.safetensors'},coefficient=.4"
    command("export", "musicgen", run / "model", "-o", bundle, "--formats", "int8", "--fader", fader)
    assert {source.name for source in Bundle.load(bundle).manifest.sources} == {"concepts"}

    wav = tmp_path / "sound.wav"
    command("generate", "musicgen", bundle, "--prompt", "a C piano note", "--seconds", 1, "--seed", 1,
            "--direction", "C=.7", "-o", wav)  # fmt: skip
    first = wav.read_bytes()
    command("generate", "musicgen", bundle, "--prompt", "a C piano note", "--seconds", 1, "--seed", 1,
            "--direction", "C=-.7", "-o", wav)  # fmt: skip
    assert wav.read_bytes() != first

    engine, _ = opened("musicgen", bundle)
    values = Parameters(engine.parameters)
    values.set("c", 1.0)
    bar = Request(
        bar=0, start_tick=0, length_ticks=3840, meter=Meter(), tempo_bpm=125.0, parameters=values.snapshot(), seed=1
    )
    loop, _ = engine.generate(bar, engine.start(1))
    assert loop.frames.shape == (round(1.92 * 16_000), 1) and np.isfinite(loop.frames).all()

    command(
        "evaluate", "steering", bundle, "--directions", found, "--data", concepts, "--strengths", ".3", "--clips", 4,
        "--known", 4, "--seconds", 2, "--workers", 1, "--cache", tmp_path / "judging", "-o", judged,
    )  # fmt: skip
    with (judged / "steering.csv").open(newline="") as file:
        methods = {row["method"] for row in csv.DictReader(file)}
    assert methods == {"unsteered", "rfm", "diffmean", "ridge", "random"}
    assert json.loads((found / "note-C.rfm.json").read_text())["concept"] == "note:C"
