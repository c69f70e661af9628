"""DrumEngine: drum bars under the performer's hands, from any DrumModel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle
from engines.drums.bar import INSTRUMENTS, Bar, History, after, hits, masks_of
from engines.drums.follow import allowed
from engines.drums.model import ANY_STYLE, Carry, Controls, DrumModel
from engines.engine import Played, Request
from engines.errors import BundleError, SidemanError
from engines.music import DRUMS, STEP_TICKS, Phrase
from engines.parameter import Parameter
from engines.randomness import generator

MODEL_STREAM, CHANCE_STREAM = 0, 1

VARY_BIAS = 2.0
"""Nats that one press of `vary` adds to the choice of something new, for that bar."""

AUTO_DENSITY = -1.0


@dataclass(frozen=True, slots=True)
class DrumState:
    """What was generated so far, before mutes and chance took anything away, and the model's own state."""

    history: History = ()
    carry: Carry = None
    primed: bool = False


class DrumEngine:
    """Plays a drum bundle.

    The model hears what it wrote, not what mute, chance or swing made of it: unmuting brings the groove back whole.
    """

    def __init__(self, model: DrumModel) -> None:
        self.model = model
        self.parameters = parameters_for(model.styles)

    @classmethod
    def load(cls, bundle: Bundle | None, runtime: str = "auto") -> Self:
        """See engines.engine.Engine.load; raises SidemanError without a bundle of a known kind."""
        if bundle is None:
            raise SidemanError("the drum engine needs a bundle, such as groove")
        return cls(load_model(bundle, runtime))

    def start(self, seed: int) -> DrumState:
        """An empty history."""
        return DrumState()

    def prime(self, history: Sequence[Played], seed: int) -> DrumState:
        """The state after bars that were played."""
        bars = [Bar.from_phrase(played.meter, played.phrase) for played in history]
        return DrumState(after((), bars))

    def generate(self, request: Request, state: DrumState) -> tuple[Phrase, DrumState]:
        """One bar of the request's metre; see engines.engine.Engine.generate."""
        values = request.parameters
        density = float(values["density"])
        controls = Controls(
            style=str(values["style"]),
            fill=request.fill,
            density=None if density < 0 else density,
            bpm=request.tempo_bpm,
            temperature=float(values["temperature"]),
            variation=float(values["variation"]) + (VARY_BIAS if request.vary else 0.0),
            top_k=int(values["top_k"]),
            top_p=float(values["top_p"]),
            allowed=allowed(request, bool(values["tap"]), float(values["lock"])),
        )
        carry = state.carry if state.primed else self.model.prime(state.history, controls)
        random = generator(request.seed, request.bar, request.take, MODEL_STREAM)
        bar, carry = self.model.bar(state.history, carry, request.meter, controls, random)
        shaped = _performed(bar, request)
        return shaped.phrase(request.length_ticks), DrumState(after(state.history, (bar,)), carry, primed=True)


def parameters_for(styles: tuple[str, ...]) -> tuple[Parameter, ...]:
    """The engine's parameters, for a model of these styles."""
    rows = [
        Parameter(name="style", kind="choice", default=ANY_STYLE, choices=(ANY_STYLE, *styles), help="the genre"),
        Parameter(
            name="density", kind="float", default=AUTO_DENSITY, low=AUTO_DENSITY, high=1.0,
            help="how busy, against all music the model knows; below 0 it is the model's choice",
        ),
        Parameter(
            name="temperature", kind="float", default=1.0, high=2.0, help="how unlikely what is new may be"
        ),
        Parameter(
            name="variation", kind="float", default=0.0, low=-4.0, high=4.0,
            help="more or less that is new, rather than a copy of the past",
        ),
        Parameter(name="top_k", kind="int", default=0, high=512, help="only the k likeliest hits; 0 is off"),
        Parameter(name="top_p", kind="float", default=1.0, help="only the likeliest hits up to this share"),
        Parameter(
            name="swing", kind="float", default=0.0, high=1.0, help="how late off-beat sixteenths are; .67: triplets"
        ),
        Parameter(
            name="humanise", kind="float", default=1.0, high=1.5, help="a player's timing and dynamics; 0 is a machine"
        ),
        Parameter(name="tap", kind="bool", default=False, help="play the rhythm heard in the last bar, on any drums"),
        Parameter(name="lock", kind="float", default=0.0, help="share of the kick that goes with the bass heard"),
    ]  # fmt: skip
    for drum in DRUMS:
        rows += [
            Parameter(name=f"{drum.name}_mute", kind="bool", default=False, help=f"leave the {drum.name} out"),
            Parameter(name=f"{drum.name}_chance", kind="float", default=1.0, help=f"share of {drum.name} hits kept"),
            Parameter(
                name=f"{drum.name}_velocity", kind="float", default=1.0, high=2.0,
                help=f"{drum.name} velocity, times this",
            ),
        ]  # fmt: skip
    return tuple(rows)


MACHINE_VELOCITY = 95
"""Velocity of every hit when humanise is 0; the seed's."""

SWING_TICKS = STEP_TICKS // 2
"""Delay of the second of two sixteenths at swing 1; a triplet's is 2/3 of it."""


def _performed(bar: Bar, request: Request) -> Bar:
    """The bar as the performer's swing, humanise, mutes, chances and velocities leave it."""
    values = request.parameters
    amount, swing = float(values["humanise"]), float(values["swing"])
    scales = [0.0 if values[f"{drum.name}_mute"] else float(values[f"{drum.name}_velocity"]) for drum in DRUMS]
    chances = [float(values[f"{drum.name}_chance"]) for drum in DRUMS]
    if swing == 0.0 and {amount, *scales, *chances} == {1.0}:
        return bar
    on, scale, chance = hits(bar.masks), np.array(scales), np.array(chances)
    if (chance < 1.0).any():
        random = generator(request.seed, request.bar, request.take, CHANCE_STREAM)
        on = on & (random.random((bar.meter.steps, INSTRUMENTS)) < chance)
    on = on & (scale > 0.0)
    velocity = MACHINE_VELOCITY + amount * (bar.velocity.astype(np.float64) - MACHINE_VELOCITY)
    velocity = np.where(on, np.clip(np.rint(velocity * scale), 1, 127), 0)
    offset = amount * bar.offset + _swing(bar, swing)
    offset = np.where(on, np.clip(np.rint(offset), -STEP_TICKS // 2, STEP_TICKS - 1), 0)
    return replace(bar, masks=masks_of(on), velocity=velocity.astype(np.uint8), offset=offset.astype(np.int16))


def _swing(bar: Bar, swing: float) -> NDArray[np.float64]:
    late = np.zeros((bar.meter.steps, 1))
    late[1::2] = swing * SWING_TICKS
    return late


def load_model(bundle: Bundle, runtime: str = "auto") -> DrumModel:
    """The DrumModel of a bundle. Raises BundleError for a kind this version does not know."""
    kind = bundle.manifest.kind
    if kind == "groove":
        from engines.drums.groove import GrooveModel

        return GrooveModel.load(bundle, runtime)
    if kind == "lstm":
        from engines.drums.lstm import LstmModel

        return LstmModel.load(bundle, runtime)
    raise BundleError(f"{bundle.path} holds a drum model of kind {kind}; this version plays groove and lstm")
