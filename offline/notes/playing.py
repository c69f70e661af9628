"""Playing: a bundle's engine plays from nothing, as it would live, for evaluation; and songs are written as MIDI."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engines.engine import Engine, Request
from engines.errors import SidemanError
from engines.music import STEP_TICKS, TICKS_PER_BEAT, Meter, Phrase
from engines.notes.events import BAR, Bars, Events, events_of, notes_of
from engines.notes.roles import ROLE_COUNT, ROLES
from engines.parameter import Parameters, Value
from offline.notes.models import Prompt

_ANY_GENRE = "any"


class EnginePlayer:
    """A Playing of any engine with a parameter `genre` whose notes have parts."""

    def __init__(self, engine: Engine, name: str) -> None:
        """Raises SidemanError, with the name, for an engine without genres."""
        self._engine = engine
        table = {parameter.name: parameter for parameter in engine.parameters}
        if "genre" not in table:
            raise SidemanError(f"{name} has no genres to ask for: it is no bundle of notes")
        self.genres = tuple(choice for choice in table["genre"].choices if choice != _ANY_GENRE)

    def play(self, prompt: Prompt) -> tuple[Events, Bars]:
        """See Playing; all seats may play. Raises SidemanError for a genre that it does not have."""
        parameters = Parameters(self._engine.parameters)
        wanted: dict[str, Value] = {
            "genre": prompt.genre or _ANY_GENRE, "follow": prompt.follow, **{role.name: True for role in ROLES},
        }  # fmt: skip
        if prompt.temperature is not None:
            wanted["temperature"] = prompt.temperature
        if prompt.top_p is not None:
            wanted["top_p"] = prompt.top_p
        if prompt.chord:
            wanted["chord"] = prompt.chord
        if prompt.blend:
            wanted |= {"blend": prompt.blend, "blend_amount": prompt.blend_amount}
        for name, value in wanted.items():
            if name in parameters:
                parameters.set(name, value)
        played = [np.zeros((0, 7), np.int32)]
        for number, (meter, phrase) in enumerate(self._bars(prompt, parameters)):
            rows = events_of(meter, phrase.notes)
            rows[:, BAR] = number
            played.append(rows)
        return np.concatenate(played), prompt.bars

    def _bars(self, prompt: Prompt, parameters: Parameters) -> Iterator[tuple[Meter, Phrase]]:
        state, tick = self._engine.start(prompt.seed), 0
        for number, bar in enumerate(prompt.bars):
            meter = meter_of(bar)
            request = Request(
                bar=number, start_tick=tick, length_ticks=meter.bar_ticks, meter=meter, tempo_bpm=float(bar[2]),
                parameters=parameters.snapshot(), seed=prompt.seed, heard=() if number else prompt.heard,
            )  # fmt: skip
            chunk, state = self._engine.generate(request, state)
            if not isinstance(chunk, Phrase):
                raise SidemanError("this engine plays audio; notes are evaluated")
            yield meter, chunk
            tick += meter.bar_ticks


def plain_bars(count: int, tempo_bpm: int = 120) -> Bars:
    """So many bars of 4/4."""
    return np.tile(np.array([[16, 4, tempo_bpm]], np.int32), (count, 1))


def meter_of(bar: Any) -> Meter:
    """The metre of a row of Bars: 7 sixteenths of eighths, half an eighth too many, are 7/16."""
    steps, denominator = int(bar[0]), int(bar[1])
    if steps * denominator % 16:
        denominator = 16
    return Meter(steps * denominator // 16, denominator)


def write_midi(path: Path, events: Events, bars: Bars) -> None:
    """Write events as a MIDI file: a track and channel for each role, metres and tempi; the same as the same bytes."""
    import mido

    starts = np.append(0, np.cumsum(bars[:, 0])) * STEP_TICKS
    file = mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    conductor: list[tuple[int, Any]] = []
    for i, bar in enumerate(bars):
        if i == 0 or (bar[:2] != bars[i - 1, :2]).any():
            meter = meter_of(bar)
            conductor.append((int(starts[i]), mido.MetaMessage(
                "time_signature", numerator=meter.numerator, denominator=meter.denominator)))  # fmt: skip
        if i == 0 or bar[2] != bars[i - 1, 2]:
            conductor.append((int(starts[i]), mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(int(bar[2])))))
    file.tracks.append(_track(conductor, int(starts[-1])))
    spans = np.searchsorted(events[:, BAR], np.arange(len(bars) + 1))
    notes = [
        (max(0, int(starts[bar]) + note.tick), note)
        for bar in range(len(bars))
        for note in notes_of(events[spans[bar] : spans[bar + 1]])
    ]
    for role in range(ROLE_COUNT):
        seat = ROLES[role]
        timed: list[tuple[int, Any]] = []
        for tick, note in notes:
            if note.part == role + 1:
                body = {"channel": seat.channel - 1, "note": note.pitch}
                timed.append((tick, mido.Message("note_on", velocity=note.velocity, **body)))
                timed.append((tick + note.length, mido.Message("note_off", velocity=0, **body)))
        if timed:
            timed.sort(key=_off_first)
            change = mido.Message("program_change", channel=seat.channel - 1, program=seat.program)
            file.tracks.append(_track([(0, change), *timed], int(starts[-1])))
    file.save(path)


def _track(timed: list[tuple[int, Any]], end_tick: int) -> Any:
    import mido

    track, now = mido.MidiTrack(), 0
    for tick, message in timed:
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, end_tick - now)))
    return track


def _off_first(timed: tuple[int, Any]) -> tuple[int, bool]:
    return timed[0], timed[1].type == "note_on"
