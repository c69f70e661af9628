"""The surface: every controllable thing by its address, for all doors: OSC, keys, `--set`, set files.

A value takes one argument and answers an empty message with what it is. A verb acts on an empty message or a non-zero
argument, and ignores 0, because pads send 1 and then 0 (docs/ARCHITECTURE.md, OSC). A switch is a verb that changes
over; it can be set as well, by a word or from inside. An output only sends.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bridge.control.pattern import check_pattern, is_pattern, matches
from engines.errors import SidemanError
from engines.parameter import Parameter, Value

ROOT = "/sideman"


@dataclass(frozen=True, slots=True)
class Node:
    """One address.

    takes, help: in words, for people; get: the arguments of an answer; set: for a value, takes its one argument;
    act: for a verb, takes the arguments (a switch has all three). What set and act raise as SidemanError is
    told to whoever asked. parameter: what a value can be, where that is a parameter's.
    """

    address: str
    takes: str
    help: str = ""
    get: Callable[[], tuple[Value, ...]] | None = None
    set: Callable[[Any], None] | None = None
    act: Callable[[tuple[Any, ...]], None] | None = None
    parameter: Parameter | None = None


class Surface:
    """The nodes of a set. on_set is called with a node that has a value, whenever it may have been given another."""

    def __init__(self) -> None:
        self.on_set: Callable[[Node], None] = lambda _node: None
        self._nodes: dict[str, Node] = {}

    def add(self, nodes: Iterable[Node]) -> None:
        """Add nodes; one with the same address is replaced."""
        self._nodes.update((node.address, node) for node in nodes)

    def replace(self, nodes: Iterable[Node]) -> None:
        """From now on there are these nodes."""
        self._nodes = {node.address: node for node in nodes}

    def nodes(self) -> tuple[Node, ...]:
        """All nodes by address."""
        return tuple(self._nodes[address] for address in sorted(self._nodes))

    def find(self, pattern: str) -> tuple[Node, ...]:
        """The nodes that an address, or an OSC address pattern, names. Raises SidemanError if there is none."""
        if pattern in self._nodes:
            return (self._nodes[pattern],)
        if is_pattern(pattern):
            check_pattern(pattern)
            found = tuple(node for node in self.nodes() if matches(pattern, node.address))
            if found:
                return found
            raise SidemanError("nothing has an address like that")
        near = difflib.get_close_matches(pattern, self._nodes, n=1) if len(pattern) < 200 else []
        raise SidemanError(f"there is no such address; did you mean {near[0]}?" if near else "there is no such address")

    def handle(self, node: Node, arguments: tuple[Any, ...]) -> tuple[Value, ...] | None:
        """Do what a message to a node says: the arguments of its answer if it was a question, else None.

        Raises SidemanError, with nothing changed, if the node does not take the arguments.
        """
        if node.act is not None:
            if len(arguments) == 1 and isinstance(arguments[0], str) and node.set is not None:
                node.set(arguments[0])
            elif len(arguments) != 1 or arguments[0] != 0:
                node.act(arguments)
            self._tell(node)
            return None
        if not arguments:
            if node.get is None:
                raise SidemanError("is sent by Sideman; it takes nothing")
            return node.get()
        if node.set is None:
            raise SidemanError("can be asked, not set")
        if node.parameter is not None and node.parameter.kind == "text":
            arguments = (joined(arguments),)
        if len(arguments) != 1:
            raise SidemanError(f"takes {node.takes}, not {len(arguments)} values")
        node.set(arguments[0])
        self._tell(node)
        return None

    def get(self, address: str) -> Value:
        """The first argument of what a node would answer. Raises SidemanError."""
        node = self.find(address)[0]
        if node.get is None:
            raise SidemanError(f"{address} has no value")
        return node.get()[0]

    def set(self, address: str, value: Value) -> None:
        """Set a value or a switch, or do a verb. Raises SidemanError."""
        node = self.find(address)[0]
        if node.set is not None:
            node.set(value)
        elif node.act is not None:
            node.act((value,))
        else:
            raise SidemanError(f"{address} can be asked, not set")
        self._tell(node)

    def assign(self, name: str, value: Value) -> None:
        """Set `player.parameter` (or transport.tempo, ...), as `--set` (in text) and a set file say it.

        Raises SidemanError that names what is wrong and what it takes.
        """
        address = f"{ROOT}/{name.replace('.', '/')}"
        try:
            self.set(address, value)
        except SidemanError as error:
            if address in self._nodes:
                raise
            near = difflib.get_close_matches(name, self._names(), n=1)
            hint = f"did you mean {near[0]}?" if near else "it is written like drums.temperature=0.9"
            raise SidemanError(f"there is nothing called {name} to set; {hint}") from error

    def _tell(self, node: Node) -> None:
        if node.get is not None:
            self.on_set(node)

    def _names(self) -> list[str]:
        return [address.removeprefix(f"{ROOT}/").replace("/", ".") for address in self._nodes]


def joined(arguments: Iterable[object]) -> str:
    """The words of a text that came as several arguments, as Max sends them; numbers as they would be written."""
    return " ".join(f"{word:g}" if isinstance(word, float) else str(word) for word in arguments)
