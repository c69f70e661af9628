"""What of a player the surface shows: its parameters, its verbs and switches, and what it sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bridge.control.surface import ROOT, Node
from bridge.players.policy import TRADE
from engines.parameter import Parameter

if TYPE_CHECKING:
    from bridge.players.player import Player

TAKE = Parameter(name="take", kind="int", default=0, high=1_000_000, help="number of the take of the next bar")


def nodes_of(player: Player) -> tuple[Node, ...]:
    """Everything of a player that can be turned, done or heard from."""
    planner = player.planner

    def node(name: str, takes: str, help_: str, **how: Any) -> Node:
        return Node(f"{ROOT}/{player.name}/{name}", takes, help_, **how)

    def value(parameter: Parameter) -> Node:
        name = parameter.name
        return node(
            name, parameter.takes, parameter.help, parameter=parameter,
            get=lambda: (player.parameters[name],), set=lambda value: player.set(name, value),
        )  # fmt: skip

    def switch(name: str, help_: str, change: Callable[[bool], None], is_on: Callable[[], bool]) -> Node:
        """A verb that changes over, so that one pad can do both; set to 0 or 1 (or on, off as words) it is absolute."""
        check = Parameter(name=name, kind="bool", default=False).check
        return node(
            name, "nothing or 1 to change over, or the word on or off", help_,
            get=lambda: (is_on(),), set=lambda value: change(bool(check(value))), act=lambda _: change(not is_on()),
        )  # fmt: skip

    return (
        *(value(parameter) for parameter in player.parameters.table.values()),
        node("again", "nothing", "the bar that sounds, once more", act=lambda _: planner.again()),
        node("vary", "nothing", "something other than what would come", act=lambda _: planner.vary()),
        node("undo", "nothing", "as if the last take, fill or vary had not been", act=lambda _: planner.undo()),
        node("fill", "nothing", "a fill from the next beat", act=lambda _: planner.fill()),
        node(
            "trade", "bars to listen, bars to answer", "trade fours, or as many as said",
            get=lambda: tuple(player.parameters[parameter.name] for parameter in TRADE), act=player.trade,
        ),
        node("your_turn", "nothing", "answer from the next bar on", act=lambda _: planner.your_turn()),
        switch("hold", "loop the bar that sounds", planner.hold, lambda: planner.holding),
        switch("mute", "silence, while the music goes on", player.mute, lambda: player.muted),
        node(
            TAKE.name, TAKE.takes, TAKE.help,
            get=lambda: (planner.next.take if planner.next else 0,),
            set=lambda value: planner.take(int(TAKE.check(value))),
        ),
        node(
            "bundle", "a bundle's name or folder", "the model that plays",
            get=lambda: (player.bundle,), set=player.swap,
        ),
        node("state", "nothing", "bar, outcome, hits, lates, headroom, next bar to change", get=player.state),
        node(
            "fader", "nothing", "last, median and worst time in ms from a change to its first sound, and how many",
            get=planner.response.figures_ms,
        ),
        node("bar", "nothing", "a bar before it sounds: bar, part, parts, tick, pitch, velocity, length ..."),
        node("parts", "nothing", "a bar of several parts: as bar, and the MIDI channel of each note after its length"),
        node("note", "nothing", "a note as it sounds"),
        node("loop", "nothing", "a bar of audio before it sounds: bar, WAV file, tempo, beats"),
        node("span", "nothing", "a part of a bar before it sounds: bar, tick, ticks, WAV file, packet, packets, notes"),
    )  # fmt: skip
