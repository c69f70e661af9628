"""`sideman check ENGINE`: the conformance suite that the author of an engine runs (docs/ENGINES.md)."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import structs

from bridge.players.worker import check_chunk, one_line
from engines.bundle import find
from engines.engine import Chunk, Engine, Played, Request, State
from engines.errors import SidemanError
from engines.music import Meter, Note, Phrase
from engines.parameter import RESERVED_NAMES, Parameter, Parameters, Value
from engines.registry import opened

BARS = 24
SEED = 1
TEMPO_BPM = 120.0
METERS = (Meter(4, 4), Meter(7, 8), Meter(2, 4))
SHARE_OF_A_BAR = 0.25
"""Of the bar's length that making it may take at p99; what takes longer lives on the late policy."""

HEARD = tuple(Note(tick, 12 + i % 100, 1 + i % 127, 1 + i * 40) for i, tick in enumerate(range(-16_000, 0, 173)))
"""Four bars of everything, on no grid; some of it sounds on into the bar."""

BAND = tuple(structs.replace(note, part=1 + i % 16) for i, note in enumerate(HEARD))
"""The same from every seat."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which engine."""
    parser.add_argument("engine", help="its name among the entry points of sideman.engines")
    parser.add_argument("--bundle", default="", help="the bundle or folder it plays, if it needs one")


def run(args: argparse.Namespace) -> int:
    """Print a line for each rule; 1 if one is broken."""
    engine, _ = opened(args.engine, find(args.bundle) if args.bundle else None)
    broken = 0
    for rule, check in RULES.items():
        try:
            said = check(engine)
            print(f"ok      {rule}{f': {said}' if said else ''}", flush=True)
        except Exception as error:  # anyone's engine may raise anything
            broken += 1
            print(f"BROKEN  {rule}: {one_line(error)}", flush=True)
    return int(broken > 0)


def played(
    engine: Engine, meter: Meter = METERS[0], turned: dict[str, Value] | None = None
) -> Iterator[tuple[Chunk, State]]:
    """The first bars, and the state after each; each bar is checked for its span."""
    values = Parameters(engine.parameters).snapshot() | (turned or {})
    state = engine.start(SEED)
    for bar in range(BARS):
        request = asked(bar, meter, values)
        chunk, state = engine.generate(request, state)
        check_chunk(chunk, request)
        yield chunk, state


def asked(bar: int, meter: Meter, values: dict[str, Value], *, take: int = 0, **more: Any) -> Request:
    """A request as the planner makes it; more: of its other fields."""
    return Request(
        bar=bar, start_tick=bar * meter.bar_ticks, length_ticks=meter.bar_ticks, meter=meter, tempo_bpm=TEMPO_BPM,
        parameters=values, seed=SEED, take=take, vary=take > 0, **more,
    )  # fmt: skip


def names(engine: Engine) -> str:
    """Parameter names can be OSC addresses, are not those of verbs, and the defaults are in range."""
    for parameter in engine.parameters:
        if parameter.name in RESERVED_NAMES:
            raise SidemanError(f"{parameter.name} is the name of a verb or an output of every player")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", parameter.name):
            raise SidemanError(
                f"{parameter.name!r} cannot be part of an OSC address; use lower-case letters, digits, _"
            )
        parameter.check(parameter.default)
    found = [parameter.name for parameter in engine.parameters]
    if len(found) != len(set(found)):
        raise SidemanError("two parameters have the same name")
    return f"{len(found)} of them"


def spans(engine: Engine) -> str:
    """Every bar is of the length asked for, in any metre, and its notes or frames lie inside."""
    for meter in METERS:
        for _ in played(engine, meter):
            pass
    return ", ".join(map(str, METERS))


def extremes(engine: Engine) -> str:
    """It plays at both ends of every parameter."""
    for parameter in engine.parameters:
        for value in ends_of(parameter):
            checked = parameter.check(value)
            try:
                next(played(engine, turned={parameter.name: checked}))
            except Exception as error:  # as above
                raise SidemanError(f"with {parameter.name} at {checked}: {one_line(error)}") from error
    return f"{len(engine.parameters)} parameters"


def ends_of(parameter: Parameter) -> tuple[Value, ...]:
    """The values at the ends of a parameter's range: of a text, none at all and one as long as may be."""
    match parameter.kind:
        case "choice":
            return parameter.choices
        case "bool":
            return (False, True)
        case "text":
            return ("", "x" * int(parameter.high))
        case _:
            return (parameter.low, parameter.high)


def same(engine: Engine) -> str:
    """The same seed makes the same music."""
    if any(first != second for (first, _), (second, _) in zip(played(engine), played(engine), strict=True)):
        raise SidemanError("two runs with the same seed differ; draw from engines.randomness.generator alone")
    return ""


def unchanged(engine: Engine) -> str:
    """A state that was given is as it was: another take, undo and hot swap rest on it."""
    *_, (_, state) = played(engine)
    values = Parameters(engine.parameters).snapshot()
    first, _ = engine.generate(asked(BARS, METERS[0], values), state)
    engine.generate(asked(BARS, METERS[0], values, take=1), state)
    engine.generate(asked(BARS, METERS[0], values, fill=True), state)
    again, _ = engine.generate(asked(BARS, METERS[0], values), state)
    if again != first:
        raise SidemanError("generate changed the state it was given: a bar asked for again differs; return a new state")
    return ""


def hears(engine: Engine) -> str:
    """It plays whatever it is told of what others play, and the same when it is told the same."""
    ends = {p.name: p.high for p in engine.parameters if p.kind == "float"}
    on: dict[str, Value] = {p.name: True for p in engine.parameters if p.kind == "bool"}
    for turned in ({}, ends | on):
        state = engine.start(SEED)
        for bar, meter in enumerate(METERS):
            values = Parameters(engine.parameters).snapshot() | turned
            request = asked(bar, meter, values, heard=HEARD, band=BAND if bar else ())
            again, _ = engine.generate(request, state)
            chunk, state = engine.generate(request, state)
            check_chunk(chunk, request)
            if chunk != again:
                raise SidemanError("it was told of the same notes twice and made two different bars of them")
    return ""


def hurried(engine: Engine) -> str:
    """Asked for a bar for which there is no time, and for one that leads to a bar that is known, it makes a bar."""
    values, meter = Parameters(engine.parameters).snapshot(), METERS[0]
    chunk, state = engine.generate(asked(0, meter, values), engine.start(SEED))
    after = chunk if isinstance(chunk, Phrase) else Phrase(meter.bar_ticks)
    for request in (asked(1, meter, values, time_left_s=0.0), asked(1, meter, values, following=after)):
        check_chunk(engine.generate(request, state)[0], request)
    return ""


def primes(engine: Engine) -> str:
    """It goes on from bars that another worker played."""
    bars = (chunk for chunk, _ in played(engine))
    history = [Played(METERS[0], bar if isinstance(bar, Phrase) else Phrase(bar.length)) for bar in bars]
    state = engine.prime(history, SEED)
    request = asked(BARS, METERS[0], Parameters(engine.parameters).snapshot())
    chunk, _ = engine.generate(request, state)
    check_chunk(chunk, request)
    engine.prime((), SEED)
    return ""


def quick(engine: Engine) -> str:
    """A bar takes a small part of a bar."""
    bar_s = METERS[0].bar_ticks / 960 * 60 / TEMPO_BPM
    took_s, before_s = [], time.perf_counter()
    for _ in played(engine):
        now_s = time.perf_counter()
        took_s.append(now_s - before_s)
        before_s = now_s
    longest_s = max(took_s[2:])
    if longest_s > bar_s * SHARE_OF_A_BAR:
        raise SidemanError(f"{longest_s * 1e3:.0f} ms for a bar of {bar_s:g} s; the late policy will play most bars")
    return f"{longest_s * 1e3:.1f} ms at most for a bar of {bar_s:g} s"


RULES: dict[str, Callable[[Engine], str]] = {
    "its parameters have names of their own": names,
    "a bar is as long as it was asked to be": spans,
    "every parameter can be turned to its ends": extremes,
    "the same seed makes the same music": same,
    "a state is never changed": unchanged,
    "it goes on from what was played": primes,
    "it can be told what is heard": hears,
    "it takes a bar that is in a hurry, or between two": hurried,
    "it is quick enough": quick,
}
