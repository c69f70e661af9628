"""What the device for Live does with what it is sent, followed through the patch.

Max cannot run here. A few of its objects are made as their reference pages describe them: messages are lists of atoms,
depth first, and an outlet with several cords serves the rightmost box first.
"""

from __future__ import annotations

import json
import operator
import re
from typing import Any

import pytest
from pythonosc.osc_message import OscMessage

from bridge.clients.live.amxd import unpacked
from bridge.clients.live.device import made
from bridge.control.wire import bar_packets
from engines.music import Note

Atoms = list[Any]

ROOT = "this_device canonical_parent clip_slots"


class FakeLive:
    """The clip slots of one track: what has been called of each, by its path; a clip's id is its slot's with a 'c'."""

    def __init__(self) -> None:
        self.slots: dict[str, dict[str, Any]] = {}

    def call(self, id_: str, atoms: Atoms) -> Atoms | None:
        """What live.object answers to a message for an object."""
        slot = self.slots.setdefault(id_.removesuffix("c"), {"clip": None, "fired": 0})
        match atoms:
            case ["get", "has_clip"]:
                return ["has_clip", int(slot["clip"] is not None)]
            case ["get", "clip"]:
                return ["clip", "id", f"{id_}c"]
            case ["call", "delete_clip"]:
                assert slot["clip"] is not None, "Live complains about an empty slot"
                slot["clip"] = None
            case ["call", "create_audio_clip" | "create_clip" as how, what]:
                assert slot["clip"] is None, "Live complains about a slot that is taken"
                slot["clip"] = {"beats": what, "notes": []} if how == "create_clip" else what
            case ["call", "add_new_notes", "dictionary", str(text)]:
                slot["clip"]["notes"] += json.loads(text)["notes"]
            case ["call", "fire"]:
                slot["fired"] += 1
            case _:
                raise AssertionError(f"Live has no {atoms}")
        return None


class Max:
    """A patch that runs. sent: what udpsend was given; ports: what udpreceive was told."""

    def __init__(self, patcher: dict[str, Any], live: FakeLive) -> None:
        self.boxes = {entry["box"]["id"]: entry["box"] for entry in patcher["patcher"]["boxes"]}
        self.cords: dict[tuple[str, int], list[tuple[str, int]]] = {}
        for line in (entry["patchline"] for entry in patcher["patcher"]["lines"]):
            self.cords.setdefault(tuple(line["source"]), []).append(tuple(line["destination"]))
        self.live = live
        self.sent: list[Atoms] = []
        self.ports: list[Atoms] = []
        self.kept: dict[str, Any] = {}

    def box(self, start: str) -> str:
        """The id of the only box with a text, class or name that starts so."""
        found = [
            id_
            for id_, box in self.boxes.items()
            if any(str(box.get(key, "")).startswith(start) for key in ("text", "varname"))
            and "comment" not in box["maxclass"]
        ]
        assert len(found) == 1, (start, found)
        return found[0]

    def emit(self, id_: str, outlet: int, atoms: Atoms) -> None:
        """Let an outlet send."""
        ends = self.cords.get((id_, outlet), [])
        for other, inlet in sorted(ends, key=lambda end: self.boxes[end[0]]["patching_rect"][:2], reverse=True):
            self.take(other, inlet, atoms)

    def take(self, id_: str, inlet: int, atoms: Atoms) -> None:
        """A message comes to an inlet."""
        box = self.boxes[id_]
        if box["maxclass"] != "newobj":
            self._ui(id_, box, atoms)
            return
        name, *arguments = box["text"].split()
        getattr(self, "_" + re.sub(r"\W", "_", NAMES.get(name, name)))(
            id_, inlet, atoms, [_atom(word) for word in arguments]
        )

    def _ui(self, id_: str, box: dict[str, Any], atoms: Atoms) -> None:
        match box["maxclass"]:
            case "message":
                self.emit(id_, 0, [_atom(word.replace("$1", str(atoms[0]))) for word in box["text"].split()])
            case "textedit":
                self.emit(id_, 0, ["text", box["text"]])
            case _:
                if atoms != ["bang"]:
                    self.kept[id_] = atoms
                self.emit(id_, 0, self.kept.get(id_, [_initial(box)]))

    def _trigger(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        for outlet in reversed(range(len(arguments))):
            what = arguments[outlet]
            self.emit(id_, outlet, {"b": ["bang"], "l": atoms, "s": atoms}.get(what, [what]))

    def _route(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        if atoms[0] in arguments:
            self.emit(id_, arguments.index(atoms[0]), atoms[1:] or ["bang"])
        else:
            self.emit(id_, len(arguments), atoms)

    def _select(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        if atoms[0] in arguments:
            self.emit(id_, arguments.index(atoms[0]), ["bang"])

    def _gate(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        if inlet == 0:
            self.kept[id_] = atoms[0]
        elif self.kept.get(id_):
            self.emit(id_, 0, atoms)

    def _arithmetic(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        if inlet:
            self.kept[id_] = atoms[0]
        else:
            how = ARITHMETIC[self.boxes[id_]["text"].split()[0]]
            self.emit(id_, 0, [how(atoms[0], self.kept.get(id_, arguments[0]))])

    def _int(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        if inlet or atoms != ["bang"]:
            self.kept[id_] = int(atoms[0])
        if not inlet:
            self.emit(id_, 0, [self.kept.get(id_, (arguments or [0])[0])])

    def _change(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        if self.kept.get(id_, 0) != atoms[0]:
            self.kept[id_] = atoms[0]
            self.emit(id_, 0, atoms)

    def _zl_slice(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        if atoms[arguments[0] :]:
            self.emit(id_, 1, atoms[arguments[0] :])
        self.emit(id_, 0, atoms[: arguments[0]])

    def _zl_rev(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        self.emit(id_, 0, atoms[::-1])

    def _zl_nth(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        self.emit(id_, 0, [atoms[arguments[0] - 1]])

    def _zl_iter(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        for at in range(0, len(atoms), arguments[0]):
            self.emit(id_, 0, atoms[at : at + arguments[0]])

    def _zl_reg(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        if inlet:
            self.kept[id_] = atoms
        else:
            self.emit(id_, 0, self.kept[id_] if atoms == ["bang"] else atoms)

    def _unpack(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        for outlet in reversed(range(len(arguments))):
            self.emit(id_, outlet, [atoms[outlet]])

    def _sprintf(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        told = self.kept.setdefault(id_, {})
        told[inlet] = atoms[0]
        if inlet == 0:
            whole = " ".join(self.boxes[id_]["text"].split()[1:])
            form = whole.removeprefix("symout ").replace("%ld", "%d").replace(r"\"", '"').replace(r"\,", ",")
            text = form % tuple(told[index] for index in range(form.count("%")))
            self.emit(id_, 0, [text] if whole.startswith("symout ") else [_atom(word) for word in text.split()])

    def _fromsymbol(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        self.emit(id_, 0, [word for word in atoms[0].split(arguments[1]) if word])

    def _dict_deserialize(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        self.emit(id_, 0, ["dictionary", atoms[0]])  # Max sends a name; here it is the text itself

    def _prepend(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        self.emit(id_, 0, [*arguments, *atoms])

    def _metro(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        if atoms == [1]:
            self.emit(id_, 0, ["bang"])

    def _live_path(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        assert atoms[0] == "path"
        self.emit(id_, 0, ["id", " ".join(map(str, atoms[1:]))])

    def _live_object(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        if inlet:
            assert atoms[0] == "id"
            self.kept[id_] = atoms[1]
        elif (answer := self.live.call(self.kept[id_], atoms)) is not None:
            self.emit(id_, 0, answer)

    def _udpsend(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        self.sent.append(atoms)

    def _udpreceive(self, id_: str, inlet: int, atoms: Atoms, arguments: Atoms) -> None:
        self.ports.append(atoms)


ARITHMETIC = {"%": operator.mod, "+": operator.add, "-": operator.sub, "/": operator.truediv, "maximum": max}
NAMES = dict.fromkeys(ARITHMETIC, "arithmetic") | {"deferlow": "prepend"}


def _atom(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            pass
    return word


def _initial(box: dict[str, Any]) -> Any:
    return box["saved_attribute_attributes"]["valueof"]["parameter_initial"][0]


@pytest.fixture
def running():
    """The device in a track of Live, loaded."""
    live = FakeLive()
    patch = Max(unpacked(made())[0], live)
    for number in ("port", "first_slot", "slots", "beats_of_a_bar", "launch"):
        patch.take(patch.box(number), 0, ["bang"])  # what Live does with saved parameters
    patch.emit(patch.box("live.thisdevice"), 0, ["bang"])
    return patch


def osc(patch, address, *arguments):
    patch.emit(patch.box("udpreceive"), 0, [address, *arguments])


def slot(patch, number):
    return patch.live.slots[f"{ROOT} {number}"]


def test_it_subscribes_to_its_player_and_no_other(running):
    assert running.sent[-1] == ["/sideman/system/subscribe", 9721, "/sideman/drums/*"]
    running.emit(running.box("drums"), 0, ["text", "keys"])
    assert running.sent[-1] == ["/sideman/system/subscribe", 9721, "/sideman/keys/*"]
    running.take(running.box("port"), 0, [9800.0])
    assert running.sent[-1] == ["/sideman/system/subscribe", 9800, "/sideman/keys/*"]
    assert running.ports == [["port", 9721], ["port", 9800]]


def test_loops_go_from_slot_to_slot_and_round(running):
    for bar in range(6):
        osc(running, "/sideman/keys/loop", bar, f"/my loops/keys_{bar}.wav", 120.0, 4.0)
    assert [slot(running, number)["clip"] for number in range(4)] == [
        "/my loops/keys_4.wav", "/my loops/keys_5.wav", "/my loops/keys_2.wav", "/my loops/keys_3.wav"
    ]  # fmt: skip
    assert [slot(running, number)["fired"] for number in range(4)] == [2, 2, 1, 1]


def test_a_bar_that_is_made_again_replaces_its_clip(running):
    osc(running, "/sideman/keys/loop", 1, "/a.wav", 120.0, 4.0)
    osc(running, "/sideman/keys/loop", 1, "/b.wav", 120.0, 4.0)
    assert slot(running, 1)["clip"] == "/b.wav"


def test_the_slots_and_starting_are_the_user_s(running):
    running.take(running.box("first_slot"), 0, [9.0])
    running.take(running.box("slots"), 0, [2.0])
    running.take(running.box("launch"), 0, [0])
    for bar in range(3):
        osc(running, "/sideman/keys/loop", bar, f"/{bar}.wav", 120.0, 4.0)
    assert slot(running, 8)["clip"] == "/2.wav" and slot(running, 9)["clip"] == "/1.wav"
    assert slot(running, 8)["fired"] == 0


def test_notes_become_a_clip_also_when_they_come_in_parts(running):
    notes = [Note(-30, 36, 100, 240), *(Note(tick, 42, 90, 60) for tick in range(48, 3_840, 48))]
    for packet in bar_packets("/sideman/drums/bar", 6, notes):  # as Sideman sends them: two of them
        message = OscMessage(packet)
        osc(running, message.address, *message.params)
    clip = slot(running, 2)["clip"]
    assert clip["beats"] == 4 and len(clip["notes"]) == len(notes) == 80
    assert clip["notes"][0] == {"start_time": 0.0, "pitch": 36, "velocity": 100, "duration": 0.25}
    assert clip["notes"][-1] == {"start_time": 3.95, "pitch": 42, "velocity": 90, "duration": 0.0625}
    assert slot(running, 2)["fired"] == 1


def test_a_bar_without_notes_is_an_empty_clip_of_as_many_beats_as_set(running):
    running.take(running.box("beats_of_a_bar"), 0, [3.0])
    osc(running, "/sideman/drums/bar", 0, 1, 1)
    assert slot(running, 0)["clip"] == {"beats": 3, "notes": []}


def test_other_events_of_the_player_do_nothing(running):
    osc(running, "/sideman/drums/state", 3, "hit", 4, 0, 0.9, 5)
    osc(running, "/sideman/drums/note", 36, 100, 3840)
    assert running.live.slots == {}
