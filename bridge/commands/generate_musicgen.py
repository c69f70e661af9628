"""`sideman generate musicgen BUNDLE`: sound of a text prompt, steered by directions, into WAV files.

With --strengths the same take is made at each strength of the directions, side by side; 0 is the baseline.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.set import new_seed
from engines.errors import SidemanError

if TYPE_CHECKING:
    from engines.musicgen.delay import Codes
    from engines.musicgen.direction import Direction
    from engines.musicgen.faders import BundleFader
    from engines.musicgen.generator import Generator, Take
    from engines.musicgen.model import MusicgenModel
    from engines.musicgen.steering import Fader

SECONDS, COEFFICIENT = 8.0, 0.5
SAMPLES_MAX, STRENGTHS_MAX = 64, 16
TOGETHER = 4
"""Takes that are made side by side."""
PROGRESS_S = 1.0

KEYS = ("coefficient", "units", "layers", "top", "base", "exponent", "schedule", "inject")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to make, and what bends it."""
    parser.add_argument("engine", choices=["musicgen"], help="sound of a prompt")
    parser.add_argument("bundle", help="a bundle of sideman export musicgen: its folder, or a shipped one's name")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.wav",
                        help="several takes get their strength and number behind the name")  # fmt: skip
    parser.add_argument("--prompt", default="", metavar="TEXT", help="what it shall sound like; default: nothing said")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of new sound; default: {SECONDS:g}")
    parser.add_argument("--continue", dest="begun", type=Path, metavar="FILE", help="go on from this sound")
    parser.add_argument("--new-only", action="store_true", help="write the new sound without what was continued")
    parser.add_argument("--seed", type=int, metavar="S", help="the same seed makes the same take; default: a new one")
    parser.add_argument("--max-samples", type=int, default=1, metavar="N", help="takes, each of the next seed")
    parser.add_argument("--direction", action="append", default=[], metavar="FILE[,KEY=VALUE...]",
                        help="steer by this, or by a fader of the bundle, NAME=VALUE; "
                             f"keys: {', '.join(KEYS)}; may be given several times")  # fmt: skip
    parser.add_argument("--strengths", type=float, nargs="+", metavar="X",
                        help="once at each: factors of the coefficients, 1 unless given")  # fmt: skip
    steering = parser.add_argument_group("steering", "for directions that do not say their own")
    steering.add_argument("--coefficient", type=float, metavar="C", help=f"default: {COEFFICIENT:g}")
    steering.add_argument("--units", default="raw", choices=("raw", "rms"), help="rms: of the residual")
    steering.add_argument("--layers", default="all", choices=("all", "top", "weighted"), help="default: all")
    steering.add_argument("--top", type=int, default=16, metavar="K", help="layers of --layers top; default: 16")
    steering.add_argument("--schedule", default="constant", metavar="NAME",
                          help="constant, exponential, linear, ramp, or points: STEP:FACTOR,...")  # fmt: skip
    steering.add_argument("--inject-chance", type=float, default=1.0, metavar="P", help="of a step; default: 1")
    steering.add_argument("--preset", choices=("paper",), help="paper: layers weighted, inject chance .3")
    steering.add_argument("--steer-both", action="store_true", help="guidance's half without the text as well")
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument("--guidance", type=float, help="1: none, and twice as fast; default: the bundle's")
    sampling.add_argument("--temperature", type=float, help="default: the bundle's")
    sampling.add_argument("--top-k", type=int, help="default: the bundle's")
    sampling.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--runtime", default="auto", choices=("auto", "int4", "int8", "fp32", "torchscript"),
                        help="default: auto, the quickest on the CPU")  # fmt: skip
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"),
                        help="of torchscript, which cuda and mps mean; default: auto, the first of them")  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="default: 1")


@dataclass(frozen=True, slots=True)
class Given:
    """A direction with its settings, the coefficient at strength 1."""

    direction: Direction
    coefficient: float
    settings: dict[str, str]

    def fader(self, strength: float) -> Fader:
        """As it acts. Raises SidemanError."""
        from engines.musicgen.direction import Selection
        from engines.musicgen.schedule import parsed
        from engines.musicgen.steering import fader

        own = self.settings
        try:
            selection = Selection(
                own["layers"], int(own["top"]), float(own.get("base", 1.0)),  # type: ignore[arg-type]
                float(own.get("exponent", 0.95)),
            )  # fmt: skip
            chance = float(own["inject"])
        except ValueError as error:
            raise SidemanError("--direction: top is written like 16, base, exponent and inject like 0.5") from error
        schedule = parsed(own["schedule"])
        coefficient = self.coefficient * strength
        return fader(
            self.direction, coefficient, selection, units=own["units"], schedule=schedule, inject_chance=chance,  # type: ignore[arg-type]
        )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Make the takes and write them. Raises SidemanError."""
    from engines.bundle import Bundle, find
    from engines.musicgen.faders import faders_of
    from engines.musicgen.generator import Generator
    from engines.musicgen.model import MusicgenModel
    from engines.musicgen.parameters import settings_of

    _check(args)
    bundle = Bundle.load(find(args.bundle))
    if bundle.manifest.engine != "musicgen":
        raise SidemanError(f"{args.bundle} is for the engine {bundle.manifest.engine}; sideman generate plays it")
    settings = settings_of(bundle, args.guidance, args.temperature, args.top_k, args.top_p)
    print(f"{bundle.manifest.name}: weights under {bundle.manifest.licence}", file=sys.stderr)
    model = MusicgenModel.load(bundle, args.runtime, args.threads, args.device)
    seed = new_seed() if args.seed is None else args.seed
    named = list(_takes(args, model, seed, faders_of(bundle, model.shape)[0]))
    if not args.prompt.strip():
        print("sideman: no prompt: it plays what comes to its mind", file=sys.stderr)
    begun = _begun(args, model)
    new = max(1, round(args.seconds * model.shape.frame_rate_hz))
    for first in range(0, len(named), TOGETHER):
        group = named[first : first + TOGETHER]
        takes = [take for _, take in group]
        frames = new + (0 if begun is None else begun.shape[1])
        generator = Generator(model, takes, settings, frames=frames, steer_both=args.steer_both).begin(begun)
        _write([path for path, _ in group], generator, begun, args.new_only)
    files = ", ".join(str(path) for path, _ in named)
    print(f"{files}: {new / model.shape.frame_rate_hz:.2f} s of {bundle.manifest.name}, seed {seed}")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raise SidemanError, before any work is done, for what cannot be."""
    if not (math.isfinite(args.seconds) and args.seconds > 0):
        raise SidemanError(f"--seconds {args.seconds:g}: a duration is above 0")
    if not 1 <= args.max_samples <= SAMPLES_MAX or not 1 <= args.threads <= 64:
        raise SidemanError(f"--max-samples goes from 1 to {SAMPLES_MAX}, --threads from 1 to 64")
    if args.output.suffix.lower() != ".wav":
        raise SidemanError(f"-o {args.output}: what is written is a .wav file")
    if not args.output.parent.is_dir():
        raise SidemanError(f"there is no folder {args.output.parent}; make it first")
    if args.output.is_dir():
        raise SidemanError(f"-o {args.output} is a folder; name a file in it")
    if args.strengths and not args.direction:
        raise SidemanError("--strengths are of directions; give at least one --direction FILE")
    if len(args.strengths or ()) > STRENGTHS_MAX:
        raise SidemanError(f"--strengths: at most {STRENGTHS_MAX} at once")


def _takes(
    args: argparse.Namespace, model: MusicgenModel, seed: int, faders: Sequence[BundleFader]
) -> Iterator[tuple[Path, Take]]:
    """Each take with the file that it goes to; says once for each strength what is held down."""
    from engines.musicgen.generator import Take
    from engines.musicgen.steering import Steering

    given = [_given(args, text, model, faders) for text in args.direction]
    prompt = model.prompt(args.prompt)
    strengths: Sequence[float] = args.strengths or [1.0]
    for strength in strengths:
        acting = [each.fader(strength) for each in given]
        steering = Steering(acting, model.shape.layers, model.shape.width)
        for line in steering.troubles():
            print(f"sideman: {line}", file=sys.stderr)
        for number in range(args.max_samples):
            name = args.output.stem + (f"-{strength:g}" if args.strengths else "")
            name += f"-{number + 1}" if args.max_samples > 1 else ""
            yield args.output.with_name(name + args.output.suffix), Take(prompt, steering, seed + number)


def _given(args: argparse.Namespace, text: str, model: MusicgenModel, faders: Sequence[BundleFader]) -> Given:
    """A direction from FILE,KEY=VALUE,..., or a bundle's fader from NAME=VALUE,KEY=VALUE,... Raises SidemanError."""
    from engines.musicgen.direction import read_direction
    from engines.musicgen.steering import INJECT_CHANCE

    name, *pairs = text.split(",")
    fader, _, value = name.partition("=")
    moved = next((each for each in faders if value and each.name == fader.lower()), None)
    paper = args.preset == "paper"
    settings = {
        "units": args.units, "layers": "weighted" if paper else args.layers, "top": str(args.top),
        "schedule": args.schedule, "inject": str(INJECT_CHANCE if paper else args.inject_chance),
    }  # fmt: skip
    if moved is not None:
        own = moved.file
        settings |= {"units": own.units, "layers": own.layers, "top": str(own.top), "base": str(own.base),
                     "exponent": str(own.exponent)}  # fmt: skip
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if key not in KEYS or not equals:
            raise SidemanError(f"--direction {name}: {pair!r} is no KEY=VALUE; keys are {', '.join(KEYS)}")
        settings[key] = value
    if moved is not None:
        try:
            coefficient = float(value) * float(settings.pop("coefficient", moved.file.coefficient))
            return Given(moved.direction, coefficient, settings)
        except ValueError as error:
            raise SidemanError(f"--direction {name}: a fader's value is written like 0.5") from error
    if value and not Path(name).exists():
        there = ", ".join(each.name for each in faders) or "none"
        raise SidemanError(f"--direction {name}: the bundle has no fader {fader}; there are {there}")
    direction = read_direction(Path(name).expanduser())
    direction.must_fit(model.shape.model_hash, model.shape.layers, model.shape.width)
    default = args.coefficient if args.coefficient is not None else 1.0 if args.strengths else COEFFICIENT
    try:
        coefficient = float(settings.pop("coefficient", default))
    except ValueError as error:
        raise SidemanError(f"--direction {name}: a coefficient is written like 0.5") from error
    return Given(direction, coefficient, settings)


def _begun(args: argparse.Namespace, model: MusicgenModel) -> Codes | None:
    """Codes of the sound that is continued: as much of its end as there is room for; None without one."""
    from engines.musicgen.wav import read_sound

    if args.begun is None:
        return None
    shape = model.shape
    room = (shape.positions - shape.delay.longest) / shape.frame_rate_hz - args.seconds
    if room <= 0:
        raise SidemanError(f"--seconds {args.seconds:g} leaves no room for --continue; ask for less")
    codes = model.codec.codes(read_sound(args.begun, shape.rate_hz, room))
    if not codes.shape[1]:
        raise SidemanError(f"{args.begun.name} is shorter than a frame of codes; give more of it")
    return codes


def _write(paths: Sequence[Path], generator: Generator, begun: Codes | None, new_only: bool) -> None:
    """Make takes side by side, and write each into its file, behind what it continues."""
    import numpy as np

    from engines.musicgen.wav import write_sound

    made, model = np.stack(list(_shown(generator)), axis=-1), generator.model
    for path, codes in zip(paths, made, strict=True):
        sound = model.codec.sound(codes if begun is None else np.concatenate([begun, codes], axis=1))
        old = 0 if begun is None or not new_only else begun.shape[1] * model.shape.hop
        write_sound(path, sound[old:], model.shape.rate_hz)


def _shown(generator: Generator) -> Iterator[Codes]:
    """The frames, with how far it is shown now and then if it takes long and somebody watches."""
    watched, shown_s = sys.stderr.isatty(), time.monotonic()
    for number, frame in enumerate(generator.made(), start=1):
        if watched and time.monotonic() - shown_s > PROGRESS_S:
            shown_s = time.monotonic()
            print(f"\rframe {number} of {generator.frames}", end="", file=sys.stderr, flush=True)
        yield frame
