"""Keys while it plays: what each does to the surface, and that the terminal is given back as it was."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.control.surface import Node, Surface
from bridge.terminal.keys import KEYS, Keys, help_lines
from engines.parameter import Parameter, Parameters, Value


class Desk:
    """A surface with the nodes that keys touch; `done` is what was done, in order."""

    def __init__(self, players: tuple[str, ...] = ("drums", "perc")) -> None:
        self.done: list[tuple[str, Value]] = []
        self.said: list[str] = []
        self.quits = 0
        self.surface = Surface()
        self.values = Parameters(
            [
                Parameter(name="density", kind="float", default=-1.0, low=-1.0),
                Parameter(name="tempo", kind="float", default=120.0, low=20.0, high=999.0),
                *(Parameter(name=name, kind="bool", default=False) for name in ("playing", "hold", "mute")),
            ]
        )
        self._add("transport", ("tempo", "playing"))
        self.surface.add([self._verb("/sideman/system/panic"), self._verb("/sideman/transport/tap")])
        for player in players:
            self._add(player, ("density", "hold", "mute"))
            self.surface.add([self._verb(f"/sideman/{player}/{verb}") for verb in ("fill", "again", "vary")])
        self.keys = Keys(self.surface, players, self.said.append, self._quit)

    def _add(self, part: str, names: tuple[str, ...]) -> None:
        for name in names:
            address = f"/sideman/{part}/{name}"

            def set_value(value: Value, name: str = name, address: str = address) -> None:
                self.done.append((address.removeprefix("/sideman/"), self.values.set(name, value)))

            def get_value(name: str = name) -> tuple[Value, ...]:
                return (self.values[name],)

            self.surface.add([Node(address, "", get=get_value, set=set_value)])

    def _verb(self, address: str) -> Node:
        return Node(address, "", act=lambda arguments: self.done.append((address[9:], arguments[0])))

    def _quit(self) -> None:
        self.quits += 1


def test_verbs_reach_the_first_player() -> None:
    desk = Desk()
    desk.keys.typed(b"favpt")
    verbs = ["drums/fill", "drums/again", "drums/vary", "system/panic", "transport/tap"]
    assert desk.done == [(verb, 1) for verb in verbs]


def test_switches_turn_over() -> None:
    desk = Desk()
    desk.keys.typed(b"m m")
    desk.keys.typed(b"hh")
    assert desk.done == [
        ("drums/mute", True),
        ("transport/playing", True),
        ("drums/mute", False),
        ("drums/hold", True),
        ("drums/hold", False),
    ]


def test_arrows_turn_density_and_tempo_and_say_so() -> None:
    desk = Desk()
    desk.keys.typed(b"\x1b[A\x1bOA\x1b[B\x1b[C\x1b[D")
    assert [value for _, value in desk.done] == [0.6, 0.7, 0.6, 122.0, 120.0]
    assert desk.said == ["drums density 0.6", "drums density 0.7", "drums density 0.6",
                         "transport tempo 122", "transport tempo 120"]  # fmt: skip


def test_values_stay_in_their_range() -> None:
    desk = Desk()
    desk.keys.typed(b"]" * 9 + b"[" * 15 + b"d[")
    values = [value for _, value in desk.done]
    assert values[4:9] == [1.0] * 5 and values[19:24] == [0.0] * 5
    assert values[-2:] == [-1.0, 0.4]
    desk.values.set("tempo", 998.5)
    desk.keys.typed(b"+")
    desk.values.set("tempo", 20.5)
    desk.keys.typed(b"-")
    assert [value for _, value in desk.done[-2:]] == [999.0, 20.0]


def test_an_escape_sequence_may_come_in_parts_and_unknown_ones_do_nothing() -> None:
    desk = Desk()
    for part in (b"\x1b", b"[", b"C", b"\x1b[5~", b"\x1b[1;5C", b"\x1b", b"f", b"\xff\xfe", b"\x1b[" + b"1" * 30, b"z"):
        desk.keys.typed(part)
    assert desk.done == [("transport/tempo", 122.0), ("drums/fill", 1)]


def test_digits_choose_the_player() -> None:
    desk = Desk()
    desk.keys.typed(b"2f3f1f0")
    assert desk.done == [("perc/fill", 1), ("perc/fill", 1), ("drums/fill", 1)]
    assert desk.said == ["keys play perc", "keys play drums"]


def test_what_a_player_lacks_is_said() -> None:
    desk = Desk()
    desk.surface.replace(())
    desk.keys.typed(b"]f")
    assert desk.done == [] and len(desk.said) == 2


def test_help_names_every_key_and_quit_quits() -> None:
    desk = Desk()
    desk.keys.typed(b"?q")
    assert desk.quits == 1
    assert all(f"{key.name} {key.help}" in "\n".join(desk.said) for key in KEYS)
    assert "perc" in desk.said[-1] and help_lines() != desk.said


def test_no_two_keys_are_the_same() -> None:
    sent = [sequence for key in KEYS for sequence in key.sends]
    assert len(sent) == len(set(sent))


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


CHILD = """
import os, sys, termios
from bridge.terminal.keys import Keys

class Surface:
    done = []
    def set(self, address, value):
        self.done.append((address, value))

terminal = os.open(sys.argv[1], os.O_RDWR)  # becomes the controlling terminal of this session
keys = Keys(Surface(), ("drums",), print, lambda: None, terminal)
assert keys.start() and not termios.tcgetattr(terminal)[3] & termios.ICANON
os.write(terminal, b"!")
assert keys.ready()
keys.close()
keys.close()
assert Surface.done == [("/sideman/drums/vary", 1)]
"""


def test_a_terminal_is_read_key_by_key_and_given_back(terminal: tuple[int, int]) -> None:
    """In a session of its own, whose terminal this is, as a shell would have it."""
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)
    command = [sys.executable, "-c", CHILD, os.ttyname(theirs)]
    with subprocess.Popen(command, start_new_session=True) as child:
        assert os.read(ours, 1) == b"!"
        os.write(ours, b"v")
        assert child.wait(20) == 0
    assert termios.tcgetattr(theirs) == before


def test_without_a_terminal_of_ours_there_are_no_keys(tmp_path: Path, terminal: tuple[int, int]) -> None:
    desk = Desk()
    with (tmp_path / "file").open("w") as file:
        assert not Keys(desk.surface, ("drums",), desk.said.append, lambda: None, file.fileno()).start()
    before = termios.tcgetattr(terminal[1])
    assert not Keys(desk.surface, ("drums",), desk.said.append, lambda: None, terminal[1]).start()  # another job's
    assert termios.tcgetattr(terminal[1]) == before


def test_a_terminal_that_has_gone_ends_the_keys(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(write)
    desk = Desk()
    assert not Keys(desk.surface, ("drums",), desk.said.append, lambda: None, read).ready()
    os.close(read)
