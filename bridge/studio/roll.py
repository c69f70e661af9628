"""A song as a piano roll: an SVG picture, a colour for each role, drums in rows of their own below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bridge.files.song import SongBar, song_notes
from bridge.terminal.grids import ROWS
from engines.music import DRUM_OF_PITCH, DRUMS, TICKS_PER_BEAT, Note
from engines.notes.roles import ROLES

LEFT, TOP, GAP = 84, 22, 10
PITCH_HEIGHT, DRUM_HEIGHT, LEGEND_HEIGHT, LEGEND_WIDTH = 6, 12, 28, 84
BEAT_WIDTH_MIN, BEAT_WIDTH_MAX, SONG_WIDTH = 14.0, 34.0, 700.0
"""All in pixels. A beat is as wide as lets the song fit SONG_WIDTH, within its limits; a longer song is scrolled."""

PITCHES_MIN = 24
"""Two octaves at least, so that a riff of three notes does not fill the picture."""

COLOURS = (
    "currentColor", "#d95f02", "#1b6fb5", "#159a6c", "#8c5fbf", "#c79a00", "#d6336c", "#4c8ce0", "#b5651d", "#2f9e44",
    "#0c8599", "#e8590c", "#7048e8", "#a61e4d", "#5c940d", "#6b7785",
)  # fmt: skip
"""One for each of engines.notes.roles.ROLES; all can be told from white and from black."""


def piano_roll(song: Sequence[SongBar], given: Sequence[int] = ()) -> str:
    """The picture as one <svg> element.

    A note's width is its length, its opacity its velocity; a drum is a mark at its onset, as large as it is loud.
    given: the numbers, from 0, of bars that were there before: their ground is shaded.
    """
    notes, end_tick = song_notes(song)
    paper = _Paper.fitting(notes, end_tick)
    names = {part: ROLES[part - 1].name for part in sorted({note.part for note in notes}) if part}
    width = max(paper.x(end_tick) + GAP, LEFT + len(names) * LEGEND_WIDTH)
    height = paper.bottom + LEGEND_HEIGHT
    about = f"Piano roll: {len(song)} bars, {len(notes)} notes" + (f", {', '.join(names.values())}" if names else "")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="roll" role="img" aria-label="{escape(about)}" '
        f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" font-family="sans-serif" '
        f'font-size="11" fill="currentColor">',
        *_bars(song, paper, set(given)),
        *_rows(paper, paper.x(end_tick)),
        *(_mark(note, paper) if _is_drum(note) else _block(note, paper) for note in notes),
        *_legend(names, paper.bottom),
        "</svg>",
    ]
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class _Paper:
    """Where things are: from left to right the time, from top to bottom the pitches high to low, then the drums."""

    beat_width: float
    low: int
    high: int
    drums: tuple[str, ...]

    @classmethod
    def fitting(cls, notes: Sequence[Note], end_tick: int) -> _Paper:
        beats = max(end_tick / TICKS_PER_BEAT, 1.0)
        beat_width = min(max(SONG_WIDTH / beats, BEAT_WIDTH_MIN), BEAT_WIDTH_MAX)
        hit = {_drum(note) for note in notes if _is_drum(note)}
        drums = tuple(row for row in ("percussion", *ROWS) if row in hit)
        pitches = [note.pitch for note in notes if not _is_drum(note)]
        if not pitches:
            return cls(beat_width, 0, -1, drums)
        spare = max(0, PITCHES_MIN - 1 - (max(pitches) - min(pitches)))
        low = max(0, min(pitches) - spare // 2)
        return cls(beat_width, low, min(127, max(*pitches, low + PITCHES_MIN - 1)), drums)

    def x(self, tick: int) -> float:
        return round(LEFT + self.width(tick), 2)

    def width(self, ticks: int) -> float:
        return round(ticks * self.beat_width / TICKS_PER_BEAT, 2)

    def y(self, pitch: int) -> float:
        return TOP + (self.high - pitch) * PITCH_HEIGHT

    def drum_y(self, row: str) -> float:
        """The middle of a drum's row."""
        top = TOP + (self.high - self.low + 1) * PITCH_HEIGHT + (GAP if self.high >= self.low else 0)
        return top + (self.drums.index(row) + 0.5) * DRUM_HEIGHT

    @property
    def bottom(self) -> float:
        return self.drum_y(self.drums[-1]) + DRUM_HEIGHT / 2 if self.drums else self.y(self.low - 1)


def _is_drum(note: Note) -> bool:
    """Part 0 is the one part of an engine of drums; part 1 the first role, drums too."""
    return note.part <= 1


def _drum(note: Note) -> str:
    instrument = DRUM_OF_PITCH.get(note.pitch)
    return "percussion" if instrument is None else DRUMS[instrument].name


def _bars(song: Sequence[SongBar], paper: _Paper, given: set[int]) -> list[str]:
    """Lines at bars and beats, the numbers of the bars, and the ground of those that were given."""
    parts, start = [], 0
    for i, bar in enumerate(song):
        if i in given:
            parts.append(
                f'<rect class="given" x="{paper.x(start):g}" y="{TOP}" width="{paper.width(bar.phrase.length):g}" '
                f'height="{paper.bottom - TOP:g}" opacity="0.08"/>'
            )
        parts += [
            _line(paper.x(start + tick), paper.bottom, 0.12 if tick else 0.5)
            for tick in range(0, bar.phrase.length, bar.meter.beat_ticks)
        ]
        parts.append(_text(paper.x(start) + 3, TOP - 8, str(i + 1)))
        start += bar.phrase.length
    return [*parts, _line(paper.x(start), paper.bottom, 0.5)]


def _line(x: float, bottom: float, opacity: float) -> str:
    return f'<path d="M{x:g} {TOP}V{bottom:g}" stroke="currentColor" opacity="{opacity:g}"/>'


def _rows(paper: _Paper, right: float) -> list[str]:
    """A line and a name for each C, and the names of the drums."""
    parts = []
    for pitch in range(paper.low + -paper.low % 12, paper.high + 1, 12):
        y = paper.y(pitch) + PITCH_HEIGHT
        parts.append(f'<path d="M{LEFT} {y:g}H{right:g}" stroke="currentColor" opacity="0.2"/>')
        parts.append(_text(LEFT - 26, y, f"C{pitch // 12 - 1}"))
    return parts + [_text(4, paper.drum_y(row) + 4, row.replace("_", " ")) for row in paper.drums]


def _block(note: Note, paper: _Paper) -> str:
    return (
        f'<rect class="note" x="{paper.x(note.tick):g}" y="{paper.y(note.pitch):g}" '
        f'width="{max(2.0, paper.width(note.length)):g}" height="{PITCH_HEIGHT - 1}" rx="1" '
        f'fill="{COLOURS[note.part - 1]}" opacity="{_opacity(note):g}"/>'
    )


def _mark(note: Note, paper: _Paper) -> str:
    size = 2.0 + 3.5 * note.velocity / 127
    x, y = paper.x(note.tick), paper.drum_y(_drum(note))
    return f'<circle class="note" cx="{x:g}" cy="{y:g}" r="{size:.2g}" opacity="{_opacity(note):g}"/>'


def _opacity(note: Note) -> float:
    return round(0.35 + 0.65 * note.velocity / 127, 2)


def _legend(names: dict[int, str], bottom: float) -> list[str]:
    parts = []
    for i, (part, name) in enumerate(names.items()):
        x, y = LEFT + i * LEGEND_WIDTH, bottom + LEGEND_HEIGHT - 8
        parts.append(f'<rect x="{x}" y="{y - 9:g}" width="10" height="10" fill="{COLOURS[part - 1]}"/>')
        parts.append(_text(x + 14, y, name))
    return parts


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" opacity="0.75">{escape(text)}</text>'
