"""Learning: a controller turns a parameter, a note or a foot switch does what a verb does.

A controller takes a value over only where the value is (soft takeover): a knob that stands elsewhere does nothing until
it has passed it, so that nothing jumps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bridge.control.heard import NOTE_OFF, NOTE_ON
from bridge.control.surface import ROOT, Node, Surface
from bridge.messages.hearing import HeardEvent
from bridge.set import LearnedSet
from engines.errors import SidemanError
from engines.parameter import Parameter, Value

CONTROL = 0xB0
CONTROLS_MAX = 120
"""Controllers from here on are channel mode messages."""

HIGHEST = 127
PRESSED_FROM = 64
LEARNED_MAX = 512

Key = tuple[str, int, bool, int]
"""Input, channel 1-16, whether it is a note, and the number of the note or controller."""


@dataclass(slots=True)
class Binding:
    """What was learned, and where the controller stands.

    position: its last value; given: the value it has given to what it turns, as that was stored; said: the last error
    """

    learned: LearnedSet
    position: int | None = None
    given: Value | None = None
    said: str = ""


class Learn:
    """The table of what controllers and notes do. say: shows a line."""

    def __init__(self, surface: Surface, learned: Iterable[LearnedSet], say: Callable[[str], None]) -> None:
        self._surface = surface
        self._say = say
        self._bindings = {key_of(entry): Binding(entry) for entry in learned}
        self._waits = ""  # for something that is to be bound to this address

    @property
    def table(self) -> tuple[LearnedSet, ...]:
        """What was learned, as a set file says it."""
        return tuple(binding.learned for binding in self._bindings.values())

    def nodes(self) -> tuple[Node, ...]:
        """Its addresses."""
        system = f"{ROOT}/system"
        return (
            Node(
                f"{system}/learn", "an address, or nothing to leave it", "what the next controller or note is to turn",
                act=self._learn,
            ),
            Node(
                f"{system}/unlearn", "an address", "no controller or note turns it any more", act=self._unlearn,
            ),
            Node(
                f"{system}/learned", "nothing", "address, input, channel, kind and number of each",
                get=lambda: tuple(value for entry in self.table for value in _told(entry)),
            ),
        )  # fmt: skip

    def check(self) -> None:
        """Raise SidemanError if there is nothing with the address of an entry of the table."""
        for entry in self.table:
            try:
                self._node(entry.address)
            except SidemanError as error:
                raise SidemanError(f"learned: {entry.address}: {error}") from error

    def take(self, events: Iterable[HeardEvent]) -> list[HeardEvent]:
        """Do what was learned for what came in; returns the rest of it, which is music."""
        return [event for event in events if not self._takes(event)]

    # From people

    def _learn(self, arguments: tuple[object, ...]) -> None:
        if not arguments or arguments == ("",):
            self._waits = ""
            return
        address = _address(arguments)
        node = self._node(address)
        self._waits = address
        self._say(f"turn a controller{' or play a note' if _pressed(node) else ''} for {address}")

    def _unlearn(self, arguments: tuple[object, ...]) -> None:
        address = _address(arguments)
        kept = {key: binding for key, binding in self._bindings.items() if binding.learned.address != address}
        if len(kept) == len(self._bindings):
            raise SidemanError(f"nothing was learned for {address}")
        self._bindings = kept

    def _node(self, address: str) -> Node:
        """What can be turned or done there. Raises SidemanError."""
        node = self._surface.find(f"{ROOT}/{address}")[0]
        if node.act is None and (node.parameter is None or node.parameter.kind == "text"):
            raise SidemanError(f"{address} is nothing that a controller could turn")
        return node

    # From the inputs

    def _takes(self, event: HeardEvent) -> bool:
        status, number, value = event.data
        kind, channel = status & 0xF0, (status & 0x0F) + 1
        is_note = kind in (NOTE_OFF, NOTE_ON)
        if not is_note and (kind != CONTROL or number >= CONTROLS_MAX):
            return False
        key = (event.input, channel, is_note, number)
        on = value if kind != NOTE_OFF else 0
        if self._waits and (on or not is_note) and self._bind(key, on):
            return True
        binding = self._bindings.get(key)
        if binding is None:
            return False
        try:
            self._turn(binding, on)
        except SidemanError as error:
            if str(error) != binding.said:
                binding.said = str(error)
                self._say(f"{binding.learned.address}: {error}")
        return True

    def _bind(self, key: Key, value: int) -> bool:
        """Bind what came in to the address that waits; False for a note, where only a controller will do."""
        address = self._waits
        input_, channel, is_note, number = key
        if is_note and not _pressed(self._node(address)):
            return False
        if key not in self._bindings and len(self._bindings) >= LEARNED_MAX:
            self._waits = ""
            self._say(f"{LEARNED_MAX} controllers and notes are learned already; unlearn one")
            return True
        number_of = {"note": number} if is_note else {"control": number}
        learned = LearnedSet(input=input_, address=address, channel=channel, **number_of)
        self._bindings[key] = Binding(learned, position=value)
        self._waits = ""
        self._say(f"{'note' if is_note else 'controller'} {number} of {input_}, channel {channel}: {address}")
        return True

    def _turn(self, binding: Binding, value: int) -> None:
        before, binding.position = binding.position, value
        node = self._node(binding.learned.address)
        pressed, was_pressed = value >= PRESSED_FROM, before is not None and before >= PRESSED_FROM
        if binding.learned.note is not None:
            pressed, was_pressed = value > 0, False
        if node.act is not None:
            if pressed and not was_pressed:
                self._surface.handle(node, ())
        elif node.parameter is not None and node.parameter.kind == "bool":
            if binding.learned.note is None and pressed != was_pressed:
                self._surface.set(node.address, int(pressed))
            elif binding.learned.note is not None and pressed:
                self._surface.set(node.address, int(not self._surface.get(node.address)))
        elif node.parameter is not None:
            self._take_over(binding, node, node.parameter, before)

    def _take_over(self, binding: Binding, node: Node, parameter: Parameter, before: int | None) -> None:
        now, position = self._surface.get(node.address), binding.position or 0
        there = position_of(parameter, now)
        passed = before is not None and (before - there) * (position - there) <= 0
        to = value_at(parameter, position)
        if passed or now in (binding.given, to):
            self._surface.set(node.address, to)
            binding.given, binding.said = self._surface.get(node.address), ""


def value_at(parameter: Parameter, position: int) -> Value:
    """What a controller at 0-127 means for a parameter that is no bool: its range, or its choices, in equal parts."""
    if parameter.kind == "choice":
        return parameter.choices[position * len(parameter.choices) // (HIGHEST + 1)]
    value = parameter.low + (parameter.high - parameter.low) * position / HIGHEST
    return round(value) if parameter.kind == "int" else value


def position_of(parameter: Parameter, value: Value) -> float:
    """Where a controller would have to stand for a value; the middle of a choice's part."""
    if isinstance(value, str):
        return (parameter.choices.index(value) + 0.5) * (HIGHEST + 1) / len(parameter.choices) - 0.5
    span = parameter.high - parameter.low
    return (float(value) - parameter.low) / span * HIGHEST if span else 0.0


def key_of(learned: LearnedSet) -> Key:
    """What has to come in for an entry of the table."""
    is_note = learned.note is not None
    return (learned.input, learned.channel, is_note, (learned.note if is_note else learned.control) or 0)


def _pressed(node: Node) -> bool:
    """True for what a note can do: verbs, switches, and values that are on or off."""
    return node.act is not None or (node.parameter is not None and node.parameter.kind == "bool")


def _address(arguments: tuple[object, ...]) -> str:
    """An address as a set file writes it, from one with or without /sideman/, or with a dot. Raises SidemanError."""
    if len(arguments) != 1 or not isinstance(arguments[0], str) or not arguments[0]:
        raise SidemanError("takes an address, such as drums/temperature")
    return arguments[0].removeprefix(f"{ROOT}/").replace(".", "/")


def _told(entry: LearnedSet) -> tuple[Value, ...]:
    _, _, is_note, number = key_of(entry)
    return (entry.address, entry.input, entry.channel, "note" if is_note else "control", number)
