from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("symusic", reason="needs the extra train")
from symusic import Note, Score, Tempo, TimeSignature, Track

from engines.errors import SidemanError
from offline.data.midi import UnusableError
from offline.notes.tokens import NAMES_FILE, OFFSET_FILE, SPECIAL_FILE, Tokeniser

GENRES = ("funk_soul", "jazz")


def song(bars: int = 4, numerator: int = 4, denominator: int = 4) -> bytes:
    score = Score(480)
    score.time_signatures.append(TimeSignature(0, numerator, denominator))
    score.tempos.append(Tempo(0, 120.0))
    length = 480 * 4 * numerator // denominator
    bass, drums = Track(program=33), Track(program=0, is_drum=True)
    for bar in range(bars):
        bass.notes.append(Note(bar * length, 480, 40 + bar % 12, 80))
        drums.notes.append(Note(bar * length + 240, 60, 38, 100))
    score.tracks.extend([bass, drums])
    data: bytes = score.dumps_midi()
    return data


def test_the_vocabulary_is_near_the_seeds_and_every_name_is_there_once() -> None:
    tokeniser = Tokeniser(1024, GENRES)
    assert len(set(tokeniser.names)) == len(tokeniser.names)
    assert 1_350 <= len(tokeniser.names) <= 1_500
    assert tokeniser.names[tokeniser.first_bar : tokeniser.first_bar + 2] == ("Bar_0", "Bar_1")
    assert tokeniser.names[tokeniser.first_genre :] == ("Genre_funk_soul", "Genre_jazz")


def test_a_file_comes_back_from_its_tokens() -> None:
    tokeniser = Tokeniser(8, GENRES)
    body, bars = tokeniser.encode(song())
    whole = tokeniser.sequence(body, "jazz")
    names = [tokeniser.names[i] for i in whole]
    assert names[:4] == ["BOS_None", "Genre_jazz", "Bar_0", "TimeSig_4/4"]
    assert names[-1] == "EOS_None"
    assert [name for name in names if name.startswith("Bar_")] == ["Bar_0", "Bar_1", "Bar_2", "Bar_3"]
    assert bars == 4
    back = Score.from_midi(tokeniser.decode(whole)).resample(480)
    notes = {(t.program, t.is_drum): [(n.time, n.pitch) for n in t.notes] for t in back.tracks}
    assert notes == {
        (33, False): [(0, 40), (1920, 41), (3840, 42), (5760, 43)],
        (0, True): [(240 + 1920 * bar, 38) for bar in range(4)],
    }


def test_seven_eight_has_a_token() -> None:
    tokeniser = Tokeniser(8)
    assert "TimeSig_7/8" in [tokeniser.names[i] for i in tokeniser.encode(song(2, 7, 8))[0]]


def test_bars_without_a_number_are_cut_and_told() -> None:
    few, many = Tokeniser(3, GENRES), Tokeniser(100, GENRES)
    body, bars = few.encode(song(20))
    assert bars == 20
    assert max(body) == few.first_bar + 2
    longer, _ = many.encode(song(20))
    assert few.sequence(longer, "jazz").tolist() == few.sequence(body, "jazz").tolist()


def test_what_miditok_cannot_read_says_so() -> None:
    with pytest.raises(UnusableError, match="no tokens"):
        Tokeniser(8).encode(b"MThd")


def test_a_genre_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(SidemanError, match=r"no genre 'polka'.*funk_soul, jazz"):
        Tokeniser(8, GENRES).sequence(np.zeros(0, np.uint16), "polka")


def test_the_files_of_a_tokeniser_are_read_again_and_say_all_without_miditok(tmp_path: Path) -> None:
    tokeniser = Tokeniser(64, GENRES)
    tokeniser.save(tmp_path)
    assert Tokeniser.load(tmp_path) == tokeniser
    names = json.loads((tmp_path / NAMES_FILE).read_text())
    offsets = json.loads((tmp_path / OFFSET_FILE).read_text())
    special = json.loads((tmp_path / SPECIAL_FILE).read_text())
    assert offsets["vocabulary"] == len(names)
    assert (names[offsets["bars"]], names[offsets["genres"]]) == ("Bar_0", "Genre_funk_soul")
    assert names[special["EOS"]] == "EOS_None"
    assert names[special["genres"]["jazz"]] == "Genre_jazz"


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SidemanError, match="holds no tokens"):
        Tokeniser.load(tmp_path)
    Tokeniser(64, GENRES).save(tmp_path)
    names = json.loads((tmp_path / NAMES_FILE).read_text())
    (tmp_path / NAMES_FILE).write_text(json.dumps(["Pitch_0", *names[1:]]))
    with pytest.raises(SidemanError, match="another vocabulary"):
        Tokeniser.load(tmp_path)
    (tmp_path / NAMES_FILE).write_text("[1, 2]")
    with pytest.raises(SidemanError, match="holds no tokens"):
        Tokeniser.load(tmp_path)
