"""Loops on the grid: the frames that a player of audio sounds, for any stretch of frames and any number of times.

A loop plays as its file is, sample by sample, while the tempo is the one it was made at. When the tempo turns it is
read faster or slower at once, as a tape is, and within some hundredths of a second a stretched one of the same pitch
takes over (engines/stretch.py); by the other policy it goes on as it was to the end of its bar. A change of a
few cents' worth, as a clock that is followed makes all the time, stays a tape.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from bridge.sound.grid import Grid
from bridge.sound.kit import Samples
from bridge.sound.takes import FADE_S, Entry, Take, Turn, Want
from engines.music import LoopFile
from engines.sinc import SincReader

OnTempo = Literal["stretch", "finish"]

TAPE = 0.006
"""A tempo that is off by less is not worth a stretched loop: ten cents."""

STEP = 0.002
"""A step of less is no seam, nor one that the loops themselves make nearby."""

CUED_MAX = 8
STRETCHED_AHEAD = 2
"""Of what is cued, so many are stretched before it is known that they play."""

REPEATS_MAX = 64


class LoopPlayer:
    """The loops of one player, by stage ticks. `render` reads; everything else says from which frame on it differs.

    rate: the device's. now: in each call the first frame that can still be changed.
    late_frames: frames of loops that were to sound and were not prepared yet.
    """

    def __init__(self, rate: int, on_tempo: OnTempo = "stretch") -> None:
        self._on_tempo = on_tempo
        self._fade = round(FADE_S * rate)
        self._rise = np.linspace(0, 1, self._fade, endpoint=False, dtype=np.float32)
        self._reader = SincReader()
        self._entries: list[Entry] = []
        self._takes: dict[Want, Take] = {}
        self._cued: list[LoopFile] = []
        self._asked: set[Want] = set()
        self.late_frames = 0

    # What is told

    def cue(self, loop: LoopFile) -> None:
        """A loop may be played soon."""
        if loop in self._cued:
            self._cued.remove(loop)
        self._cued.append(loop)
        del self._cued[:-CUED_MAX]

    def starts(self, loop: LoopFile | None, tick: int, length_ticks: int, grid: Grid, now: int) -> int:
        """From `tick` on, for so long, this loop plays, repeated where it is shorter; None: nothing does."""
        self._end_all(max(tick, grid.tick_at(now) + 1))
        if loop:
            self.cue(loop)
            for start in range(tick, tick + length_ticks, max(loop.ticks, length_ticks // REPEATS_MAX, 1)):
                self._entries.append(Entry(start, min(start + loop.ticks, tick + length_ticks), loop))
            self._take_up(grid, now)
        return max(now, round(grid.frame_at(tick)))

    def stops(self, tick: int, grid: Grid, now: int) -> int:
        """Everything ends at a tick."""
        self._end_all(tick)
        return max(now, round(grid.frame_at(tick)))

    def tempo(self, grid: Grid, now: int) -> int:
        """The grid has been given a piece of another tempo, its newest."""
        frame = max(now, int(grid.frame_at(grid.newest.tick)))
        if self._on_tempo == "finish":
            for entry in self._entries:
                if entry.turns and entry.tick < grid.newest.tick < entry.end and entry.turns[-1].free is None:
                    turn = entry.turns[-1]
                    at = self._position(entry, turn, frame, grid)[0]
                    entry.turns.append(Turn(frame, turn.take, False, at))
        self._take_up(grid, now)
        return frame

    def ready(self, want: Want, take: Take | None, grid: Grid, now: int) -> int:
        """A want is prepared; None: it cannot be, and stays silent."""
        self._asked.discard(want)
        if take:
            self._takes[want] = take
        elif want == _whole(want.loop):
            self._cued = [loop for loop in self._cued if loop != want.loop]
            self._entries = [entry for entry in self._entries if entry.loop != want.loop]
        else:
            self._asked.add(want)  # once is enough
        self._take_up(grid, now)
        return now

    def wants(self, grid: Grid) -> list[Want]:
        """What has to be prepared and has not been asked for: loops as they are, and one stretched one at a time."""
        wanted = [_whole(loop) for loop in (*(entry.loop for entry in self._entries), *self._cued)]
        if not any(want.tempo_mbpm != want.loop.tempo_mbpm for want in self._asked):
            wanted += self._stretches(grid)[:1]
        new = [want for want in dict.fromkeys(wanted) if want not in self._takes and want not in self._asked]
        self._asked.update(new)
        return new

    def lost(self) -> None:
        """Whoever was asked has gone: everything is asked for again."""
        self._asked.clear()

    @property
    def busy(self) -> bool:
        """Whether anything plays or is to play."""
        return bool(self._entries)

    # Frames

    def render(self, mix: Samples, first: int, grid: Grid) -> None:
        """Add frames first to first + len(mix), (n, 2)."""
        last = first + len(mix)
        for index, entry in enumerate(self._entries):
            start, end = round(grid.frame_at(entry.tick)), round(grid.frame_at(entry.end))
            if not entry.turns or start >= last or end + self._fade <= first:
                continue
            before = self._entries[index - 1] if index else None
            after = self._entries[index + 1] if index + 1 < len(self._entries) else None
            begin, stop = max(first, start), min(last, end + self._fade)
            if stop > end and after and after.tick == entry.end and self._cut(entry, after, end, grid):
                stop = end
            if begin >= stop:
                continue
            part = self._read(entry, begin, stop, grid)
            follows = before and before.end == entry.tick and begin < start + self._fade
            if before and follows and not self._cut(before, entry, start, grid):
                self._fade_in(part, begin - start)
            if stop > end:
                self._fade_out(part, begin - end)
            self._duck(part, begin, grid)
            mix[begin - first : stop - first] += part

    def forget(self, before: int, grid: Grid) -> None:
        """Nothing before a frame will be rendered any more."""
        while self._entries and round(grid.frame_at(self._entries[0].end)) + 2 * self._fade < before:
            entry = self._entries.pop(0)
            if not entry.turns:
                self.late_frames += round(grid.frame_at(entry.end) - grid.frame_at(entry.tick))
        kept = {entry.loop for entry in self._entries} | set(self._cued)
        self._takes = {
            want: take
            for want, take in self._takes.items()
            if want.loop in kept and (want.from_tick == 0 or any(entry.loop == want.loop for entry in self._entries))
        }

    def _read(self, entry: Entry, begin: int, stop: int, grid: Grid) -> Samples:
        """What an entry sounds, its turns crossfaded."""
        part = np.zeros((stop - begin, 2), np.float32)
        for index, turn in enumerate(entry.turns):
            until = entry.turns[index + 1].frame if index + 1 < len(entry.turns) else None
            faded = until is not None and entry.turns[index + 1].faded
            ends = stop if until is None else min(stop, until + self._fade if faded else until)
            starts = max(begin, turn.frame)
            if starts >= ends:
                continue
            found = self._read_turn(entry, turn, starts, ends, grid)
            if turn.faded and starts < turn.frame + self._fade:
                self._fade_in(found, starts - turn.frame)
            if until is not None and ends > until:
                self._fade_out(found, starts - until)
            part[starts - begin : ends - begin] += found
        return part

    def _read_turn(self, entry: Entry, turn: Turn, begin: int, stop: int, grid: Grid) -> Samples:
        found = np.empty((stop - begin, 2), np.float32)
        frame = begin
        while frame < stop:
            position, slope, until = self._position(entry, turn, frame, grid)
            until = min(stop, until)
            found[frame - begin : until - begin] = self._reader.read(turn.take.frames, position, slope, until - frame)
            frame = until
        return found

    def _position(self, entry: Entry, turn: Turn, frame: int, grid: Grid) -> tuple[float, float, int]:
        if turn.free is not None:
            return turn.free + (frame - turn.frame), 1.0, 1 << 62
        found = grid.read(frame, entry.tick + turn.take.from_tick, turn.take.tempo_mbpm)
        if found.position < 1:  # later on, what the device's clock was at the start is not known any more
            start = grid.frame_at(entry.tick)
            entry.shift = round(start) - start
        return found.position - entry.shift, found.slope, found.end

    def _cut(self, before: Entry, after: Entry, frame: int, grid: Grid) -> bool:
        """Whether one loop can follow the other as they are: no step is heard, or the second begins with an attack."""
        if not before.turns or not after.turns or after.turns[0].frame > frame:
            return False
        old = self._read(before, frame - self._fade, frame, grid)
        new = self._read(after, frame, frame + self._fade, grid)
        step = float(np.abs(new[0] - old[-1]).max())
        nearby = max(float(np.abs(np.diff(part, axis=0)).max()) for part in (old[-16:], new[:16]))
        return step <= STEP + 2 * nearby or float(np.abs(new).max()) >= 2 * float(np.abs(old).max())

    def _duck(self, part: Samples, begin: int, grid: Grid) -> None:
        """Where the device's clock jumps, the loop is faded out and in again."""
        for jump in grid.clock.jumps():
            if jump - self._fade < begin + len(part) and begin < jump + self._fade:
                away = np.abs(np.arange(begin, begin + len(part)) - jump) / self._fade
                part *= np.minimum(1, away).astype(np.float32)[:, None]

    def _fade_in(self, part: Samples, at: int) -> None:
        """Fade in a part of which index 0 lies `at` frames behind where the fade begins."""
        head = self._rise[max(0, at) :][: len(part)]
        part[: len(head)] *= head[:, None]

    def _fade_out(self, part: Samples, at: int) -> None:
        """Fade out a part of which index 0 lies `at` frames behind where the fade begins; silence follows."""
        index = np.clip(np.arange(at, at + len(part)) / self._fade, 0, 1)
        part *= (1 - index).astype(np.float32)[:, None]

    # What plays by which take

    def _end_all(self, tick: int) -> None:
        self._entries = [entry for entry in self._entries if entry.tick < tick]
        for entry in self._entries:
            entry.end = min(entry.end, tick)

    def _take_up(self, grid: Grid, now: int) -> None:
        """Give every entry the best take there is for it."""
        for entry in self._entries:
            whole = self._takes.get(_whole(entry.loop))
            start, end = round(grid.frame_at(entry.tick)), grid.frame_at(entry.end)
            if end <= now:
                continue
            if not entry.turns and whole:
                self.late_frames += max(0, now - start)
                entry.turns.append(Turn(max(now, start), whole, now > start))
            better = self._better(entry, grid)
            if better and entry.turns:
                frame = max(now, round(grid.frame_at(entry.tick + better.from_tick)))
                if frame <= entry.turns[0].frame:
                    entry.turns = [Turn(entry.turns[0].frame, better, entry.turns[0].faded)]
                else:
                    entry.turns = [turn for turn in entry.turns if turn.frame < frame]
                    entry.turns.append(Turn(frame, better, True))

    def _stretches(self, grid: Grid) -> list[Want]:
        """Stretched loops, of what plays and will play, that would be better than what there is."""
        bent = [entry for entry in self._entries if self._bent(entry, grid) and not self._better(entry, grid)]
        return [self._stretched(entry, grid) for entry in bent] + [
            Want(loop, grid.tempo_mbpm)
            for loop in self._cued[-STRETCHED_AHEAD:]
            if _off(grid.tempo_mbpm, loop.tempo_mbpm) and _whole(loop) in self._takes
        ]

    def _better(self, entry: Entry, grid: Grid) -> Take | None:
        """A take at the tempo that now is, where that of an entry is not."""
        if not self._bent(entry, grid):
            return None
        found = self._takes.get(self._stretched(entry, grid))
        return found or self._takes.get(Want(entry.loop, grid.tempo_mbpm))

    def _stretched(self, entry: Entry, grid: Grid) -> Want:
        from_tick = max(0, min(grid.newest.tick, entry.end - 1) - entry.tick)
        return Want(entry.loop, grid.tempo_mbpm, from_tick)

    def _bent(self, entry: Entry, grid: Grid) -> bool:
        """Whether the tempo is another than that of the take an entry plays by, and it ought to follow."""
        if not entry.turns or entry.turns[-1].free is not None or entry.end <= grid.newest.tick:
            return False
        return _off(grid.tempo_mbpm, entry.turns[-1].take.tempo_mbpm)


def _whole(loop: LoopFile) -> Want:
    return Want(loop, loop.tempo_mbpm)


def _off(tempo_mbpm: int, other_mbpm: int) -> bool:
    return abs(tempo_mbpm / other_mbpm - 1) > TAPE
