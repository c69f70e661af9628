"""The recorder: writes what left the stage, .mid on exact ticks and .wav with the built-in kit.

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
from types import FrameType
from typing import NoReturn

from bridge.channel import Channel, ChannelClosedError
from bridge.messages import (
    EpochStarted,
    Finish,
    Left,
    Message,
    Record,
    Recorded,
    RecordedMeter,
    RecordedTempo,
    ToRecorder,
    Trouble,
)
from bridge.recorder.midifile import write_midi
from bridge.recorder.take import Take

REFRESH_S = 30.0
"""How much a crash of the machine may cost."""


class Recorder:
    """A take and the files it goes to."""

    def __init__(self, record: Record) -> None:
        self.take = Take(record.tempo_mbpm, record.meter_numerator, record.meter_denominator)
        self.troubles: list[str] = []
        self._paths = [path for path in map(Path, record.paths) if self._can_write(path)]
        self._changed = False

    def handle(self, message: Message) -> bool:
        """Take a message down; False when it was the last."""
        match message:
            case Left():
                self.take.left(message.events)
            case EpochStarted():
                self.take.begin(message.tick)
            case RecordedTempo():
                self.take.tempo(message.tick, message.tempo_mbpm)
            case RecordedMeter():
                self.take.meter(message.tick, message.numerator, message.denominator)
            case Finish():
                self.take.finish(message.tick)
                return False
        self._changed = True
        return True

    def refresh(self) -> None:
        """Write the .mid as it is so far, if there is news."""
        if self._changed:
            self._changed = False
            self._write([path for path in self._paths if _ending(path) != ".wav"])

    def write(self) -> tuple[str, ...]:
        """Write every file; returns those that are whole on disk."""
        return self._write(self._paths)

    def _write(self, paths: list[Path]) -> tuple[str, ...]:
        written = []
        for path in paths:
            try:
                WRITERS[_ending(path)](path, self.take)
                written.append(str(path))
            except OSError as error:
                self.troubles.append(f"{path} could not be written: {error.strerror or error}")
        return tuple(written)

    def _can_write(self, path: Path) -> bool:
        """Find out at once, not after an hour's playing; an existing file stays as it is until then."""
        if _ending(path) not in WRITERS:
            self.troubles.append(f"{path} cannot be recorded to; end its name in {' or '.join(WRITERS)}")
            return False
        partial = path.with_name(path.name + ".part")
        try:
            partial.touch()
            partial.unlink()
        except OSError as error:
            self.troubles.append(f"{path} cannot be recorded to: {error.strerror or error}")
            return False
        return True


def _write_mid(path: Path, take: Take) -> None:
    write_midi(path, take.tracks, take.tempos, take.meters, take.end_tick)


def _write_wav(path: Path, take: Take) -> None:
    from bridge.mixer import write_wav

    write_wav(path, take.tracks, take.tempo_map, take.end_tick)


WRITERS: dict[str, Callable[[Path, Take], None]] = {".mid": _write_mid, ".wav": _write_wav}


def _ending(path: Path) -> str:
    return ".mid" if path.suffix.lower() == ".midi" else path.suffix.lower()


def serve(channel: Channel) -> None:
    """Record until told to finish or until control has gone, then write."""
    try:
        first = channel.first()
    except ChannelClosedError:
        return
    if not isinstance(first, Record):
        return
    recorder = Recorder(first)
    with contextlib.suppress(ChannelClosedError, _EndedError):
        _record(channel, recorder)
    with contextlib.suppress(ChannelClosedError):
        for message in channel.receive():  # what had arrived when it was ended
            recorder.handle(message)
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
    """Until Finish. Raises ChannelClosedError or _EndedError."""
    next_refresh_s = time.monotonic() + REFRESH_S
    while True:
        _tell(channel, recorder)
        for message in channel.receive():
            if not recorder.handle(message):
                return
        if time.monotonic() >= next_refresh_s:
            recorder.refresh()
            next_refresh_s = time.monotonic() + REFRESH_S
        channel.wait(REFRESH_S)


def _tell(channel: Channel, recorder: Recorder) -> None:
    while recorder.troubles:
        channel.send(Trouble(recorder.troubles[0]))
        recorder.troubles.pop(0)


class _EndedError(Exception):
    """SIGTERM came."""


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _EndedError


def main() -> None:
    """Run as a process on an inherited descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    os.nice(5)
    with contextlib.suppress(_EndedError):
        serve(Channel.inherited(int(sys.argv[1]), ToRecorder))


if __name__ == "__main__":
    main()
