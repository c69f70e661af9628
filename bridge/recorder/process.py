"""The recorder: writes what left the stage, .mid on exact ticks and .wav with the built-in kit and the loops.

Run by control as `python -m bridge.recorder.process DESCRIPTOR`. It writes when told to finish, when control goes away
and when it is ended; in between it keeps the .mid on disk no older than half a minute.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bridge.channel import Channel, ChannelClosedError
from bridge.messages.message import Message, Trouble
from bridge.messages.recorder import (
    Finish,
    Record,
    Recorded,
    RecordedLoop,
    RecordedMeter,
    RecordedMute,
    RecordedStop,
    RecordedTempo,
    ToRecorder,
)
from bridge.messages.stage import EpochStarted, Left
from bridge.recorder.files import News, SoundFile, TakeFile, file_for
from bridge.recorder.take import Take
from engines.errors import SidemanError

REFRESH_S = 30.0
"""How much a crash of the machine may cost."""


class Recorder:
    """A take and the files it goes to. A file that cannot be written is named once, and the others go on."""

    def __init__(self, record: Record) -> None:
        self.take = Take(record.tempo_mbpm, record.meter_numerator, record.meter_denominator, record.programs)
        self.troubles: list[str] = []
        self._files: list[TakeFile] = []
        self._changed = False
        for path in map(Path, record.paths):
            try:
                self._files.append(file_for(path))
            except SidemanError as error:
                self.troubles.append(str(error))
        self._files += [SoundFile(Path(path), player) for player, path in record.stems]
        self._each(lambda file: file.open())

    def handle(self, message: Message) -> bool:
        """Take a message down; False when it was the last."""
        match message:
            case Left():
                self._add(self.take.left(message.events))
            case EpochStarted():
                self.take.begin(message.tick)
                self._add(RecordedStop(message.tick))  # what played before a jump
            case RecordedTempo():
                piece = self.take.tempo(message.tick, message.tempo_mbpm)
                if piece is not None:
                    self._add(piece)
            case RecordedLoop():
                self.take.bar(message.tick, message.length_ticks)
                self._add(message)
            case RecordedMute() | RecordedStop():
                self._add(message)
            case RecordedMeter():
                self.take.meter(message.tick, message.numerator, message.denominator)
            case Finish():
                self.take.finish(message.tick)
                return False
        self._changed = True
        return True

    def refresh(self) -> None:
        """Have on disk what there is so far, if there is news."""
        if self._changed:
            self._changed = False
            self._each(lambda file: file.refresh(self.take))

    def write(self) -> tuple[str, ...]:
        """Make every file whole; returns those that are."""
        self._each(lambda file: file.finish(self.take))
        return tuple(str(file.path) for file in self._files)

    def _add(self, news: News) -> None:
        self._each(lambda file: self.troubles.extend(file.add(self.take, news)))

    def _each(self, do: Callable[[TakeFile], None]) -> None:
        """Do something with every file, and give up those with which it fails."""
        for file in list(self._files):
            try:
                do(file)
            except OSError as error:
                self._files.remove(file)
                file.give_up()
                self.troubles.append(f"{file.path} cannot be recorded to: {error.strerror or error}")


def serve(channel: Channel) -> None:
    """Record until told to finish or until control has gone, then write."""
    try:
        first = channel.first()
    except ChannelClosedError:
        return
    if not isinstance(first, Record):
        return
    recorder = Recorder(first)
    with contextlib.suppress(ChannelClosedError):
        _record(channel, recorder)
    written = recorder.write()
    with contextlib.suppress(ChannelClosedError):
        _tell(channel, recorder)
        channel.send(Recorded(written))
        while channel.waiting:
            channel.wait(1.0)
            channel.flush()
    for text in recorder.troubles:
        print(f"sideman: {text}", file=sys.stderr)


def _record(channel: Channel, recorder: Recorder) -> None:
    """Until Finish. Raises ChannelClosedError when no more will come."""
    next_refresh_s = time.monotonic() + REFRESH_S
    while True:
        for message in channel.receive():
            if not recorder.handle(message):
                return
        if time.monotonic() >= next_refresh_s:
            recorder.refresh()
            next_refresh_s = time.monotonic() + REFRESH_S
        _tell(channel, recorder)
        channel.wait(REFRESH_S)


def _tell(channel: Channel, recorder: Recorder) -> None:
    while recorder.troubles:
        channel.send(Trouble(recorder.troubles[0]))
        recorder.troubles.pop(0)


def main() -> None:
    """Run as a process on an inherited descriptor. SIGTERM ends it as control's death does: after what has arrived."""
    channel = Channel.inherited(int(sys.argv[1]), ToRecorder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: channel.hear_no_more())
    os.nice(5)
    serve(channel)


if __name__ == "__main__":
    main()
