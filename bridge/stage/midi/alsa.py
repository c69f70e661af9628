"""Who listens to a port of ours on ALSA's sequencer, which rtmidi does not tell but the kernel does."""

from __future__ import annotations

import re
from pathlib import Path

CLIENTS = Path("/proc/asound/seq/clients")

BRIDGES = ("PipeWire", "a2j")
"""Clients that connect themselves to every port, whether anyone listens behind them or not."""

_CLIENT = re.compile(r'Client +(\d+) : "(.*)" \[')
_PORT = re.compile(r'  Port +\d+ : "(.*)" \(')
_TO = re.compile(r"    Connecting To: (.*)")


def connected_to(client: str, port: str) -> tuple[str, ...] | None:
    """The clients that `client:port` sends to, by name; None where the system does not tell."""
    try:
        return listeners(CLIENTS.read_text(errors="replace"), client, port)
    except OSError:
        return None


def listeners(text: str, client: str, port: str) -> tuple[str, ...]:
    """The same, from the text of /proc/asound/seq/clients (Linux, sound/core/seq/seq_clientmgr.c)."""
    names: dict[str, str] = {}
    targets: list[str] = []
    here = port_here = ""
    for line in text.splitlines():
        if found := _CLIENT.match(line):
            here, port_here = found[2], ""
            names[found[1]] = here
        elif found := _PORT.match(line):
            port_here = found[1]
        elif (found := _TO.match(line)) and (here, port_here) == (client, port):
            targets += re.findall(r"(\d+):\d+", found[1])
    heard = {names.get(number, number) for number in targets}
    return tuple(sorted(name for name in heard if not name.startswith(BRIDGES)))
