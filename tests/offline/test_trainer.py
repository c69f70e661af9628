"""The training loop: it learns, resumes exactly after Ctrl-C, stops early, and refuses what it cannot read."""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.errors import SidemanError

torch = pytest.importorskip("torch", reason="torch comes with the train extra")

from offline.trainer import (  # noqa: E402
    BEST,
    LAST,
    Interrupted,
    Task,
    Trainer,
    TrainerConfig,
    choose_device,
    read_weights,
)

CONFIG = TrainerConfig(epochs=4, learning_rate=0.05, warmup=2, accumulate=2, patience=0, precision="fp32", seed=3)
CPU = torch.device("cpu")


class Epoch:
    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return 7

    def batch(self, index: int) -> Any:
        x = torch.randn(16, 3, generator=torch.Generator().manual_seed(100 * self.number + index))
        return x, x @ torch.tensor([[1.0], [-2.0], [0.5]])


def task(at_step: Callable[[], None] = lambda: None) -> Task:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1))

    def loss(model: Any, batch: Any) -> Any:
        at_step()
        return (model(batch[0]) - batch[1]).square().mean()

    def validate(model: Any) -> dict[str, float]:
        x, y = Epoch(99).batch(0)
        return {"loss": float((model(x) - y).square().mean())}

    return Task(network, Epoch, loss, validate)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def test_it_learns_and_logs(tmp_path: Path) -> None:
    figures = Trainer(task(), CONFIG, tmp_path, CPU).run()
    losses = [float(row["loss"]) for row in rows(tmp_path)]
    assert len(losses) == 4
    assert losses[-1] < losses[0] / 2
    assert figures["loss"] == pytest.approx(min(losses), rel=1e-4)
    # 7 batches by two are 4 steps an epoch.
    assert rows(tmp_path)[-1]["step"] == "16"


def test_ctrl_c_and_resume_change_nothing(tmp_path: Path) -> None:
    Trainer(task(), CONFIG, tmp_path / "whole", CPU).run()
    calls = 0

    def interrupt() -> None:
        nonlocal calls
        calls += 1
        if calls == 11:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        Trainer(task(interrupt), CONFIG, tmp_path / "parts", CPU).run()
    assert len(rows(tmp_path / "parts")) == 1
    Trainer(task(), CONFIG, tmp_path / "parts", CPU).run(resume=True)
    whole, parts = (read_weights(tmp_path / name / LAST) for name in ("whole", "parts"))
    for part in ("network", "averaged"):
        for name, tensor in whole[part].items():
            assert torch.equal(tensor, parts[part][name]), name
    assert [row["loss"] for row in rows(tmp_path / "whole")] == [row["loss"] for row in rows(tmp_path / "parts")]


def test_it_stops_when_nothing_gets_better(tmp_path: Path) -> None:
    stuck = replace(task(), validate=lambda model: {"loss": 1.0})
    Trainer(stuck, replace(CONFIG, epochs=50, patience=2), tmp_path, CPU).run()
    assert len(rows(tmp_path)) == 3


def test_resuming_with_another_setting_is_refused(tmp_path: Path) -> None:
    Trainer(task(), replace(CONFIG, epochs=1), tmp_path, CPU).run()
    with pytest.raises(SidemanError, match="learning_rate"):
        Trainer(task(), replace(CONFIG, epochs=1, learning_rate=0.1), tmp_path, CPU).run(resume=True)


def test_a_training_that_ended_goes_on_for_longer(tmp_path: Path) -> None:
    Trainer(task(), replace(CONFIG, epochs=2), tmp_path, CPU).run()
    Trainer(task(), replace(CONFIG, epochs=5), tmp_path, CPU).run(resume=True)
    assert [row["epoch"] for row in rows(tmp_path)] == ["1", "2", "3", "4", "5"]


def test_a_file_that_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / BEST).write_bytes(b"not a checkpoint")
    with pytest.raises(SidemanError, match=r"best\.pt"):
        read_weights(tmp_path / BEST)


def test_an_unknown_device_is_a_users_mistake() -> None:
    with pytest.raises(SidemanError, match="toaster"):
        choose_device("toaster")
