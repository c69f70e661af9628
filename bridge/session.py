"""A session: the daemon from its start to its end, as the `live` command has it."""

from __future__ import annotations

import asyncio
import signal
import sys

from bridge.daemon import Daemon, LiveOptions
from bridge.set import Set
from bridge.terminal.view import View


async def run(set_: Set, options: LiveOptions, view: View) -> int:
    """Play a set until it is over or told to end; the exit status. Raises SidemanError for a user's mistake."""
    daemon = Daemon(set_, options, view)
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and sys.platform != "win32":  # there, Ctrl-C is a KeyboardInterrupt
            loop.add_signal_handler(getattr(signal, name), daemon.stop)
    playing = asyncio.create_task(daemon.start())
    try:
        stopped = asyncio.create_task(daemon.wait())
        await asyncio.wait((playing, stopped), return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()
            await stopped
    finally:
        playing.cancel()
        await daemon.close()
        for name, player in daemon.players.items():
            if said := player.planner.response.said():
                view.say(f"{name}: {said}")
        view.close()
    return 0
