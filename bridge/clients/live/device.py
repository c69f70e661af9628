"""Sideman.amxd: receives one player over OSC and puts what it plays into the clips of the device's own track.

Each bar goes to the slot after the one before, round and round: the WAV of a loop through `create_audio_clip`, notes
through `create_clip` and `add_new_notes` (Live Object Model). It is an audio effect, so that one device does for audio
tracks and, behind the instrument, for MIDI tracks. Not run in Live here.
"""

from __future__ import annotations

from typing import Any

from bridge.clients.live.amxd import AUDIO_EFFECT, packed
from bridge.clients.live.objects import faults
from bridge.clients.live.patch import Box, Patch
from bridge.set import DEFAULT_OSC_PORT
from engines.music import TICKS_PER_BEAT

NAME = "Sideman.amxd"
WIDTH = 236.0

LISTEN_PORT = 9721
RENEW_MS = 20_000
"""A subscription ends a minute after the client's last message."""

SLOT = "path this_device canonical_parent clip_slots $1"
NOTE = r"{\"notes\":[{\"start_time\":%.5f\,\"pitch\":%ld\,\"velocity\":%ld\,\"duration\":%.5f}]}"  # one of Live's notes


def made() -> bytes:
    """The device's file. Raises ValueError if its patch is not one that any Max can open."""
    patcher = device().as_json(WIDTH, AUDIO_EFFECT)
    if wrong := faults(patcher):
        raise ValueError("; ".join(wrong))
    return packed(patcher, AUDIO_EFFECT)


def device() -> Patch:
    """The patch."""
    patch = Patch()
    patch.column()
    patch.chain(left := patch.new("plugin~"), right := patch.new("plugout~"))
    patch.chain(left[1], right[1])
    name, port, first, slots, beats, launch = _shown(patch)
    _subscribe(patch, name, port)
    loop, bar = _received(patch, port)
    slot = _slots(patch, first, slots)
    _loops(patch, loop, slot, launch)
    _notes(patch, bar, slot, beats, launch)
    return patch


def _shown(patch: Patch) -> tuple[Box, Box, Box, Box, Box, Box]:
    """What a user sees: the player's name, the port, the slots, the beats of a bar of notes, whether clips start."""
    patch.column()
    name = patch.add("textedit", (76.0, 8.0, 150.0, 18.0), text="drums", keymode=1, lines=1, parameter_enable=1,
                     varname="player", **_parameter("Player", 3, "drums", parameter_invisible=1))  # fmt: skip
    port = _number(patch, "Port", LISTEN_PORT, (1024, 65535), 34.0)
    first = _number(patch, "First slot", 1, (1, 999), 56.0)
    slots = _number(patch, "Slots", 4, (2, 64), 78.0)
    beats = _number(patch, "Beats of a bar", 4, (1, 32), 100.0)
    launch = patch.add("live.toggle", (76.0, 122.0, 16.0, 16.0), parameter_enable=1, varname="launch",
                       **_parameter("Start clips", 2, 1, parameter_enum=["off", "on"], parameter_mmax=1))  # fmt: skip
    for label, y in (("Player", 8.0), ("Port", 34.0), ("First slot", 56.0), ("Slots", 78.0), ("Beats", 100.0)):
        patch.add("live.comment", (6.0, y, 68.0, 18.0), text=label)
    patch.add("live.comment", (6.0, 122.0, 68.0, 18.0), text="Start clips")
    return name, port, first, slots, beats, launch


def _subscribe(patch: Patch, name: Box, port: Box) -> None:
    """Ask Sideman for this player's events, when the device is loaded, when something is changed, and now and then."""
    patch.column()
    ready = patch.new("live.thisdevice")
    begin = patch.new("trigger 1 b")
    patch.chain(ready, begin)
    patch.chain(begin[1], name)
    patch.chain(begin, patch.new(f"metro {RENEW_MS}"), port)
    named = patch.new("route text")
    ask = patch.new("sprintf /sideman/system/subscribe %ld /sideman/%s/*")
    again, known = patch.new("trigger b 1 s"), patch.new("gate")  # the port may come before the name: wait for both
    patch.chain(name, named, again)
    patch.chain(again[2], ask[1])
    patch.chain(again[1], known)
    patch.chain(again, port)
    patch.chain(port, patch.new("int"), known[1])
    patch.chain(known, ask, patch.new(f"udpsend 127.0.0.1 {DEFAULT_OSC_PORT}"))


def _received(patch: Patch, port: Box) -> tuple[Box, Box]:
    """The arguments of /sideman/PLAYER/loop and of /sideman/PLAYER/bar, whatever the player is called."""
    patch.column()
    hear = patch.new(f"udpreceive {LISTEN_PORT}")
    patch.chain(port, patch.new("int"), patch.new("change"), patch.new("prepend port"), hear)
    split = patch.new("zl.slice 1")  # the arguments come out first, on the right
    patch.chain(hear, patch.new("deferlow"), split)
    last = patch.new("zl.slice 1")
    patch.chain(split, patch.new("fromsymbol @separator /"), patch.new("zl.rev"), last)
    which = patch.new("select loop bar")
    patch.chain(last, which)
    loop, bar = patch.new("zl.reg"), patch.new("zl.reg")
    patch.chain(split[1], loop[1])
    patch.chain(split[1], bar[1])
    patch.chain(which, loop)
    patch.chain(which[1], bar)
    return loop, bar


def _slots(patch: Patch, first: Box, slots: Box) -> tuple[Box, Box]:
    """A bar's number in, the slot's number out: first - 1 + bar modulo slots."""
    patch.column()
    turn, shift = patch.new("% 4"), patch.new("+ 0")
    patch.chain(slots, patch.new("int"), turn[1])
    patch.chain(first, patch.new("int"), patch.new("- 1"), shift[1])
    patch.chain(turn, shift)
    return turn, shift


def _emptied(patch: Patch, slot: tuple[Box, Box], bar: Box) -> tuple[Box, Box]:
    """A live.object on a bar's slot, and what has to be banged to have the clip in it deleted."""
    path, there = patch.new("live.path"), patch.new("live.object")
    pick = patch.message(SLOT)
    gate = patch.new("gate")
    chosen = patch.new("trigger 0 l 1")  # open the gate, count the bar, close it: two chains share the counting
    patch.chain(bar, chosen)
    patch.chain(chosen[2], gate)
    patch.chain(chosen[1], slot[0])
    patch.chain(chosen, gate)
    patch.chain(slot[1], gate[1])
    patch.chain(gate, pick, path)
    patch.chain(path, there[1])
    full = patch.new("route has_clip")
    asked = patch.message("get has_clip")
    patch.chain(asked, there, full, patch.new("select 1"), patch.message("call delete_clip"), there)
    return there, asked


def _loops(patch: Patch, loop: Box, slot: tuple[Box, Box], launch: Box) -> None:
    """Bar, path, tempo and beats of a loop: its WAV into the bar's slot."""
    patch.column()
    come = patch.new("trigger l l")
    number, path = patch.new("zl.nth 1"), patch.new("zl.nth 2")
    there, emptied = _emptied(patch, slot, number)
    patch.chain(loop, come)
    patch.chain(come[1], number)
    put = patch.new("trigger b s b")
    patch.chain(come, path, put)
    patch.chain(put[2], emptied)
    patch.chain(put[1], patch.new("prepend call create_audio_clip"), there)
    _fire(patch, put, launch, there)


def _notes(patch: Patch, bar: Box, slot: tuple[Box, Box], beats: Box, launch: Box) -> None:
    """Bar, part, parts, then tick, pitch, velocity and length of each note: an empty clip, and the notes into it."""
    patch.column()
    come = patch.new("trigger l l l")
    number, part = patch.new("zl.nth 1"), patch.new("zl.nth 2")
    there, emptied = _emptied(patch, slot, number)
    patch.chain(bar, come)
    patch.chain(come[2], number)
    put, length = patch.new("trigger b b b b"), patch.new("int 4")
    patch.chain(beats, patch.new("int"), length[1])
    patch.chain(come[1], part, patch.new("select 1"), put)  # the first part of a bar makes its clip
    patch.chain(put[3], emptied)
    patch.chain(put[2], length, patch.new("prepend call create_clip"), there)
    clip, within = patch.new("live.object"), patch.new("route clip")
    patch.chain(put[1], patch.message("get clip"), there, within, clip[1])
    _fire(patch, put, launch, there)

    patch.column()
    rest = patch.new("zl.slice 3")
    each = patch.new("unpack 0 0 0 0")
    patch.chain(come, rest)
    patch.chain(rest[1], patch.new("zl.iter 4"), each)
    note = patch.new(f"sprintf symout {NOTE}")
    patch.chain(each[3], patch.new(f"/ {TICKS_PER_BEAT}."), note[3])
    patch.chain(each[2], note[2])
    patch.chain(each[1], note[1])
    patch.chain(each, patch.new("maximum 0"), patch.new(f"/ {TICKS_PER_BEAT}."), note)
    patch.chain(note, patch.new("dict.deserialize"), patch.new("prepend call add_new_notes"), clip)


def _fire(patch: Patch, made_: Box, launch: Box, there: Box) -> None:
    """Start the clip, if the user wants that: at the bar, by Live's own quantisation."""
    gate = patch.new("gate")
    patch.chain(launch, gate)
    patch.chain(made_, gate[1])
    patch.chain(gate, patch.message("call fire"), there)


def _number(patch: Patch, name: str, value: int, bounds: tuple[int, int], y: float) -> Box:
    kept = _parameter(name, 0, value, parameter_mmin=bounds[0], parameter_mmax=bounds[1])
    varname = name.lower().replace(" ", "_")
    return patch.add("live.numbox", (76.0, y, 60.0, 16.0), parameter_enable=1, varname=varname, **kept)


def _parameter(name: str, kind: int, value: int | str, **more: Any) -> dict[str, Any]:
    """What Live saves of a parameter. kind: 0 is a float (Live's ints end at 255), 2 a choice, 3 a text."""
    valueof: dict[str, Any] = {"parameter_longname": name, "parameter_shortname": name, "parameter_type": kind, **more}
    valueof |= {"parameter_initial": [value], "parameter_initial_enable": 1, "parameter_unitstyle": 0}
    return {"saved_attribute_attributes": {"valueof": valueof}}
