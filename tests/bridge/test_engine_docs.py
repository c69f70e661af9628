"""docs/ENGINES.md shows the example engine as it is, and docs/OSC.md every address that there is."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from bridge.daemon import Daemon, LiveOptions
from bridge.players.policy import PLAYER_PARAMETERS
from bridge.set import PlayerSet, Set
from bridge.terminal.view import LineView
from engines.drums.engine import parameters_for
from engines.music import DRUMS
from engines.parameter import RESERVED_NAMES

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests/bridge/example_engine"


def test_the_example_is_shown_whole_and_is_at_most_sixty_lines() -> None:
    shown = (ROOT / "docs/ENGINES.md").read_text()
    texts = [(EXAMPLE / name).read_text() for name in ("pyproject.toml", "euclid.py")]
    assert all(text in shown for text in texts)
    assert sum(len(text.splitlines()) for text in texts) <= 60
    assert all(name in shown for name in RESERVED_NAMES)


@pytest.fixture
def addresses() -> list[str]:
    """Every address of a set with one player, as the daemon makes them."""
    player = PlayerSet(engine="drums", bundle="")
    daemon = Daemon(Set(players={"drums": player}, seed=1), LiveOptions(), LineView(sys.stdout))
    return [node.address for node in daemon.nodes()]


def test_every_address_is_documented(addresses: list[str]) -> None:
    shown = (ROOT / "docs/OSC.md").read_text()
    documented = set(re.findall(r"`/sideman/([a-z_/]+)`", shown))
    wanted = {address.removeprefix("/sideman/").replace("drums/", "player/", 1) for address in addresses}
    assert wanted <= documented


def test_every_parameter_is_documented() -> None:
    shown = (ROOT / "docs/OSC.md").read_text()
    names = {parameter.name for parameter in (*PLAYER_PARAMETERS, *parameters_for(()))}
    instruments = {f"{drum.name}_{what}" for drum in DRUMS for what in ("mute", "chance", "velocity")}
    assert {name for name in names - instruments if f"/sideman/player/{name}`" not in shown} == set()
    assert all(f"`/sideman/player/INSTRUMENT_{what}`" in shown for what in ("mute", "chance", "velocity"))
    assert all(drum.name in shown for drum in DRUMS)
