"""The seed's LSTM before TensorFlow: its configurations, its sequences, and the touch of the kit."""

from pathlib import Path

import numpy as np
import pytest

from engines.errors import SidemanError
from engines.music import Meter
from offline.drums.dataset import DrumDataset, Piece
from offline.drums.lstm.config import load_config, presets
from offline.drums.lstm.data import BAR, Corpus, chosen_pieces, feel_of, styles_of, swapped
from offline.drums.vocabulary import Vocabulary


def piece(masks: list[int], style: str = "rock", source: str = "Groove MIDI Dataset", offset: int = 0) -> Piece:
    line = np.array(masks, np.uint16)
    kick = (line[:, None] >> np.arange(9) & 1) > 0
    velocity = np.where(kick, 80, 0).astype(np.uint8)
    return Piece(line, velocity, np.where(kick, offset, 0).astype(np.int16), Meter(), 120.0, style=style, source=source)


def test_the_seed_s_three_published_runs_are_presets() -> None:
    pytest.importorskip("yaml", reason="PyYAML comes with the train extra")
    rows = {"baseline": (0.05, 0.30, 166), "tuned": (0.10, 0.35, 128), "extended": (0.10, 0.35, 128)}
    for name, row in rows.items():
        config = load_config(name)
        assert (config.label_smoothing, config.dropout, config.vocab_cap) == row
        assert config.context_bars == 1 and config.units == 384 and config.sources == ("Groove MIDI Dataset",)
    assert {*rows, "context", "quick"} == set(presets())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("units: many", r"units"),
        ("unit: 384", r"unit`"),
        ("dropout: 1.5", r"dropout is 1.5; it goes from 0 to 0.95"),
        ("- 1", r"object"),
        ("units: [", r"is not YAML"),
    ],
)
def test_a_wrong_config_names_the_field(tmp_path: Path, text: str, reason: str) -> None:
    pytest.importorskip("yaml", reason="PyYAML comes with the train extra")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(SidemanError, match=reason) as caught:
        load_config(str(tmp_path / "mine.yaml"))
    assert "mine.yaml" in str(caught.value)
    with pytest.raises(SidemanError, match=r"there is no preset loud: .* tuned"):
        load_config("loud")


def test_sequences_hold_every_step_once_and_start_with_the_start() -> None:
    vocabulary = Vocabulary((1, 2, 4), (0, 0, 0, 0))
    lines = [[1, 2, 4, 8] * 4 * bars for bars in (1, 4, 7)]
    corpus = Corpus.of([piece(line) for line in lines], vocabulary, ("any", "rock"))
    tokens = np.concatenate([corpus.pieces[i] for i in range(3)])
    assert set(tokens.tolist()) == {0, 1, 2, 3}
    for random in (None, np.random.default_rng(0)):
        cut = corpus.sequences(3, random)
        assert cut.say.shape[1] == 3 * BAR
        known = cut.weight > 0
        assert np.array_equal(cut.say[known], tokens)
        assert (cut.read[:, 0] == len(vocabulary)).all()
        assert np.array_equal(cut.read[:, 1:][known[:, 1:]], cut.say[:, :-1][known[:, 1:]])
        assert (cut.style == 1).all() and (known.sum(axis=1) % BAR == 0).all()


def test_cuts_fall_elsewhere_in_another_epoch() -> None:
    corpus = Corpus.of([piece([1] * BAR * 9)], Vocabulary((1,), (0, 0)), ("any",))
    firsts = {int(corpus.sequences(4, np.random.default_rng(i)).weight[0].sum()) // BAR for i in range(40)}
    assert firsts == {1, 2, 3, 4}


def test_swapping_disturbs_neighbours_in_what_is_read_and_no_start() -> None:
    read = np.tile(np.arange(33, dtype=np.int32), (50, 1))
    assert np.array_equal(swapped(read, 0.0, np.random.default_rng(0)), read)
    out = swapped(read, 0.05, np.random.default_rng(0))
    assert (np.sort(out, axis=1) == read).all() and (out[:, 0] == 0).all()
    assert 0.05 < (out != read).mean() < 0.15
    assert (read == np.arange(33)).all()


def test_only_commercial_friendly_common_time_of_the_asked_sources_is_taken() -> None:
    waltz = Piece(
        np.ones(12, np.uint16), np.eye(1, 9, dtype=np.uint8).repeat(12, 0), np.zeros((12, 9), np.int16),
        Meter(3, 4), 120.0, source="Groove",
    )  # fmt: skip
    dataset = DrumDataset.of([piece([1] * BAR), piece([1] * BAR, source="MMA"), waltz])
    assert [each.source for each in chosen_pieces(dataset, ["Groove"], "here")] == ["Groove MIDI Dataset"]
    assert len(chosen_pieces(dataset, [], "here")) == 2
    with pytest.raises(SidemanError, match=r"here has no 4/4 piece from Ludwig"):
        chosen_pieces(dataset, ["Ludwig"], "here")


def test_a_style_with_few_pieces_is_any() -> None:
    pieces = [piece([1] * BAR, style=style) for style in ["rock"] * 8 + ["jazz"] * 9 + ["polka"] * 7 + [""] * 20]
    assert styles_of(pieces) == ("any", "jazz", "rock")


def test_feel_is_the_median_of_what_people_played() -> None:
    played = [piece([1, *[0] * 7, 1, *[0] * 7], offset=-12) for _ in range(30)]
    programmed = [piece([3] * BAR) for _ in range(90)]
    velocity, offset = feel_of([*played, *programmed])
    assert velocity.shape == offset.shape == (16, 9)
    assert offset[0, 0] == offset[8, 0] == offset[5, 0] == -12, "a place without hits takes the instrument's median"
    assert velocity[0, 0] == 80 and velocity[0, 1] == 95, "an instrument that was never played"
