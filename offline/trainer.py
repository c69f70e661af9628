"""One training loop for every PyTorch model of Sideman: read it from top to bottom.

A model brings its network, its data as epochs of batches, a loss and a validation. The loop brings gradient
accumulation, mixed precision where the device has it, a schedule, averaged weights, early stopping, a CSV log, and
checkpoints from which a training that was interrupted goes on exactly: batches depend on (seed, epoch, index) alone and
the state of every random generator is kept.
"""

from __future__ import annotations

import copy
import csv
import math
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

from engines.errors import SidemanError

if TYPE_CHECKING:
    import torch

LAST, BEST = "last.pt", "best.pt"

MAY_CHANGE = {"epochs", "average", "minutes", "patience"}
"""Settings of a training that another resumes it with: to go on for longer, from where it ended."""


@dataclass(frozen=True, slots=True)
class TrainerConfig:
    """The knobs that are not the model's own."""

    epochs: int = 30  # times through the data; the schedule is stretched over them
    learning_rate: float = 2e-3  # highest, reached after the warm-up
    warmup: int = 100  # steps to reach it
    decay: float = 0.3  # last share of the training in which it falls to zero in a straight line
    weight_decay: float = 0.02  # AdamW's, on matrices only
    beta: float = 0.98  # AdamW's second: what stays a step of the mean square of the gradient
    clip: float = 1.0  # norm the gradient is cut to
    accumulate: int = 1  # batches to a step
    average: float = 0.998  # per step, how much of the averaged weights stays; these are what is validated and kept
    patience: int = 8  # epochs without a better validation before it stops; 0 never
    precision: str = "auto"  # auto, fp32, bf16, fp16; auto is bf16 where the device multiplies it natively
    minutes: float = 0.0  # stop after so much time, decayed or not; 0 never
    seed: int = 0  # of weights, order, dropout and augmentation


class Batches(Protocol):
    """One epoch. batch(i) depends on the epoch and i alone, so that a resumed training sees the same."""

    def __len__(self) -> int: ...

    def batch(self, index: int) -> Any:
        """Whatever the loss takes, on the device."""
        ...


@dataclass(frozen=True, slots=True)
class Task:
    """What is trained.

    epoch:    makes the data of an epoch, in a thread while the one before it is trained
    loss:     mean loss of a batch, in nats
    validate: figures of the averaged weights; "loss" decides which weights are best
    """

    network: torch.nn.Module
    epoch: Callable[[int], Batches]
    loss: Callable[[torch.nn.Module, Any], torch.Tensor]
    validate: Callable[[torch.nn.Module], dict[str, float]]


class Interrupted(Exception):  # noqa: N818 - it is no error
    """Ctrl-C, after the state was saved."""


class _Interrupt:
    """Ctrl-C as a question asked between two steps; a second one does not wait for the answer."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, *signal_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" is a GPU where there is one. Raises SidemanError if the machine lacks it."""
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SidemanError(f"this machine has no device {name!r} for training; --device auto takes one") from error
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The type that is multiplied in. Raises SidemanError for an unknown name."""
    import torch

    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if name in types:
        return types[name]
    if name != "auto":
        raise SidemanError(f"there is no precision {name!r}: auto, {', '.join(types)}")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


class Trainer:
    """Trains one task into a folder: log.csv, last.pt to go on from, best.pt with the best averaged weights."""

    def __init__(self, task: Task, config: TrainerConfig, folder: Path, device: torch.device, label: str = "") -> None:
        """label: a word before the progress line."""
        import torch

        self.task, self.config, self.folder, self.device, self.label = task, config, folder, device, label
        self.network = task.network.to(device)
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        matrices = [p for p in self.network.parameters() if p.ndim > 1]
        vectors = [p for p in self.network.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
            lr=config.learning_rate,
            betas=(0.9, config.beta),
            fused=True if device.type == "cpu" else None,  # a third of the time there
        )
        self.precision = choose_precision(config.precision, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision == torch.float16)
        # Where the training stands: everything here, and nothing else, is in last.pt.
        self.epoch, self.index, self.step = 0, 0, 0
        self.spent_s, self.summed, self.counted = 0.0, 0.0, 0
        self.best, self.stale, self.finished = math.inf, 0, False

    def run(self, resume: bool = False) -> dict[str, float]:
        """Train to the end; the figures of the best epoch. Raises Interrupted after Ctrl-C, when all is saved."""
        import torch

        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(self.config.seed)
        if resume and (self.folder / LAST).is_file():
            self._restore()
        figures: dict[str, float] = {"loss": self.best}
        with _Interrupt() as interrupt, ThreadPoolExecutor(1) as ahead:
            data: Future[Batches] | None = None
            while not self.finished and self.epoch < self.config.epochs:
                data = data or ahead.submit(self.task.epoch, self.epoch)
                batches = data.result()
                data = ahead.submit(self.task.epoch, self.epoch + 1) if self.epoch + 1 < self.config.epochs else None
                self._epoch(batches, interrupt)
                row = self._judge()
                if row["best"]:
                    figures = row
                self._save()
        print(file=sys.stderr)
        return figures

    def _epoch(self, batches: Batches, interrupt: _Interrupt) -> None:
        import torch

        config, total = self.config, len(batches)
        self.network.train()
        began, had_s = time.monotonic(), self.spent_s
        while self.index < total:
            group = range(self.index, min(self.index + config.accumulate, total))
            progress = (self.epoch + self.index / total) / config.epochs
            rate = config.learning_rate * min(1.0, (self.step + 1) / config.warmup, (1.0 - progress) / config.decay)
            for parameters in self.optimizer.param_groups:
                parameters["lr"] = rate
            losses = []
            for i in group:
                batch = batches.batch(i)
                with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
                    loss = self.task.loss(self.network, batch)
                self.scaler.scale(loss / len(group)).backward()  # type: ignore[no-untyped-call]
                losses.append(float(loss.detach()))
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.clip)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad(set_to_none=True)
            self._average()
            self.summed += sum(losses)
            self.counted += len(losses)
            self.step += 1
            self.index = group.stop
            self.spent_s = had_s + time.monotonic() - began
            self._progress(progress, total)
            if interrupt.asked:
                self._save()
                raise Interrupted

    def _average(self) -> None:
        import torch

        keep = min(self.config.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for mean, now in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1.0 - keep)

    def _judge(self) -> dict[str, float]:
        """Validate, log, keep the weights if they are the best, and decide whether to go on."""
        import torch

        with torch.no_grad():
            figures = self.task.validate(self.averaged)
        better = figures["loss"] < self.best
        self.stale = 0 if better else self.stale + 1
        if better:
            self.best = figures["loss"]
            _write(self.averaged.state_dict(), self.folder / BEST)
        row = {
            "epoch": self.epoch + 1, "step": self.step, "minutes": round(self.spent_s / 60, 2),
            "train_loss": self.summed / max(1, self.counted), **figures, "best": float(better),
            "learning_rate": self.optimizer.param_groups[0]["lr"], "memory_mb": _memory_mb(self.device),
        }  # fmt: skip
        self._log(row)
        self.epoch, self.index, self.summed, self.counted = self.epoch + 1, 0, 0.0, 0
        out_of_time = 0 < self.config.minutes * 60 <= self.spent_s
        self.finished = out_of_time or 0 < self.config.patience <= self.stale
        return row

    def _log(self, row: dict[str, float]) -> None:
        path = self.folder / "log.csv"
        new = not path.is_file() or self.epoch == 0
        with path.open("w" if new else "a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow({key: f"{value:.6g}" for key, value in row.items()})
        shown = "  ".join(f"{key} {row[key]:.4g}" for key in row if key not in ("epoch", "step", "learning_rate"))
        print(f"\r{self.label} epoch {row['epoch']}/{self.config.epochs}  {shown}", file=sys.stderr, flush=True)

    def _progress(self, progress: float, total: int, out: TextIO | None = None) -> None:
        out = out or sys.stderr
        if not out.isatty():
            return
        left_s = self.spent_s / max(progress, 1e-9) * (1.0 - progress)
        mean = self.summed / max(1, self.counted)
        line = f"{self.label} epoch {self.epoch + 1}  {self.index}/{total}  loss {mean:.4f}  {left_s / 60:.0f} min left"
        print(f"\r{line:<78}", end="", file=out, flush=True)

    def _save(self) -> None:
        import torch

        state = {
            "network": self.network.state_dict(), "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict(),
            "random": torch.get_rng_state(), "config": asdict(self.config),
            "place": [self.epoch, self.index, self.step, self.spent_s, self.summed, self.counted, self.best,
                      self.stale, self.finished],
        }  # fmt: skip
        if self.device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self.device)
        _write(state, self.folder / LAST)

    def _restore(self) -> None:
        import torch

        state = read_weights(self.folder / LAST)
        changed = [key for key, value in state["config"].items() if value != getattr(self.config, key, None)]
        if fixed := sorted(set(changed) - MAY_CHANGE):
            raise SidemanError(f"{self.folder} was begun with another {', '.join(fixed)}: resume with the same")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        (self.epoch, self.index, self.step, self.spent_s, self.summed, self.counted, self.best,
         self.stale, self.finished) = state["place"]  # fmt: skip
        if changed:  # a training that had ended may go on
            self.stale, self.finished = 0, False
        torch.set_rng_state(state["random"].cpu())
        if "random_cuda" in state:
            torch.cuda.set_rng_state(state["random_cuda"].cpu(), self.device)


def read_weights(path: Path) -> dict[str, Any]:
    """Tensors and plain values from a checkpoint, never code. Raises SidemanError for a file that is none."""
    import pickle

    import torch

    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise SidemanError(f"{path} is no checkpoint that can be read; train again") from error
    return state


def _write(state: dict[str, Any], path: Path) -> None:
    """Save and swap, so that an interrupted write leaves the old file."""
    import torch

    beside = path.with_suffix(".part")
    torch.save(state, beside)
    beside.replace(path)


def _memory_mb(device: torch.device) -> float:
    import torch

    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if sys.platform == "darwin" else peak / 1e3)
