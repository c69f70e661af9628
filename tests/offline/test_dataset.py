from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.drums.bar import masks_of
from engines.errors import SidemanError
from engines.music import Meter
from offline.drums.dataset import DrumDataset, Piece
from offline.drums.vocabulary import Vocabulary

COMMON = Meter()


def piece(masks: list[int], meter: Meter = COMMON, **labels: object) -> Piece:
    on = (np.array(masks, np.uint16)[:, None] >> np.arange(9)) & 1 != 0
    velocity = np.where(on, 90, 0).astype(np.uint8)
    offset = np.where(on, -12, 0).astype(np.int16)
    assert (masks_of(on) == masks).all()
    return Piece(np.array(masks, np.uint16), velocity, offset, meter, 120.0, **labels)  # type: ignore[arg-type]


TWO = [
    piece([1, 0, 4, 0] * 8, fill=False, style="rock", group="g", path="a.mid", source="s", licence="MIT", nc=True),
    piece([3] * 12, Meter(3, 4)),
]


def test_pieces_come_back_as_they_went_in(tmp_path: Path) -> None:
    DrumDataset.of(TWO).save(tmp_path / "train.npz")
    back = list(DrumDataset.load(tmp_path / "train.npz").pieces())
    for one, other in zip(TWO, back, strict=True):
        for name in ("masks", "velocity", "offset"):
            before, after = getattr(one, name), getattr(other, name)
            assert before.dtype == after.dtype
            assert (before == after).all()
        for name in ("meter", "bpm", "fill", "style", "group", "path", "source", "licence", "nc"):
            assert getattr(one, name) == getattr(other, name)
    assert [path.name for path in tmp_path.iterdir()] == ["train.npz"]


def test_bars_are_the_piece_cut_at_its_metre() -> None:
    bars = TWO[1].bars()
    assert [bar.meter for bar in TWO[0].bars()] == [Meter(), Meter()]
    assert len(bars) == TWO[1].bar_count == 1
    assert bars[0].masks.tolist() == [3] * 12


def test_select_by_metre_and_by_index() -> None:
    dataset = DrumDataset.of(TWO)
    assert [p.meter for p in dataset.select(dataset.in_meter(Meter(3, 4))).pieces()] == [Meter(3, 4)]
    assert next(dataset.select(np.array([0])).pieces()).style == "rock"
    with pytest.raises(SidemanError):
        dataset.select(dataset.in_meter(Meter(7, 8)))


@pytest.mark.parametrize(
    "change",
    [
        {"masks": np.zeros(44, np.int64)},
        {"velocity": np.zeros((44, 9), np.uint8)},
        {"offset": np.full((44, 9), 500, np.int16)},
        {"piece_start": np.array([0, 30, 44])},
        {"piece_meter": np.array([[4, 4], [0, 4]], np.int16)},
        {"piece_bpm": np.array([120, np.nan], np.float32)},
        {"piece_style": np.array([None, None])},
    ],
)
def test_a_damaged_data_set_is_refused_by_name(tmp_path: Path, change: dict[str, np.ndarray]) -> None:
    dataset = DrumDataset.of(TWO)
    arrays = {name: getattr(dataset, name) for name in DrumDataset.__dataclass_fields__} | change
    np.savez(tmp_path / "train.npz", **arrays)
    with pytest.raises(SidemanError, match=r"train\.npz is not a drum data set"):
        DrumDataset.load(tmp_path / "train.npz")


def test_a_missing_data_set_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(SidemanError, match="sideman prepare drums"):
        DrumDataset.load(tmp_path / "train.npz")


def test_vocabulary_keeps_the_most_frequent_and_comes_back(tmp_path: Path) -> None:
    masks = np.array([0] * 5 + [7] * 3 + [2] * 3 + [9], np.uint16)
    vocabulary = Vocabulary.of(masks, cap=3)
    assert vocabulary.masks == (0, 2, 7)
    assert vocabulary.counts == (1, 5, 3, 3)
    tokens = vocabulary.token_of_mask()
    assert [tokens[m] for m in (0, 2, 7, 9, 511)] == [1, 2, 3, 0, 0]
    vocabulary.save(tmp_path / "vocab_topN.json")
    assert Vocabulary.load(tmp_path / "vocab_topN.json") == vocabulary


@pytest.mark.parametrize("text", ["{}", "[1]", '{"unk_id": 0, "id2bitmask": [null, 600]}', "not json"])
def test_a_damaged_vocabulary_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(SidemanError, match="is not a vocabulary"):
        Vocabulary.load(tmp_path / "v.json")
