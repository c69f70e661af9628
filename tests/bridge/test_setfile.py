"""A set is written back: what was turned and learned, in the user's own text."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.commands.init import TEMPLATE
from bridge.files.setfile import SavedPlayer, updated, write_set
from bridge.files.setread import parse_set
from bridge.set import LearnedSet, PlayerSet, Set, default_set
from engines.errors import SidemanError
from engines.music import Meter
from engines.parameter import Parameter, Parameters

HEAT = Parameter(name="temperature", kind="float", default=1.0, high=2.0)
SWING = Parameter(name="swing", kind="float", default=0.0)
LATE = Parameter(name="late", kind="choice", default="repeat", choices=("repeat", "rest"))

MINE = """\
# my set
tempo = 97.5  # slow

[inputs.keys]   # the little one
port = "Nano"

[players.drums]
hears = ["keys"]
parameters = { temperature = 0.7 }  # calm

[players.bass]
engine = "loopfile"
"""


def saved(set_: Set, **values: object) -> dict[str, SavedPlayer]:
    players = {}
    for name, config in set_.players.items():
        parameters = Parameters((HEAT, SWING, LATE))
        for parameter, value in (config.parameters | (values if name == "drums" else {})).items():
            if parameter in parameters:
                parameters.set(parameter, value)
        players[name] = SavedPlayer(config, config.bundle, parameters)
    return players


def again(text: str, learned: tuple[LearnedSet, ...] = (), tempo_bpm: float | None = None, **values: object) -> str:
    set_ = parse_set(text)
    return updated(text, tempo_bpm or set_.tempo_bpm, set_.meter, saved(set_, **values), learned)


def test_a_set_in_which_nothing_was_turned_is_left_as_it_was_written() -> None:
    assert again(MINE) == MINE
    template = TEMPLATE.format(name="set.toml")
    assert again(template) == template


def test_what_was_turned_is_read_back_and_comments_stay() -> None:
    text = again(MINE, tempo_bpm=132.0, temperature=1.25, late="rest", swing=0.30000001192092896)
    set_ = parse_set(text)
    assert set_.tempo_bpm == 132.0
    assert set_.players["drums"].parameters == {"temperature": 1.25, "late": "rest", "swing": 0.3}
    assert set_.players["bass"] == parse_set(MINE).players["bass"]
    for comment in ("# my set", "# slow", "# the little one"):
        assert comment in text


def test_a_value_that_is_back_at_its_default_is_written_where_it_was_said() -> None:
    assert parse_set(again(MINE, temperature=1.0)).players["drums"].parameters == {"temperature": 1.0}


def test_what_was_learned_replaces_the_table() -> None:
    first = (
        LearnedSet(input="keys", address="drums/temperature", control=74),
        LearnedSet(input="keys", address="drums/fill", note=36, channel=10),
    )
    text = again(MINE, first)
    assert parse_set(text).learned == first
    assert parse_set(again(text, first[1:])).learned == first[1:]
    assert again(again(text, ())) == again(text, ())
    assert parse_set(again(text, ())).learned == ()


def test_a_set_without_a_file_gets_one_that_plays_the_same() -> None:
    set_ = default_set()
    text = updated("", 140.0, Meter(7, 8), saved(set_, swing=0.5), ())
    back = parse_set(text)
    assert (back.tempo_bpm, back.meter) == (140.0, Meter(7, 8))
    assert back.players == {"drums": PlayerSet(parameters={"swing": 0.5})}


def test_a_player_of_the_command_line_is_written_with_its_outputs_but_the_loudspeaker() -> None:
    bass = PlayerSet(engine="loopfile", bundle="", outputs=("midi", "osc", "audio:unheard"), channel=2)
    players = {"bass": SavedPlayer(bass, "loops", Parameters(()))}
    back = parse_set(updated("", 120.0, Meter(), players, ())).players["bass"]
    assert back == PlayerSet(engine="loopfile", bundle="loops", channel=2)


def test_a_file_is_replaced_whole_and_only_if_it_is_a_set(tmp_path: Path) -> None:
    path = tmp_path / "set.toml"
    write_set(path, MINE)
    write_set(path, again(MINE, swing=0.5))
    assert parse_set(path.read_text()).players["drums"].parameters["swing"] == 0.5
    assert list(tmp_path.iterdir()) == [path]
    other = tmp_path / "pyproject.toml"
    other.write_text("[project]\n")
    with pytest.raises(SidemanError, match="pyproject"):
        write_set(other, MINE)
    assert other.read_text() == "[project]\n"
    with pytest.raises(SidemanError, match="cannot be written"):
        write_set(tmp_path / "nowhere" / "set.toml", MINE)


def test_a_text_that_is_broken_meanwhile_is_a_line() -> None:
    with pytest.raises(SidemanError, match="not valid TOML"):
        updated("tempo = = 3", 120.0, Meter(), {}, ())
