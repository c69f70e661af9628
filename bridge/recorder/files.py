"""The files a take goes to: a score, rewritten as it grows, and a sound, rendered as the music comes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bridge.recorder.midifile import Track, write_midi
from bridge.recorder.take import Take
from engines.errors import SidemanError

if TYPE_CHECKING:
    from bridge.recorder.wavfile import WavFile


class TakeFile(Protocol):
    """A file in the making. Every method raises OSError when it cannot be written."""

    path: Path

    def open(self) -> None:
        """Find out at once, not after an hour's playing; an existing file stays as it is until the new one is whole."""
        ...

    def add(self, take: Take, tracks: Sequence[Track]) -> None:
        """What was just added to a take."""
        ...

    def refresh(self, take: Take) -> None:
        """Have on disk what a crash of the machine shall not cost."""
        ...

    def finish(self, take: Take) -> None:
        """Make the file whole."""
        ...


class ScoreFile:
    """A .mid."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> None:
        """Try whether there can be a file."""
        partial = self.path.with_name(self.path.name + ".part")
        partial.touch()
        partial.unlink()

    def add(self, take: Take, tracks: Sequence[Track]) -> None:
        """The take keeps it."""

    def refresh(self, take: Take) -> None:
        """Write it as it is so far."""
        self.finish(take)

    def finish(self, take: Take) -> None:
        """Write it."""
        write_midi(self.path, take.tracks, take.tempos, take.meters, take.end_tick)


class SoundFile:
    """A .wav, in its .part until it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: WavFile | None = None

    def open(self) -> None:
        """Begin it."""
        from bridge.recorder.wavfile import WavFile

        self._file = WavFile(self.path)
        self._file.open()

    def add(self, take: Take, tracks: Sequence[Track]) -> None:
        """Render up to here."""
        from bridge.recorder.wavfile import frame_at, hits_of

        if self._file:
            tempo_map = take.tempo_map
            hits = [hit for track in tracks for hit in hits_of(track.events, track.channel, tempo_map)]
            self._file.add(hits, frame_at(tempo_map, take.end_tick))

    def refresh(self, take: Take) -> None:
        """The .part is as it should be."""

    def finish(self, take: Take) -> None:
        """Let it ring out."""
        from bridge.recorder.wavfile import frame_at

        if self._file:
            self.add(take, take.ends)
            self._file.finish(frame_at(take.tempo_map, take.end_tick))


KINDS: dict[str, type[ScoreFile] | type[SoundFile]] = {".mid": ScoreFile, ".midi": ScoreFile, ".wav": SoundFile}


def file_for(path: Path) -> TakeFile:
    """The file for a path, by its ending. Raises SidemanError for an ending that cannot be recorded to."""
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise SidemanError(f"{path} cannot be recorded to; end its name in .mid or .wav")
    return kind(path)
