"""`sideman ports`: the MIDI ports and sound devices there are."""

from __future__ import annotations

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: it lists everything."""


def run(args: argparse.Namespace) -> int:
    """Print what can be played to; where there is nothing, why."""
    for line in midi_lines():
        print(line)
    for line in sound_lines():
        print(line)
    return 0


def midi_lines() -> list[str]:
    """Each system of MIDI ports: whether it makes ports of our own, and the ports that exist."""
    from bridge.stage.outputs.ports import systems

    found, reasons = systems()
    lines = []
    for system in found:
        own = "a port of its own for each player" if system.virtual else "no ports of our own"
        lines.append(f"{system.name}: {own}")
        lines += [f'  "midi:{name}"' for name in system.destinations()]
    return [*lines, *(f"MIDI: {reason}" for reason in reasons)]


def sound_lines() -> list[str]:
    """The sound devices that can be played to, the default one first."""
    devices = sound_devices()
    if isinstance(devices, str):
        return [f"sound: {devices}"]
    return ["sound:", *(f"  {name}" for name in devices)]


def sound_devices() -> list[str] | str:
    """Names of the output devices, the default one first; or why there is none."""
    try:
        import sounddevice
    except OSError:
        return "the PortAudio library is not here (on Debian and Ubuntu: sudo apt install libportaudio2)"
    try:
        devices: list[dict[str, Any]] = [
            device for device in sounddevice.query_devices() if device["max_output_channels"]
        ]
        default = sounddevice.query_devices(kind="output")["name"] if devices else ""
    except (sounddevice.PortAudioError, ValueError) as error:
        return f"PortAudio does not answer ({error})"
    if not devices:
        return "there is no sound device; --record FILE.wav writes what would sound"
    return sorted((str(device["name"]) for device in devices), key=lambda name: name != default)
