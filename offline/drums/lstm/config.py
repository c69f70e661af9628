"""LstmConfig: what a training of the seed's LSTM is told, as a YAML file of offline/drums/configs or of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from engines.errors import SidemanError

FOLDER = Path(__file__).parent.parent / "configs"


class LstmConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One training.

    sources:         only pieces whose source starts with one of these words; none: all
    vocab_cap:       masks that are tokens of their own; the others are UNK
    context_bars:    bars of a training sequence. 1, the seed's, starts every bar from nothing; with more the network
                     plays on from what it has heard
    embedding:       width of token and position embeddings and of the style projection, which are added
    units:           of each of the two LSTM layers
    dropout:         before, between and after them
    label_smoothing: probability spread evenly over all tokens in what is to be said
    swap_prob:       share of tokens that change places with the next one in what the network reads (augmentation)
    style_drop:      share of sequences whose style is hidden, so that "any" is learned too
    batch_steps:     sixteenths in a batch
    epochs, minutes: whichever ends first; 0 minutes is no limit
    plateau, patience: epochs without a better validation loss before the learning rate is halved, and the end
    """

    sources: tuple[str, ...] = ()
    vocab_cap: int = 128
    context_bars: int = 1
    embedding: int = 128
    units: int = 384
    dropout: float = 0.35
    label_smoothing: float = 0.1
    swap_prob: float = 0.05
    style_drop: float = 0.2
    batch_steps: int = 2048
    learning_rate: float = 1e-3
    epochs: int = 60
    minutes: float = 0.0
    plateau: int = 2
    patience: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        """Raise ValueError for a value out of its range."""
        ranges = {
            "vocab_cap": (1, 512), "context_bars": (1, 64), "embedding": (1, 4096), "units": (1, 4096),
            "dropout": (0, 0.95), "label_smoothing": (0, 0.9), "swap_prob": (0, 1), "style_drop": (0, 1),
            "batch_steps": (16, 1 << 20), "learning_rate": (1e-8, 1), "epochs": (1, 100_000), "minutes": (0, 1e6),
            "plateau": (1, 100_000), "patience": (1, 100_000), "seed": (0, 1 << 31),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)}; it goes from {low} to {high}")


def presets() -> tuple[str, ...]:
    """The configurations that come with Sideman."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load_config(name_or_path: str) -> LstmConfig:
    """A preset by name or a YAML file by path. Raises SidemanError, naming the field that is wrong."""
    import yaml

    path = FOLDER / f"{name_or_path}.yaml" if name_or_path in presets() else Path(name_or_path)
    if not path.is_file():
        raise SidemanError(f"there is no preset {name_or_path}: give a YAML file, or one of {', '.join(presets())}")
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise SidemanError(f"{path} is not YAML: {' '.join(str(error).split())[:200]}") from error
    return parse_config(table or {}, str(path))


def parse_config(table: Any, where: str) -> LstmConfig:
    """A configuration from a plain table, such as hparams.json holds. Raises SidemanError naming `where`."""
    try:
        return msgspec.convert(table, LstmConfig)
    except (msgspec.ValidationError, ValueError) as error:
        raise SidemanError(f"{where}: {error}; offline/drums/lstm/config.py says what there is") from error
