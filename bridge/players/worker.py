"""The worker: one player's engine in a process of its own, answering requests one after the other.

Run as `python -m bridge.players.worker DESCRIPTOR`. It may hang, crash or be killed: control sees its channel end and
the stage plays on. An exception in the engine is told as Failed and costs a bar, not the process.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from bridge.channel import Channel, ChannelClosedError
from bridge.files.loopwav import LoopFolder, filed
from bridge.messages.worker import Failed, Generate, Load, Made, Prime, Primed, ToWorker, WorkerReady
from bridge.players.grid import BarGrid
from bridge.players.spans import Spans
from engines.bundle import licence_of
from engines.engine import Engine, Request, State
from engines.errors import SidemanError
from engines.music import Phrase
from engines.parameter import RESERVED_NAMES, Parameters

NICENESS = 10
"""Lowered only once the engine is warm: a niced process starts up to ten times slower on a busy machine."""

WARM_UP_BARS = 24
WARM_UP_S = 0.4
NOTES_MAX = 4096
"""In a bar; an engine that returns more has gone mad."""

TROUBLES_MAX = 16
"""Lines that an engine may have told when it is loaded."""


REMARKS_MAX, REMARK_CHARACTERS_MAX = 8, 300
"""Lines that an engine may say of what it was asked, and how long each may be."""


class Worker:
    """An engine and its states by id; state 0 is the start. loops: where what an engine of audio makes is written."""

    def __init__(self, engine: Engine, seed: int, loops: LoopFolder | None = None) -> None:
        self.engine = engine
        self.seed = seed
        self._loops = loops
        self._states: dict[int, State] = {0: engine.start(seed)}

    def warm_up(self, spans: Spans, tempo_bpm: float = 120.0) -> float:
        """Make some bars, or spans, that nobody hears; the longest that one took, in seconds, after the first."""
        parameters = Parameters(self.engine.parameters).snapshot()
        state, took_s = self._states[0], []
        begun_s = time.perf_counter()
        for span in map(spans.span, range(WARM_UP_BARS)):
            request = Request(
                bar=span.number, start_tick=span.start_tick, length_ticks=span.length_ticks, meter=span.meter,
                tempo_bpm=tempo_bpm, parameters=parameters, seed=self.seed,
            )  # fmt: skip
            before_s = time.perf_counter()
            chunk, state = self.engine.generate(request, state)
            check_chunk(chunk, request)
            took_s.append(time.perf_counter() - before_s)
            if time.perf_counter() - begun_s > WARM_UP_S and len(took_s) >= 2:
                break
        remarks(self.engine)  # on bars that nobody hears
        return max(took_s[len(took_s) // 4 or 1 :])

    def close(self) -> None:
        """Control has gone, and cannot remove loops that were to go with the session."""
        if self._loops is not None:
            self._loops.close()

    def answer(self, message: Prime | Generate) -> Primed | Made | Failed:
        """What to send back, with the engine's remarks; an exception in the engine becomes Failed, in one line."""
        answer = self._answer(message)
        said = remarks(self.engine)
        return msgspec.structs.replace(answer, said=said) if said else answer

    def _answer(self, message: Prime | Generate) -> Primed | Made | Failed:
        try:
            if isinstance(message, Prime):
                self._states[message.id] = self.engine.prime(message.history, self.seed)
                return Primed(message.id)
            return self._made(message)
        except (Exception, SystemExit) as error:  # anyone's engine may raise anything
            return Failed(message.id, one_line(error))

    def _made(self, message: Generate) -> Made:
        if message.after not in self._states:
            raise SidemanError(f"state {message.after} is no longer kept")
        before_s = time.perf_counter()
        chunk, state = self.engine.generate(message.request, self._states[message.after])
        check_chunk(chunk, message.request)
        phrase = filed(chunk, message.request, self._loops)
        took_s = time.perf_counter() - before_s
        wanted = {0, message.after, *message.keep}
        self._states = {id_: kept for id_, kept in self._states.items() if id_ in wanted}
        self._states[message.id] = state
        return Made(message.id, phrase, took_s)


def check_chunk(chunk: object, request: Request) -> None:
    """Raise ValueError if what an engine returned is not a bar of the span that was asked for."""
    if isinstance(chunk, Phrase):
        _check_notes(chunk)
        length = chunk.length
    else:
        from engines.audio import Loop

        if not isinstance(chunk, Loop):
            raise ValueError(f"the engine returned a {type(chunk).__name__} instead of a Phrase or a Loop")
        length = chunk.length
    if length != request.length_ticks:
        raise ValueError(f"the engine returned {length} ticks instead of {request.length_ticks}")
    if not isinstance(chunk, Phrase):
        chunk.check(request.tempo_bpm)


def _check_notes(phrase: Phrase) -> None:
    if phrase.loop is not None:
        raise ValueError("the engine returned a Phrase with a file; audio is returned as a Loop")
    if len(phrase.notes) > NOTES_MAX:
        raise ValueError(f"the engine returned {len(phrase.notes)} notes in a bar; at most {NOTES_MAX} can be played")
    if any(type(value) is not int for note in phrase.notes for value in msgspec.structs.astuple(note)):
        raise ValueError("the engine returned a note whose tick, pitch, velocity or length is no Python int")
    phrase.check()


def load(message: Load) -> tuple[Engine, str]:
    """The engine that a Load names, and a line about it. Raises SidemanError."""
    from engines.registry import opened

    folder = Path(message.bundle) if message.bundle else None
    engine, description = opened(message.engine, folder, message.runtime, message.device)
    for parameter in engine.parameters:
        if parameter.name in RESERVED_NAMES:
            raise SidemanError(f"the engine {message.engine} calls a parameter {parameter.name}, a reserved name")
    return engine, description


def remarks(engine: Engine) -> tuple[str, ...]:
    """What an engine has to say to people since it was asked last (its method `said`, which not all have)."""
    said = getattr(engine, "said", None)
    if said is None:
        return ()
    try:
        lines = [str(line) for line in itertools.islice(said(), REMARKS_MAX)]
    except (Exception, SystemExit) as error:  # as above; the bar is made all the same
        lines = [f"its remarks cannot be had: {one_line(error)}"]
    return tuple(" ".join(line.split())[:REMARK_CHARACTERS_MAX] for line in lines)


def one_line(error: BaseException) -> str:
    """An exception for people: a SidemanError's message as it is, others with their type."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, SidemanError) else f"{type(error).__name__}: {text}".rstrip(": ")


def serve(channel: Channel) -> None:
    """Load what the first message says and answer until the other side has gone."""
    worker: Worker | None = None
    try:
        while True:
            channel.wait(None)
            channel.flush()
            for message in channel.receive():
                if isinstance(message, Load):
                    worker = _loaded(message, channel)
                    if worker is None:
                        return
                elif worker is not None:
                    channel.send(worker.answer(message))
    finally:
        if worker is not None:
            worker.close()


def _loaded(message: Load, channel: Channel) -> Worker | None:
    try:
        engine, description = load(message)
        loops = LoopFolder(Path(message.loops), message.loops_kept) if message.loops else None
        worker = Worker(engine, message.seed, loops)
        took_s = worker.warm_up(Spans(BarGrid(message.meter), message.chunk), message.tempo_mbpm / 1000)
    except (Exception, SystemExit) as error:  # as above
        channel.send(Failed(0, one_line(error)))
        while channel.waiting:
            channel.wait(None)
            channel.flush()
        return None
    troubles = tuple(getattr(engine, "troubles", ()))[:TROUBLES_MAX]
    licence = licence_of(Path(message.bundle)) if message.bundle else ""
    channel.send(WorkerReady(tuple(engine.parameters), took_s, description, troubles, licence))
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    return worker


def main(argv: list[str]) -> int:
    """Serve on the inherited descriptor."""
    accepts: Any = ToWorker
    channel = Channel.inherited(int(argv[1]), accepts)
    try:
        serve(channel)
    except ChannelClosedError:
        pass
    finally:
        channel.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
