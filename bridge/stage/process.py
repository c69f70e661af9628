"""The stage's process: the one real-time process, in which everything that sounds leaves at its moment.

Run by control as `python -m bridge.stage.process DESCRIPTOR`.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from types import FrameType

from bridge.channel import Channel, ChannelClosedError
from bridge.messages.stage import Setup, ToStage
from bridge.stage.stage import Stage
from bridge.timing.clock import Clock, SystemClock
from bridge.timing.host import keep_time


def serve(channel: Channel, clock: Clock) -> None:
    """Play what control says until it says Quit, goes away, or the process is told to end."""
    try:
        first = channel.first()
    except ChannelClosedError:
        return
    if not isinstance(first, Setup):
        return
    stage = Stage(channel, first, clock)
    wake = _leave_on_signal(stage)
    try:
        stage.open()
        stage.run(wake)
    except ChannelClosedError:
        stage.close()
        advice = stage.reconnect_advice
        with contextlib.suppress(OSError):  # the terminal may have gone with it
            print(f"sideman: control is gone; every note was ended and the ports closed{advice}", file=sys.stderr)
    finally:
        stage.close()


def _leave_on_signal(stage: Stage) -> socket.socket:
    """Have SIGTERM end the loop of a stage; the socket returned becomes readable then."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def leave(_signal: int, _frame: FrameType | None) -> None:
        stage.leave()
        with contextlib.suppress(OSError):
            writer.send(b"!")

    signal.signal(signal.SIGTERM, leave)
    return reader


def main() -> None:
    """Run as a process on an inherited descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with keep_time():
        serve(Channel.inherited(int(sys.argv[1]), ToStage), SystemClock())


if __name__ == "__main__":
    main()
