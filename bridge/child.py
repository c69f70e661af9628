"""Child: one of our own processes, with its channel on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

import bridge
from bridge.channel import Channel, ChannelClosedError, inherited_by, module_command, pair

LEAVE_S = 3.0
"""How long a process may take to leave once its channel is closed."""


class Child:
    """A process that runs one of our modules.

    accepts: the messages it may send; on_message is called with each, in order, on_gone once when it has died (not
    after `close`). quiet: what it writes to stderr is thrown away, as what libraries say there would spoil the view.
    """

    def __init__(
        self,
        module: str,
        accepts: Any,
        on_message: Callable[[Any], None],
        on_gone: Callable[[], None],
        quiet: bool = False,
    ) -> None:
        self._quiet = quiet
        self._module = module
        self._accepts = accepts
        self._on_message = on_message
        self._on_gone = on_gone
        self._channel: Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def pid(self) -> int | None:
        """The process's number, while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process. It is in a session of its own, so that the terminal's Ctrl-C reaches control alone."""
        self._loop = asyncio.get_running_loop()
        mine, theirs = pair()
        with theirs:
            self._process = subprocess.Popen(
                module_command(self._module, theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL if self._quiet else None,
                env=_environment(),
                **inherited_by(theirs),
            )
        self._channel = Channel(mine, self._accepts)
        self._loop.add_reader(self._channel.fileno(), self._readable)

    def send(self, message: msgspec.Struct) -> None:
        """Send a message; to a process that has gone, nothing."""
        if self._channel is None:
            return
        try:
            self._channel.send(message)
        except ChannelClosedError:
            return  # the reader sees it as well
        if self._channel.waiting and self._loop is not None:
            self._loop.add_writer(self._channel.fileno(), self._writable)

    def drain(self) -> None:
        """Wait until the process has left, handing on what it still says; at most LEAVE_S."""
        if self._channel is None:
            return
        end_s = time.monotonic() + LEAVE_S
        with contextlib.suppress(ChannelClosedError):
            while (left_s := end_s - time.monotonic()) > 0:
                self._channel.wait(left_s)
                self._channel.flush()
                for message in self._channel.receive():
                    self._on_message(message)

    def kill(self) -> None:
        """End the process at once; on_gone follows."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Close the channel, which tells the process to leave, and wait for it; kill it if it will not."""
        self._drop_channel()
        process, self._process = self._process, None
        if process is not None:
            try:
                process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _readable(self) -> None:
        channel = self._channel
        if channel is None:
            return
        try:
            messages = channel.receive()
        except ChannelClosedError:
            self._gone()
            return
        for message in messages:
            self._on_message(message)

    def _writable(self) -> None:
        if self._channel is None or self._loop is None:
            return
        try:
            self._channel.flush()
        except ChannelClosedError:
            self._loop.remove_writer(self._channel.fileno())
            return
        if not self._channel.waiting:
            self._loop.remove_writer(self._channel.fileno())

    def _gone(self) -> None:
        self._drop_channel()
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # it may have closed its end and hang
            process.wait()
        self._on_gone()

    def _drop_channel(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None and self._loop is not None:
            with contextlib.suppress(OSError, ValueError):
                self._loop.remove_reader(channel.fileno())
                self._loop.remove_writer(channel.fileno())
            channel.close()


def _environment() -> dict[str, str]:
    """Ours, with the packages found wherever they were found here, and one thread for every library."""
    root = str(Path(bridge.__file__).parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(paths)}
