"""Bars made one after the other, faster than real time: the song that `live` plays with the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.files.loopwav import LoopFolder, filed
from bridge.files.midiread import read_midi
from bridge.files.song import SongBar
from engines.engine import Engine, Played, Request
from engines.errors import SidemanError
from engines.music import Meter, Phrase
from engines.parameter import Parameters

HISTORY_BARS = 64
"""So many of the bars before an engine is told of: none looks back farther."""
TEMPO_BPM = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be made: bars between those that are there before and after them, which may be none.

    places: metre and tempo in beats a minute of each new bar
    fill_every: each so many bars of the song a fill; 0: none
    notes_max: it ends with so many new notes, in the middle of a bar if need be; 0: no limit
    """

    seed: int
    places: Sequence[tuple[Meter, float]]
    before: Sequence[SongBar] = ()
    after: Sequence[SongBar] = ()
    fill_every: int = 0
    notes_max: int = 0


def continued(
    prompt: Sequence[SongBar], seed: int, bars: int, meter: Meter | None = None, tempo_bpm: float | None = None
) -> Plan:
    """So many bars after a prompt's last (none: out of nothing), in its metre and tempo where nothing else is said."""
    place = (
        meter or (prompt[-1].meter if prompt else Meter()),
        tempo_bpm or (prompt[-1].tempo_bpm if prompt else TEMPO_BPM),
    )
    return Plan(seed, [place] * bars, before=prompt)


def infilled(song: Sequence[SongBar], seed: int, bars: range) -> Plan:
    """These bars of a song, counted from 0, made anew between the others. Raises SidemanError for bars it lacks."""
    if not 0 <= bars.start < bars.stop <= len(song):
        raise SidemanError(f"bar {bars.stop} cannot be made anew: the file has {len(song)} bars")
    places = [(bar.meter, bar.tempo_bpm) for bar in song[bars.start : bars.stop]]
    return Plan(seed, places, song[: bars.start], song[bars.stop :])


def parse_bars(text: str) -> range:
    """Read "5" or "5-6", counted from 1, as bars counted from 0. Raises SidemanError."""
    first, dash, last = text.strip().partition("-")
    if first.isdecimal() and (last.isdecimal() if dash else not last):
        start, stop = int(first), int(last if dash else first)
        if 1 <= start <= stop:
            return range(start - 1, stop)
    raise SidemanError(f"{text!r} names no bars; write them like 5 or 5-6")


def prompt_for(engine: Engine, path: Path) -> list[SongBar]:
    """The bars of a MIDI file as an engine takes them: all its parts, or for one that plays drums alone these.

    Raises SidemanError for a file that cannot be used.
    """
    return read_midi(path, drums_only=not speaks_for_parts(engine))


def speaks_for_parts(engine: Any) -> bool:
    """Whether an engine's notes have parts (docs/ENGINES.md, Several parts)."""
    return bool(getattr(engine, "parts", False))


def made(engine: Engine, parameters: Parameters, plan: Plan, loops: LoopFolder | None = None) -> Iterator[SongBar]:
    """The new bars, each asked for as the live planner asks for it when none is late.

    loops: where those of an engine of audio are written.
    """
    before = [Played(bar.meter, bar.phrase) for bar in plan.before[-HISTORY_BARS:]]
    state = engine.prime(before, plan.seed) if before else engine.start(plan.seed)
    start_tick = sum(bar.phrase.length for bar in plan.before)
    last = len(plan.places) - 1
    notes = 0
    for i, (meter, tempo_bpm) in enumerate(plan.places):
        bar = len(plan.before) + i
        request = Request(
            bar=bar,
            start_tick=start_tick,
            length_ticks=meter.bar_ticks,
            meter=meter,
            tempo_bpm=tempo_bpm,
            parameters=parameters.snapshot(),
            seed=plan.seed,
            fill=plan.fill_every > 0 and (bar + 1) % plan.fill_every == 0,
            following=plan.after[0].phrase if plan.after and i == last else None,
        )
        chunk, state = engine.generate(request, state)
        phrase = filed(chunk, request, loops)
        left = plan.notes_max - notes
        if plan.notes_max and len(phrase.notes) >= left:
            yield SongBar(meter, tempo_bpm, Phrase(phrase.length, phrase.notes[:left]))
            return
        yield SongBar(meter, tempo_bpm, phrase)
        notes += len(phrase.notes)
        start_tick += meter.bar_ticks
