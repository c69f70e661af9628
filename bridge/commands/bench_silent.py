"""bench: a JACK client that plays silence and counts the times it lost frames; tells how many at each line it is sent.

Run by bench_audio.py as `python -m bridge.commands.bench_silent`, on the server that JACK_DEFAULT_SERVER names.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Play silence on a pair of ports until standard input ends."""
    import jack

    xruns = 0
    following: int | None = None

    def silence(frames: int) -> None:
        nonlocal xruns, following
        first = client.last_frame_time
        xruns += following is not None and first != following
        following = (first + frames) & 0xFFFFFFFF
        for port in ports:
            port.get_array().fill(0)

    client = jack.Client("sideman silence", no_start_server=True)
    ports = [client.outports.register(side) for side in ("left", "right")]
    client.set_process_callback(silence)
    with client:
        for _ in sys.stdin:
            print(xruns, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
