"""What a controller, a note or a foot switch has learned to do."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.control.learn import Learn, position_of, value_at
from bridge.control.surface import Node, Surface
from bridge.messages.hearing import HeardEvent
from bridge.set import LearnedSet
from engines.errors import SidemanError
from engines.parameter import Parameter, Parameters

HEAT = Parameter(name="heat", kind="float", default=1.0, high=2.0)
KIND = Parameter(name="kind", kind="choice", default="b", choices=("a", "b", "c"))
BARS = Parameter(name="bars", kind="int", default=8, high=64)
PROMPT = Parameter(name="prompt", kind="text", default="", high=200)
MUTED = Parameter(name="kick_mute", kind="bool", default=False)


def cc(number: int, value: int, channel: int = 1, input_: str = "keys") -> HeardEvent:
    return HeardEvent(input_, (0xB0 + channel - 1, number, value), 0, 0, 0)


def note(pitch: int, velocity: int = 100, channel: int = 1) -> HeardEvent:
    return HeardEvent("keys", (0x90 + channel - 1, pitch, velocity), 0, 0, 0)


class Desk:
    """Five parameters, a verb and a switch, and who learns."""

    def __init__(self, *learned: LearnedSet) -> None:
        self.parameters = Parameters((HEAT, KIND, BARS, MUTED, PROMPT))
        self.done: list[Any] = []
        self.held = False
        self.said: list[str] = []
        self.surface = Surface()
        self.learn = Learn(self.surface, learned, self.said.append)
        self.surface.replace((
            *(self.value(parameter) for parameter in self.parameters.table.values()),
            Node("/sideman/drums/fill", "nothing", act=self.done.append),
            Node("/sideman/drums/hold", "nothing", get=lambda: (self.held,), set=self.hold,
                 act=lambda _: self.hold(not self.held)),
            Node("/sideman/drums/note", "nothing"),
            *self.learn.nodes(),
        ))  # fmt: skip

    def value(self, parameter: Parameter) -> Node:
        name = parameter.name
        return Node(
            f"/sideman/drums/{name}", parameter.takes, parameter=parameter,
            get=lambda: (self.parameters[name],), set=lambda value: self.turn(name, value),
        )  # fmt: skip

    def turn(self, name: str, value: Any) -> None:
        self.parameters.set(name, value)

    def hold(self, on: bool) -> None:
        self.held = on

    def osc(self, address: str, *arguments: Any) -> Any:
        return self.surface.handle(self.surface.find(f"/sideman/system/{address}")[0], arguments)

    def turned(self, number: int, *positions: int) -> list[Any]:
        values = []
        for position in positions:
            self.learn.take([cc(number, position)])
            values.append(self.parameters["heat"])
        return values


def test_the_next_controller_is_learned_and_takes_over_where_the_value_is() -> None:
    desk = Desk()
    desk.osc("learn", "drums/heat")
    assert desk.learn.take([note(60), cc(74, 20)]) == [note(60)]  # a note cannot turn it: it is music
    assert desk.learn.table == (LearnedSet(input="keys", address="drums/heat", control=74),)
    assert desk.turned(74, 30, 60, 64, 90, 127, 0) == [1.0, 1.0, *(2 * p / 127 for p in (64, 90, 127, 0))]
    assert desk.osc("learned") == ("drums/heat", "keys", 1, "control", 74)


def test_a_value_that_was_set_elsewhere_is_not_torn_back() -> None:
    desk = Desk(LearnedSet(input="keys", address="drums/heat", control=74))
    assert desk.turned(74, 100, 10)[-1] == 2 * 10 / 127  # passed the value on its way
    desk.surface.set("/sideman/drums/heat", 1.5)
    assert desk.turned(74, 11, 50, 90) == [1.5, 1.5, 1.5]
    assert desk.turned(74, 100, 101) == [2 * 100 / 127, 2 * 101 / 127]


def test_a_knob_that_stands_where_the_value_is_takes_over_at_once() -> None:
    desk = Desk(LearnedSet(input="keys", address="drums/kind", control=1))
    desk.learn.take([cc(1, 60)])
    desk.learn.take([cc(1, 100)])
    assert desk.parameters["kind"] == "c"


@pytest.mark.parametrize("parameter", [HEAT, KIND, BARS])
def test_a_controller_reaches_both_ends_and_every_value_has_its_place(parameter: Parameter) -> None:
    low, high = value_at(parameter, 0), value_at(parameter, 127)
    assert (low, high) == (("a", "c") if parameter is KIND else (parameter.low, parameter.high))
    for position in range(128):
        value = value_at(parameter, position)
        assert parameter.check(value) == value
        assert value_at(parameter, round(position_of(parameter, value))) == value


def test_a_note_does_a_verb_and_changes_a_switch_and_a_bool_over() -> None:
    desk = Desk(
        LearnedSet(input="keys", address="drums/fill", note=36),
        LearnedSet(input="keys", address="drums/hold", note=37),
        LearnedSet(input="keys", address="drums/kick_mute", note=38),
    )
    rest = desk.learn.take([note(36), note(36, 0), note(37, 1), note(38), note(38, 0), note(39), note(36, channel=2)])
    assert rest == [note(39), note(36, channel=2)]
    assert (desk.done, desk.held, desk.parameters["kick_mute"]) == ([()], True, True)
    desk.learn.take([note(36), note(37), note(38)])
    assert (desk.done, desk.held, desk.parameters["kick_mute"]) == ([(), ()], False, False)


def test_a_foot_switch_does_a_verb_once_a_press_and_holds_a_bool() -> None:
    desk = Desk(
        LearnedSet(input="keys", address="drums/fill", control=64),
        LearnedSet(input="keys", address="drums/kick_mute", control=65),
    )
    desk.learn.take([cc(64, 127), cc(64, 127), cc(64, 0), cc(64, 100), cc(65, 127)])
    assert (len(desk.done), desk.parameters["kick_mute"]) == (2, True)
    desk.learn.take([cc(65, 0)])
    assert desk.parameters["kick_mute"] is False


def test_one_controller_turns_one_thing_and_one_thing_may_have_several() -> None:
    desk = Desk()
    for address, number in (("drums/heat", 1), ("/sideman/drums/bars", 1), ("drums.bars", 2)):
        desk.osc("learn", address)
        desk.learn.take([cc(number, 5)])
    assert [(entry.address, entry.control) for entry in desk.learn.table] == [("drums/bars", 1), ("drums/bars", 2)]
    desk.osc("unlearn", "drums/bars")
    assert desk.learn.table == ()
    with pytest.raises(SidemanError, match="nothing was learned"):
        desk.osc("unlearn", "drums/bars")


def test_learning_can_be_left_and_what_cannot_be_turned_is_refused() -> None:
    desk = Desk()
    desk.osc("learn", "drums/heat")
    desk.osc("learn")
    desk.learn.take([cc(1, 5)])
    assert desk.learn.table == ()
    for wrong, says in (
        ("drums/heet", "did you mean"),
        ("drums/note", "nothing that a controller"),
        ("drums/prompt", "nothing that a controller"),
        (3, "an address"),
    ):
        with pytest.raises(SidemanError, match=says):
            desk.osc("learn", wrong)
    desk.osc("learn", "drums/heat")
    desk.learn.take([cc(121, 0)])  # all controllers off: a mode, no controller
    assert desk.learn.table == ()


def test_a_set_s_entry_must_name_something_and_one_that_goes_away_is_said_once() -> None:
    with pytest.raises(SidemanError, match=r"learned: drums/heet: .*did you mean"):
        Desk(LearnedSet(input="keys", address="drums/heet", control=1)).learn.check()
    desk = Desk(LearnedSet(input="keys", address="drums/heat", control=1))
    desk.learn.check()
    desk.surface.replace(())
    assert desk.learn.take([cc(1, 5), cc(1, 6)]) == []
    assert len(desk.said) == 1


def test_more_than_a_table_holds_is_refused_in_a_line() -> None:
    desk = Desk(*(
        LearnedSet(input="keys", address="drums/heat", control=number, channel=channel)
        for number in range(64) for channel in range(1, 9)
    ))  # fmt: skip
    desk.osc("learn", "drums/bars")
    desk.learn.take([cc(100, 1, channel=16)])
    assert len(desk.learn.table) == 512
    assert "unlearn one" in desk.said[-1]
