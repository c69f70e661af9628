"""The surface: values, verbs, switches and patterns, and what is said of those that are none."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.control.pattern import check_pattern, covers, is_pattern, matches
from bridge.control.surface import Node, Surface
from engines.errors import SidemanError
from engines.parameter import Parameter


class Desk:
    """A surface with a value, a verb, a switch and an output, and what was done on it."""

    def __init__(self) -> None:
        self.value: Any = 1.0
        self.held = False
        self.done: list[tuple[Any, ...]] = []
        check = Parameter(name="heat", kind="float", default=1.0, high=2.0).check
        self.surface = Surface()
        self.surface.replace(
            (
                Node("/sideman/drums/heat", "a number", get=lambda: (self.value,), set=lambda v: self.turn(check(v))),
                Node("/sideman/drums/fill", "nothing", act=self.done.append),
                Node(
                    "/sideman/drums/hold", "nothing", get=lambda: (self.held,),
                    set=lambda v: self.hold(v in ("on", 1, True)), act=lambda _: self.hold(not self.held),
                ),
                Node("/sideman/drums/note", "nothing"),
            )
        )  # fmt: skip

    def turn(self, value: Any) -> None:
        self.value = value

    def hold(self, on: bool) -> None:
        self.held = on

    def osc(self, address: str, *arguments: Any) -> Any:
        return [self.surface.handle(node, arguments) for node in self.surface.find(address)]


def test_a_value_is_set_and_asked() -> None:
    desk = Desk()
    assert desk.osc("/sideman/drums/heat") == [(1.0,)]
    assert desk.osc("/sideman/drums/heat", 0.5) == [None]
    assert desk.osc("/sideman/drums/heat") == [(0.5,)]


@pytest.mark.parametrize(
    "arguments", [(3.0,), (float("nan"),), ("hot",), (1.0, 2.0), (b"\0" * 65536,), (None,), ([1],)]
)
def test_a_value_refuses_what_it_does_not_take_and_stays(arguments: tuple[Any, ...]) -> None:
    desk = Desk()
    with pytest.raises(SidemanError, match="takes a number"):
        desk.osc("/sideman/drums/heat", *arguments)
    assert desk.value == 1.0


def test_a_verb_acts_on_nothing_or_a_non_zero_and_ignores_the_pads_release() -> None:
    desk = Desk()
    for arguments in ((), (1,), (0,), (0.0,), (127,)):
        desk.osc("/sideman/drums/fill", *arguments)
    assert desk.done == [(), (1,), (127,)]


def test_a_switch_changes_over_and_can_be_told_by_word() -> None:
    desk = Desk()
    states = []
    for arguments in ((), (1,), (0,), ("on",), ("on",), ("off",)):
        desk.osc("/sideman/drums/hold", *arguments)
        states.append(desk.held)
    assert states == [True, False, False, True, True, False]
    desk.surface.set("/sideman/drums/hold", 1)
    assert desk.surface.get("/sideman/drums/hold") is True


def test_what_is_sent_only_cannot_be_set() -> None:
    with pytest.raises(SidemanError, match="can be asked, not set"):
        Desk().osc("/sideman/drums/note", 1)


def test_an_unknown_address_is_answered_with_the_nearest() -> None:
    with pytest.raises(SidemanError, match="did you mean /sideman/drums/heat"):
        Desk().osc("/sideman/drums/heet")
    with pytest.raises(SidemanError, match=r"did you mean drums\.heat"):
        Desk().surface.assign("drums.heet", "1")


def test_text_is_enough_for_the_command_line() -> None:
    desk = Desk()
    desk.surface.assign("drums.heat", "1.5")
    assert desk.value == 1.5
    with pytest.raises(SidemanError, match="heat takes a number from 0 to 2"):
        desk.surface.assign("drums.heat", "hot")


def test_a_pattern_means_every_address_it_matches() -> None:
    desk = Desk()
    assert desk.osc("/sideman/*/h*") == [(1.0,), None]
    assert desk.held
    with pytest.raises(SidemanError, match="nothing has an address like that"):
        desk.osc("/sideman/bass/*")


@pytest.mark.parametrize(
    ("pattern", "address", "expected"),
    [
        ("/a/b", "/a/b", True),
        ("/a/?", "/a/b", True),
        ("/a/?", "/a/bc", False),
        ("/a/*", "/a/b/c", False),
        ("/*/b", "/a/b", True),
        ("/a/[a-c]", "/a/b", True),
        ("/a/[!a-c]", "/a/b", False),
        ("/a/{kick,snare}_mute", "/a/snare_mute", True),
        ("/a/{kick,snare}_mute", "/a/ride_mute", False),
        ("/a/{kick", "/a/{kick", False),
        ("/" + "a*" * 100 + "b", "/" + "a" * 200, False),
    ],
)
def test_patterns(pattern: str, address: str, expected: bool) -> None:
    assert matches(pattern, address) is expected


def test_patterns_out_of_bounds_are_refused_and_match_nothing() -> None:
    assert is_pattern("/a/*")
    check_pattern("/a/{b,c}")
    for pattern in ("/" + "*a" * 200, "/x/" + "{a,b,c,d}" * 4, "/a/{b", "/" + "{a,b}" * 50):
        with pytest.raises(SidemanError, match="the pattern"):
            check_pattern(pattern)
        with pytest.raises(SidemanError, match="the pattern"):
            Desk().osc(pattern)
        assert not matches(pattern, "/x/aaaa")


def test_a_subscription_covers_all_a_branch_or_a_pattern() -> None:
    assert covers("", "/sideman/drums/note")
    assert covers("/sideman/drums/", "/sideman/drums/note")
    assert not covers("/sideman/bass/", "/sideman/drums/note")
    assert covers("/sideman/*/bar", "/sideman/drums/bar")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(("warm house",), "warm house"), (("warm", "house", 120, 0.5), "warm house 120 0.5"), (("",), "")],
)
def test_a_text_comes_as_one_string_or_word_by_word(arguments: tuple[Any, ...], text: str) -> None:
    prompt = Parameter(name="prompt", kind="text", default="x", high=20)
    told: list[Any] = []
    surface = Surface()
    node = Node(
        "/sideman/a/prompt", "", parameter=prompt, get=lambda: ("x",), set=lambda v: told.append(prompt.check(v))
    )  # fmt: skip
    surface.replace((node,))
    assert surface.handle(node, ()) == ("x",)
    assert surface.handle(node, arguments) is None
    assert told == [text]
    with pytest.raises(SidemanError, match="at most 20 characters"):
        surface.handle(node, ("word",) * 5)
