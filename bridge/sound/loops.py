"""Loops on the grid: the frames that a player of audio sounds, for any stretch of frames and any number of times.

A loop plays as its file is, sample by sample, while the tempo is the one it was made at; one that brings the end of
what came before it (its lead) goes on from there without a seam, read between its frames where its span is no whole
number of them. When the tempo turns it is
read faster or slower at once, as a tape is, and within some hundredths of a second a stretched one of the same pitch
takes over (engines/stretch.py); by the other policy it goes on as it was to the end of its bar. A change of a
few cents' worth, as a clock that is followed makes all the time, stays a tape.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from bridge.sound.fades import Fades
from bridge.sound.grid import Grid
from bridge.sound.kit import Samples
from bridge.sound.takes import Entry, Take, Turn, Want
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
        self._rate = rate
        self._fades = Fades(rate)
        self._fade = self._fades.frames
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
            first = len(self._entries)
            for start in range(tick, tick + length_ticks, max(loop.ticks, length_ticks // REPEATS_MAX, 1)):
                entry = Entry(start, min(start + loop.ticks, tick + length_ticks), loop)
                if loop.lead and self._entries and self._entries[-1].end == start:
                    entry.join = round(loop.lead / 2 * self._rate / loop.rate)
                    entry.bend = _frames_a_tick(self._entries[-1].loop) / _frames_a_tick(loop)
                self._entries.append(entry)
            self._take_up(grid, now)
            return max(now, round(grid.frame_at(tick)) - self._entries[first].join)
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
            start, end = self._begins(entry, grid), self._ends(index, grid)
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
                self._fades.rise(part, begin - start)
            if stop > end:
                self._fades.fall(part, begin - end)
            self._fades.duck(part, begin, grid.clock)
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

    def _begins(self, entry: Entry, grid: Grid) -> int:
        """The frame from which on an entry sounds instead of the one before it, as far as it is there by then."""
        start = round(grid.frame_at(entry.tick))
        return min(start, max(start - entry.join, entry.turns[0].frame)) if entry.turns else start

    def _ends(self, index: int, grid: Grid) -> int:
        """The frame from which on an entry is faded, or the next one sounds."""
        entry, after = self._entries[index], self._entries[index + 1 : index + 2]
        follows = bool(after) and after[0].tick == entry.end
        return self._begins(after[0], grid) if follows else round(grid.frame_at(entry.end))

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
                self._fades.rise(found, starts - turn.frame)
            if until is not None and ends > until:
                self._fades.fall(found, starts - until)
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
        take = turn.take
        found = grid.read(frame, entry.tick + take.from_tick, take.tempo_mbpm)
        if take.lead:
            position, slope, until = found.position * take.pace, found.slope * take.pace, found.end
            if position < 0:
                position, slope = position * entry.bend, slope * entry.bend
                until = min(until, frame + int(np.ceil(-position / slope)))
            return take.lead + position, slope, until
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
                begins_within = not entry.join and whole.goes_on  # there is nothing that it could go on from
                entry.turns.append(Turn(max(now, start - entry.join), whole, now > start or begins_within))
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


def _frames_a_tick(loop: LoopFile) -> float:
    """How many of the device's frames, but for a factor, a tick of a loop has."""
    return loop.frames / loop.rate / loop.ticks
