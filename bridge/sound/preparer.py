"""The preparer: the process that makes a player's loops ready, so that its renderer never waits for a file or a filter.

Run by the renderer as `python -m bridge.sound.preparer DESCRIPTOR`, when the first loop comes.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path

from bridge.channel import Channel, ChannelClosedError
from bridge.messages.sound import NotPrepared, Prepare, Prepared
from bridge.sound.prepare import prepared
from bridge.sound.takes import Want
from engines.errors import SidemanError


def serve(channel: Channel) -> None:
    """Prepare what is asked for, loops as they are before stretched ones, until the renderer has gone."""
    import python_stretch
    import soundfile
    import soxr

    del python_stretch, soundfile, soxr
    waiting: list[Prepare] = []
    with contextlib.suppress(ChannelClosedError):
        channel.send(Prepared(0))  # up, with all that it needs
        while True:
            waiting += channel.receive()
            waiting.sort(key=_stretched)
            if not waiting:
                channel.wait(None)
                continue
            asked = waiting.pop(0)
            try:
                prepared(Want(asked.loop, asked.tempo_mbpm, asked.from_tick), asked.rate).tofile(Path(asked.into))
                channel.send(Prepared(asked.id))
            except (SidemanError, OSError, MemoryError) as error:
                channel.send(NotPrepared(asked.id, str(error)))


def _stretched(asked: Prepare) -> bool:
    return asked.tempo_mbpm != asked.loop.tempo_mbpm


def main() -> None:
    """Run as a process on an inherited descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Channel.inherited(int(sys.argv[1]), Prepare))


if __name__ == "__main__":
    main()
