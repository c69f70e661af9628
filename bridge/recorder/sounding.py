"""What a sound file of a recording sounds like: notes by the built-in kit and synth, loops as they are."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.messages.stage import Piece
from bridge.recorder.loops import LoopPart, LoopStart
from bridge.recorder.midifile import Track
from bridge.sound.kit import RATE, Kit, Samples
from bridge.sound.limiter import limited
from bridge.sound.mixer import Hit, Mixer
from bridge.timing.timeline import TempoMap


class Sounding:
    """Hits and loops in, frames out; nothing comes any more for frames that have been rendered.

    troubles: lines for people, about loops that could not be read.
    """

    def __init__(self) -> None:
        self.troubles: list[str] = []
        self._mixer = Mixer(Kit())
        self._hits: list[Hit] = []
        self._parts: dict[str, LoopPart] = {}
        self._muted: set[str] = set()

    @property
    def frame(self) -> int:
        """The next frame to be rendered."""
        return self._mixer.frame

    def add(self, hits: Iterable[Hit]) -> None:
        """Take hits, in any order."""
        self._hits += hits
        self._hits.sort(key=_order)

    def tempo(self, piece: Piece) -> None:
        """The tempo from a tick of the file on."""
        for part in self._parts.values():
            part.tempo(piece)

    def loop(self, start: LoopStart, tempo_map: TempoMap) -> None:
        """A bar of a player begins. tempo_map: the file's, as far as it is known."""
        if start.player not in self._parts and start.loop is not None:
            self._parts[start.player] = LoopPart(tempo_map)
            self._parts[start.player].mute(start.tick, start.player in self._muted)
        if start.player in self._parts:
            self._parts[start.player].starts(start)

    def mute(self, player: str, tick: int, muted: bool) -> None:
        """A player is muted, or heard again."""
        self._muted = self._muted | {player} if muted else self._muted - {player}
        if player in self._parts:
            self._parts[player].mute(tick, muted)

    def stop(self, tick: int) -> None:
        """Every loop ends."""
        for part in self._parts.values():
            part.stops(tick)

    def render(self, frames: int) -> Samples:
        """The next frames, (frames, 2), limited softly below 1."""
        first, end = self.frame, self.frame + frames
        while self._hits and self._hits[0].frame < end:
            self._mixer.add(self._hits.pop(0))
        mix = self._mixer.render(frames)
        for part in self._parts.values():
            part.add_to(mix, first)
            self.troubles += part.troubles
            part.troubles.clear()
        return limited(mix)


def frame_at(tempo_map: TempoMap, tick: int) -> int:
    """The frame that a tick falls on, where tempo_map counts from frame 0."""
    return round(tempo_map.ns_at(tick) * RATE / 1e9)


def hits_of(track: Track, tempo_map: TempoMap) -> list[Hit]:
    """A track's events as hits on their frames."""
    return [
        Hit(frame_at(tempo_map, event.tick), event.pitch, event.velocity, track.sounds_on) for event in track.events
    ]


def _order(hit: Hit) -> tuple[int, bool, int, int]:
    return hit.frame, hit.velocity > 0, hit.channel, hit.pitch
