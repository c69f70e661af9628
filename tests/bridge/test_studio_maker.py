"""What the studio makes: a picture, a sound and a MIDI file of the bars that were wished for; mistakes in one line."""

from pathlib import Path
from xml.etree import ElementTree

import mido
import pytest
import soundfile

from bridge.studio.maker import Maker, Wish
from engines.errors import SidemanError


@pytest.fixture(scope="module")
def groove() -> Maker:
    return Maker.opened("groove")


def heard(path: Path) -> int:
    return sum(m.type == "note_on" and m.velocity > 0 for track in mido.MidiFile(path).tracks for m in track)


def test_bars_come_as_a_picture_a_sound_and_midi(groove: Maker, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    take = groove.make(Wish(bars=2, tempo_bpm=240.0, seed="3"), tmp_path, lambda *done: told.append(done))
    assert take.midi is not None
    picture = ElementTree.fromstring(take.picture)  # noqa: S314 - our own
    marks = [each for each in picture.iter() if each.get("class") == "note"]
    assert len(marks) == heard(take.midi) > 4
    assert "seed 3" in take.about and "2 bars" in take.about
    assert soundfile.info(take.wav).duration > 2.0
    assert told[-1] == (2, 2)


def test_the_same_seed_makes_the_same_bars(groove: Maker, tmp_path: Path) -> None:
    first, again, other = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    for folder, seed in ((first, "7"), (again, "7"), (other, "8")):
        folder.mkdir()
        groove.make(Wish(bars=2, seed=seed), folder, lambda *_: None)
    assert (first / "groove-7.mid").read_bytes() == (again / "groove-7.mid").read_bytes()
    assert (first / "groove-7.mid").read_bytes() != (other / "groove-8.mid").read_bytes()


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (Wish(bars=0), "bars takes a number from 1 to 64"),
        (Wish(seed="one"), "the seed takes a whole number"),
        (Wish(meter="4/"), "is not a metre"),
        (Wish(tempo_bpm=5000.0), "the tempo takes a number"),
        (Wish(infill="2"), "give a MIDI file as well"),
        (Wish(values={"style": "polka"}), "style takes one of"),
    ],
)
def test_a_mistake_is_one_line(groove: Maker, tmp_path: Path, wish: Wish, reason: str) -> None:
    with pytest.raises(SidemanError, match=reason):
        groove.make(wish, tmp_path, lambda *_: None)
    assert not list(tmp_path.iterdir())
