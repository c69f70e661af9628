"""A set file: what it means, and one line for each mistake."""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from pathlib import Path

import pytest

from bridge.commands import init
from bridge.files.setread import _Top, load_set, parse_set
from bridge.messages.stage import OutputSetup, PlayerSetup
from bridge.set import PlayerSet, add_player, check_plugins, default_set
from engines.bundle import shipped_folder
from engines.errors import SidemanError
from engines.music import Meter
from engines.notes.roles import CHANNELS


def test_an_empty_file_is_the_default_set() -> None:
    from_file, default = parse_set(""), default_set()
    assert from_file.players == default.players == {"drums": PlayerSet()}
    assert (from_file.tempo_bpm, from_file.meter, from_file.osc_port) == (120.0, Meter(4, 4), 9720)


def test_players_keep_their_order_and_fields() -> None:
    text = """
    tempo = 97.5
    meter = "7/8"
    seed = 5
    [players.zoe]
    outputs = ["midi:Drum Module: 1", "osc"]
    channel = 3
    map = { kick = 60 }
    [players.abe]
    engine = "euclid"
    parameters = { pulses = 5 }
    """
    result = parse_set(text)
    assert list(result.players) == ["zoe", "abe"]
    assert (result.tempo_bpm, result.meter, result.seed) == (97.5, Meter(7, 8), 5)
    zoe, abe = result.players.values()
    assert zoe.output_setups() == (OutputSetup("midi", "Drum Module: 1"), OutputSetup("osc"))
    assert zoe.pitches() == {36: 60, 35: 60}
    assert abe.bundle == "" and abe.parameters == {"pulses": 5}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tmpo = 90", "set: there is no field tmpo; did you mean tempo?"),
        ("tempo = 1200", "tempo: takes a number <= 999.0, not 1200"),
        ("tempo = nan", "tempo: "),
        ("meter = '5'", "meter: '5' is not a metre; write it like 4/4 or 7/8"),
        ("seed = -1", "seed: takes a whole number >= 0, not -1"),
        ("seed = 123456789012345678901234567890", "seed: "),
        ("lan = 'yes'", "lan: takes true or false, not 'yes'"),
        ("sync = 'clock'", "sync: takes internal, link, jack or midi:PORT"),
        ("players = 3", "players: takes a table, not 3"),
        ("[players]", "players: a set has 1 to 16 of them"),
        ("[players.Drums]", "players: 'Drums' is no name for a player"),
        ("[players.system]", "players.system: system is the name of a part of Sideman"),
        ("[players.drums]\nchanel = 3", "players.drums: there is no field chanel; did you mean channel?"),
        ("[players.drums]\nchannel = 17", "players.drums.channel: takes a whole number <= 16, not 17"),
        (
            "[players.drums]\nruntime = 'fast'",
            "players.drums.runtime: takes auto or int4 or int8 or fp32",
        ),
        ("[players.drums]\ndevice = 'gpu'", "players.drums.device: takes auto or cpu or cuda or mps"),
        ("[players.drums]\noutputs = [3]", "players.drums.outputs[0]: takes text"),
        ("[players.drums]\noutputs = ['']", "players.drums.outputs: '' is no output"),
        ("[players.drums.map]\nkik = 36", "players.drums.map: there is no instrument kik; did you mean kick?"),
        ("[players.drums.map]\nkick = 128", "players.drums.map: takes a whole number <= 127"),
        ("[players.drums]\nhears = ['keys']", "players.drums.hears: there is no input keys; there are none"),
        ("[players.a]\nhears = ['b']\n[players.b]", "players.a.hears: there is no input b; there are none; another"),
        ("[players.a]\nhears = ['player:a']\n[players.b]", "players.a.hears: there is no other player a; there are b"),
        ("[players.a.channels]\nbas = 2", "players.a.channels: there is no seat bas; did you mean bass?"),
        ("[players.a.channels]\nbass = 0", "players.a.channels: takes a whole number >= 1"),
        ("[players.a.programs]\nbass = 128", "players.a.programs: takes a whole number <= 127"),
        ("[players.a]\nprograms = 'GS'", "players.a.programs: takes \"gm\" or a table such as { piano = 4 }, not 'GS'"),
        ("[players.drums.parameters]\nswing = [1]", "players.drums.parameters: takes"),
        ("tempo =", "not valid TOML"),
        ("a = " + "[" * 5000, "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_field(text: str, says: str) -> None:
    with pytest.raises(SidemanError) as caught:
        parse_set(text)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_seats_have_their_channels_and_programs_where_the_set_says_nothing_else() -> None:
    plain, told, general = parse_set("""
    [players.a]
    [players.b]
    channel = 1
    channels = { bass = 2, drums = 16 }
    programs = { piano = 4 }
    [players.c]
    programs = "gm"
    """).players.values()
    assert plain.setup("a") == PlayerSetup("a", plain.output_setups(), 10, CHANNELS, {})
    setup = told.setup("b")
    assert (setup.channel, setup.channels[:3], setup.programs) == (1, (16, 2, 1), {3: 4})
    assert setup.channels[3:] == CHANNELS[3:]
    assert general.setup("c").programs[2] == 33 and 1 not in general.setup("c").programs


def test_a_player_hears_inputs_and_other_players() -> None:
    text = "[inputs.keys]\n[players.a]\nhears = ['keys', 'player:b']\n[players.b]\nhears = ['player:a']"
    first, second = parse_set(text).players.values()
    assert (first.heard_inputs(), first.heard_players()) == (("keys",), ("b",))
    assert (second.heard_inputs(), second.heard_players()) == ((), ("a",))


def test_a_bundle_says_which_engine_plays_it(tmp_path: Path) -> None:
    manifest = json.loads((shipped_folder() / "groove" / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"engine": "notes"}))
    text = f"[players.keys]\nbundle = '{tmp_path}'\n[players.drums]\nbundle = 'lstm'\n[players.gone]\nbundle = 'gone'"
    players = parse_set(text).players
    assert [player.engine for player in players.values()] == ["notes", "drums", "drums"]


def test_a_file_that_cannot_be_a_set(tmp_path: Path) -> None:
    with pytest.raises(SidemanError, match="there is no set file"):
        load_set(tmp_path / "none.toml")
    with pytest.raises(SidemanError, match="cannot be read"):
        load_set(tmp_path)
    binary = tmp_path / "song.mid"
    binary.write_bytes(b"MThd\x00\xff\xfe")
    with pytest.raises(SidemanError, match="not text"):
        load_set(binary)
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * (1 << 20) + b"##")
    with pytest.raises(SidemanError, match="is over"):
        load_set(huge)


def test_unknown_engines_and_outputs_are_named() -> None:
    check_plugins(parse_set(""))
    with pytest.raises(SidemanError, match=r"players.drums.engine: there is no engine drum; did you mean drums\?"):
        check_plugins(parse_set("[players.drums]\nengine = 'drum'"))
    with pytest.raises(SidemanError, match=r"players.drums.outputs: there is no output mdi; did you mean midi\?"):
        check_plugins(parse_set("[players.drums]\noutputs = ['mdi:X']"))


def test_players_are_added_under_names_that_can_be_addresses() -> None:
    both = add_player(default_set(), "perc", PlayerSet(bundle="lstm"))
    assert list(both.players) == ["drums", "perc"]
    with pytest.raises(SidemanError, match="transport"):
        add_player(both, "transport", PlayerSet())


def test_init_writes_a_set_that_loads_names_every_field_and_is_the_default(tmp_path: Path) -> None:
    file = tmp_path / "my set.toml"
    parser = argparse.ArgumentParser()
    init.add_arguments(parser)
    assert init.run(parser.parse_args([str(file)])) == 0
    loaded, default = load_set(file), default_set()
    assert (loaded.tempo_bpm, loaded.meter, loaded.osc_port) == (default.tempo_bpm, default.meter, default.osc_port)
    player = loaded.players["drums"]
    assert player.output_setups() == default.players["drums"].output_setups()
    assert all(pitch in player.pitches() for pitch in (36, 38, 51))
    text = file.read_text()
    everything = re.sub(r"^# (\[|[a-z]+ = )", r"\1", text, flags=re.MULTILINE)
    table = tomllib.loads(everything)
    assert set(table) == set(_Top.__struct_fields__)
    assert parse_set(everything).learned[0].control == 74
    assert set(table["players"]["drums"]) == set(PlayerSet.__struct_fields__)
    with pytest.raises(SidemanError, match="--force"):
        init.run(parser.parse_args([str(file)]))


def test_the_parameters_init_names_are_the_drum_engine_s(tmp_path: Path) -> None:
    from engines.drums.engine import parameters_for

    table = {parameter.name: parameter for parameter in parameters_for(("rock",))}
    text = init.TEMPLATE.format(name="x").replace("# kick_", "kick_")
    for name, value in parse_set(text).players["drums"].parameters.items():
        assert table[name].check(value) == table[name].default
