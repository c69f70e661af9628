"""Asking the system to let this process be on time. What is refused is done without."""

from __future__ import annotations

import gc
import sys

from bridge.timing.host import hurry_thread

REMEDY = (
    "put your user in a group with real-time rights and log in again: "
    "echo '@audio - rtprio 95' | sudo tee /etc/security/limits.d/audio.conf && sudo usermod -aG audio $USER"
)
"""What grants real-time priority on Linux."""


def take_realtime() -> bool:
    """Give the calling thread real-time priority, and take the garbage collector away; whether priority was granted.

    The collector is off because one run of it may take longer than a tick; the stage makes no reference cycles.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(0.0005)  # a JACK callback waits at most this long for the interpreter
    return hurry_thread()
