"""What a performer can turn on a player of sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, get_args

import msgspec

from engines.bundle import Bundle
from engines.errors import BundleError
from engines.musicgen.faders import BundleFader
from engines.musicgen.sampling import GUIDANCE, Settings
from engines.musicgen.schedule import Curve
from engines.parameter import Parameter

PROMPT_MAX = 500
TOP_K_MAX = 2048
CANDIDATES_MAX = 8
CANDIDATES = 2
BARS_MAX = 64


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle's config says of playing.

    context_s: of the stream, from which it goes on when the decoder's positions run out
    others:    the parameters of these names, at first
    """

    context_s: Annotated[float, msgspec.Meta(ge=1.0, le=60.0)] = 6.0
    prompt: Annotated[str, msgspec.Meta(max_length=PROMPT_MAX)] = ""
    guidance: Annotated[float, msgspec.Meta(ge=1.0, le=10.0)] = GUIDANCE
    temperature: Annotated[float, msgspec.Meta(ge=0.0, le=2.0)] = 1.0
    top_k: Annotated[int, msgspec.Meta(ge=0, le=TOP_K_MAX)] = 250
    candidates: Annotated[int, msgspec.Meta(ge=1, le=CANDIDATES_MAX)] = CANDIDATES


def live_of(bundle: Bundle) -> Live:
    """Of a bundle. Raises BundleError."""
    try:
        return msgspec.convert(bundle.manifest.config.get("live", {}), Live)
    except msgspec.ValidationError as error:
        raise BundleError(f"{bundle.path}: config: live: {error}; export the bundle again") from error


def settings_of(
    bundle: Bundle, guidance: float | None, temperature: float | None, top_k: int | None, top_p: float = 1.0
) -> Settings:
    """How a bundle draws its codes: as it begins where nothing is said. Raises SidemanError."""
    live = live_of(bundle)
    settings = Settings(
        live.temperature if temperature is None else temperature,
        live.top_k if top_k is None else top_k,
        top_p,
        live.guidance if guidance is None else guidance,
    )
    settings.check()
    return settings


def parameters_for(faders: Sequence[BundleFader], live: Live) -> tuple[Parameter, ...]:
    """The engine's parameters, for a bundle of these faders."""
    rows = [
        Parameter(name="prompt", kind="text", default=live.prompt, high=PROMPT_MAX, help="what it shall sound like"),
        *(
            Parameter(
                name=each.name, kind="float", default=0.0, low=each.file.low, high=each.file.high,
                help=f"how much of {each.concept}; below 0 away from it",
            )
            for each in faders
        ),
        Parameter(
            name="guidance", kind="float", default=live.guidance, low=1.0, high=10.0,
            help="how closely it keeps to the prompt; 1 is twice as quick",
        ),
        Parameter(
            name="temperature", kind="float", default=live.temperature, high=2.0,
            help="how unlikely what is made may be",
        ),
        Parameter(
            name="top_k", kind="int", default=live.top_k, high=TOP_K_MAX, help="only the k likeliest codes; 0 is off"
        ),
        Parameter(
            name="schedule", kind="choice", default="constant", choices=get_args(Curve),
            help="what becomes of a fader's effect in the half minute after it was moved",
        ),
        Parameter(name="inject", kind="float", default=1.0, help="the chance that a step has a fader's effect"),
        Parameter(
            name="candidates", kind="int", default=live.candidates, low=1, high=CANDIDATES_MAX,
            help="made side by side for each bar; the one that is best on the beat is played",
        ),
        Parameter(
            name="bars", kind="int", default=0, high=BARS_MAX, unit="bars",
            help="so many come again until something is turned or varied; 0: it goes on for ever",
        ),
        Parameter(name="align", kind="bool", default=True, help="bring bars onto the beat, by up to 6 % of the tempo"),
        Parameter(
            name="keys", kind="float", default=1.0, high=2.0,
            help="how far the direction of a key's note rises while it is held; 0 is off",
        ),
        Parameter(name="attack", kind="float", default=50.0, high=10_000.0, unit="ms", help="of a held key's rise"),
        Parameter(name="release", kind="float", default=500.0, high=10_000.0, unit="ms", help="of its fall"),
        Parameter(
            name="steer_both", kind="bool", default=False, help="steer guidance's half without the prompt as well"
        ),
    ]  # fmt: skip
    return tuple(rows)
