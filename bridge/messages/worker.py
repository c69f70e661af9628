"""What control and a worker say to each other.

State 0 is the engine's start; every other is named by the message that made it.
"""

from __future__ import annotations

from bridge.messages.message import Message
from bridge.players.spans import SpanSize
from engines.engine import Played, Request
from engines.music import Meter, Phrase
from engines.parameter import Parameter

# Control to worker


class Load(Message, frozen=True):
    """First message: the engine (an entry point of `sideman.engines`), its bundle's folder or "", and the runtime.

    loops: the folder for what an engine of audio makes; loops_kept: how many files may be there at once, 0 is no limit.
    chunk, meter, tempo_mbpm: what it will be asked for, most likely, for its warm-up.
    device: where the engine runs, for one that has the choice.
    """

    engine: str
    bundle: str
    runtime: str
    seed: int
    loops: str = ""
    loops_kept: int = 0
    chunk: SpanSize = "bar"
    meter: Meter = Meter()
    tempo_mbpm: int = 120_000
    device: str = "auto"


class Prime(Message, frozen=True):
    """Make state `id` from what was played."""

    id: int
    history: tuple[Played, ...]


class Generate(Message, frozen=True):
    """Make a bar from state `after` (0: the start), leaving state `id`.

    keep: the other states that are still wanted; all that is in none of these is forgotten.
    """

    id: int
    after: int
    request: Request
    keep: tuple[int, ...] = ()


ToWorker = Load | Prime | Generate


# Worker to control


class WorkerReady(Message, frozen=True):
    """The engine is loaded and warm. bar_p99_s: how long a bar took in its warm-up, at worst.

    troubles: lines for people about what of its files it cannot use; licence: of its bundle's weights, "" without one.
    """

    parameters: tuple[Parameter, ...]
    bar_p99_s: float
    description: str
    troubles: tuple[str, ...] = ()
    licence: str = ""


class Primed(Message, frozen=True):
    """State `id` exists. said: see Made."""

    id: int
    said: tuple[str, ...] = ()


class Made(Message, frozen=True):
    """The bar asked for with `id`. said: lines for people, in which the engine remarks on what it was asked."""

    id: int
    phrase: Phrase
    took_s: float
    said: tuple[str, ...] = ()


class Failed(Message, frozen=True):
    """What was asked for with `id` (0: loading) could not be done; one line for people. said: see Made."""

    id: int
    text: str
    said: tuple[str, ...] = ()


FromWorker = WorkerReady | Primed | Made | Failed
