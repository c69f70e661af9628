"""`sideman ports`: the MIDI ports and sound devices there are, to play to and to hear from."""

from __future__ import annotations

import argparse
from typing import Any, Literal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: it lists everything."""


def run(args: argparse.Namespace) -> int:
    """Print what can be played to and heard; where there is nothing, why."""
    for line in midi_lines():
        print(line)
    for line in sound_lines():
        print(line)
    return 0


def midi_lines() -> list[str]:
    """Each system of MIDI ports: whether it makes ports of our own, and the ports that exist."""
    from bridge.stage.midi.systems import systems
    from bridge.stage.rack import Rack

    found, reasons = systems()
    rack = Rack("sideman look")
    lines = []
    try:
        for system in found:
            own = "a port of its own for each player and input" if system.virtual else "no ports of our own"
            lines.append(f"{system.name}: {own}")
            lines += [f'  outputs = ["midi:{name}"]' for name in system.destinations()]
            lines += [f'  port = "{name}"' for name in system.origins(rack)]
    finally:
        rack.close()
    return [*lines, *(f"MIDI: {reason}" for reason in reasons)]


def sound_lines() -> list[str]:
    """The sound devices that can be played to and, for `sideman calibrate`, heard, each time the default one first."""
    outs, ins = sound_devices("output"), sound_devices("input")
    if isinstance(outs, str):
        return [f"sound: {outs}"]
    heard = [] if isinstance(ins, str) else [f'  --input "audio:{name}"' for name in ins]
    return ["sound:", *(f'  outputs = ["audio:{name}"]' for name in outs), *heard]


def sound_devices(kind: Literal["output", "input"] = "output") -> list[str] | str:
    """Names of the devices that play or hear, the default one first; or why there is none."""
    try:
        import sounddevice
    except OSError:
        return "the PortAudio library is not here (on Debian and Ubuntu: sudo apt install libportaudio2)"
    try:
        devices: list[dict[str, Any]] = [
            device for device in sounddevice.query_devices() if device[f"max_{kind}_channels"]
        ]
        default = sounddevice.query_devices(kind=kind)["name"] if devices else ""
    except (sounddevice.PortAudioError, ValueError) as error:
        return f"PortAudio does not answer ({error})"
    if not devices:
        return "there is no sound device; --record FILE.wav writes what would sound"
    return sorted((str(device["name"]) for device in devices), key=lambda name: name != default)
