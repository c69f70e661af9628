"""The files a take goes to: a score, rewritten as it grows, and sounds, rendered as the music comes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bridge.messages.recorder import RecordedLoop, RecordedMute, RecordedStop
from bridge.messages.stage import Piece
from bridge.recorder.midifile import Track, write_midi
from bridge.recorder.take import Take
from engines.errors import SidemanError

if TYPE_CHECKING:
    from bridge.recorder.wavfile import GrowingSound

News = Sequence[Track] | Piece | RecordedLoop | RecordedMute | RecordedStop
"""What is added to a take: notes on its ticks, a tempo, or what becomes of a player's loops."""


class TakeFile(Protocol):
    """A file in the making. Every method but `give_up` raises OSError when it cannot be written."""

    path: Path

    def open(self) -> None:
        """Find out at once, not after an hour's playing; an existing file stays as it is until the new one is whole."""
        ...

    def add(self, take: Take, news: News) -> list[str]:
        """What was just added to a take; lines for people about what of it cannot be recorded."""
        ...

    def refresh(self, take: Take) -> None:
        """Have on disk what a crash of the machine shall not cost."""
        ...

    def finish(self, take: Take) -> None:
        """Make the file whole."""
        ...

    def give_up(self) -> None:
        """It cannot be written any more: leave what there is as something that can be played."""
        ...


class ScoreFile:
    """A .mid."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> None:
        """Try whether there can be a file."""
        self._partial.touch()
        self._partial.unlink()

    def add(self, take: Take, news: News) -> list[str]:
        """The take keeps it."""
        return []

    def refresh(self, take: Take) -> None:
        """Write it as it is so far."""
        self.finish(take)

    def finish(self, take: Take) -> None:
        """Write it."""
        write_midi(self.path, take.tracks, take.tempos, take.meters, take.end_tick)

    def give_up(self) -> None:
        """What was written last is whole; what was begun since is not."""
        with contextlib.suppress(OSError):
            self._partial.unlink()

    @property
    def _partial(self) -> Path:
        return self.path.with_name(self.path.name + ".part")


class SoundFile:
    """A .wav of all players, or of one: a stem. Frame 0 is tick 0, and all end together."""

    def __init__(self, path: Path, player: str | None = None) -> None:
        self.path = path
        self._player = player
        self._sound: GrowingSound | None = None

    def open(self) -> None:
        """Begin it."""
        from bridge.recorder.wavfile import GrowingSound

        self._sound = GrowingSound(self.path)
        self._sound.file.open()

    def add(self, take: Take, news: News) -> list[str]:
        """Render up to here."""
        from bridge.recorder.loops import LoopStart
        from bridge.recorder.sounding import frame_at, hits_of

        if self._sound is None:
            return []
        tempo_map, sounding = take.tempo_map, self._sound.sounding
        match news:
            case Piece():
                sounding.tempo(news)
            case RecordedLoop() if self._is_mine(news.player):
                tick = take.file_tick(news.tick)
                start = LoopStart(news.player, news.loop, tick, news.length_ticks, take.heard_from)
                sounding.loop(start, tempo_map)
            case RecordedMute() if self._is_mine(news.player):
                sounding.mute(news.player, take.file_tick(news.tick), news.muted)
            case RecordedStop():
                sounding.stop(take.file_tick(news.tick))
            case RecordedLoop() | RecordedMute():
                pass
            case _:
                for track in news:
                    if self._is_mine(track.player):
                        sounding.add(hits_of(track, tempo_map))
        self._sound.settle(frame_at(tempo_map, take.settled_tick))
        troubles, sounding.troubles = sounding.troubles, []
        return troubles

    def refresh(self, take: Take) -> None:
        """It is as it should be."""

    def finish(self, take: Take) -> None:
        """Let it ring out."""
        from bridge.recorder.sounding import frame_at

        if self._sound:
            self.add(take, take.ends)
            self._sound.finish(frame_at(take.tempo_map, take.end_tick))

    def give_up(self) -> None:
        """Give what there is its name."""
        if self._sound:
            self._sound.file.keep()

    def _is_mine(self, player: str) -> bool:
        return self._player is None or self._player == player


KINDS: dict[str, type[ScoreFile] | type[SoundFile]] = {".mid": ScoreFile, ".midi": ScoreFile, ".wav": SoundFile}


def file_for(path: Path) -> TakeFile:
    """The file for a path, by its ending. Raises SidemanError for an ending that cannot be recorded to."""
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise SidemanError(f"{path} cannot be recorded to; end its name in .mid or .wav")
    return kind(path)
