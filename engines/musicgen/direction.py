"""Directions: where to push a model's residual stream so that a concept is heard, and how to push with several layers.

A direction is a pair of files: NAME.safetensors with the tensors, NAME.json beside it with what is to be known of them.
Both are checked when they are read; nothing is ever unpickled. What is made of a direction here, steer [layers, d], is
added to the residual stream after each decoder layer, before the final norm.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError

SCHEMA = 1
TENSORS, ABOUT = ".safetensors", ".json"
LAYERS_MAX, WIDTH_MAX = 512, 1 << 15
ABOUT_BYTES_MAX = 4 << 20

Method = Literal["rfm", "diffmean", "ridge", "random"]
Task = Literal["binary", "multiclass", "regression"]
Units = Literal["raw", "rms"]
Layers = Literal["all", "top", "weighted"]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON beside the tensors.

    concept: what it steers to, such as "note:C" or "tempo"; task: of the training; method: how it was found
    model:   SHA-256 of the decoder's tensors; a direction is of no use to another model
    pooling: of the activations over time, "mean", "last", "none"; prompt: the text they were read under, or ""
    split:   examples of each split
    scores:  of each layer on validation: AUC, or correlation for a regression, of the projection on the direction;
             of no meaning where the vector is zero: such a layer was left out
    made:    how, in detail; sha256: of the tensors' file
    """

    schema: int
    concept: str
    task: Task
    method: Method
    model: str
    pooling: str
    prompt: str
    split: dict[str, int]
    scores: tuple[float, ...]
    made: dict[str, Any]
    sha256: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Direction:
    """A direction whose sign and class are resolved: more of it, more of the concept.

    vectors: float32 [layers, d], each of length 1, or 0 where the layer was left out
    scale:   float32 [layers], root mean square length of the residual stream after each layer
    """

    about: About
    vectors: NDArray[np.float32]
    scale: NDArray[np.float32]

    @property
    def trained(self) -> NDArray[np.bool_]:
        """[layers]: which layers have a vector."""
        return np.asarray(self.vectors.any(axis=1))

    def must_fit(self, model: str, layers: int, width: int) -> None:
        """Raise SidemanError unless it was made for the model of this hash and shape."""
        name = f"the direction {self.about.concept} ({self.about.method})"
        if self.vectors.shape != (layers, width):
            own, other = "x".join(map(str, self.vectors.shape)), f"{layers}x{width}"
            raise SidemanError(f"{name} is for a model of {own} layers and width, this one has {other}; {_AGAIN}")
        if self.about.model != model:
            raise SidemanError(f"{name} is for another model ({self.about.model:.8}, not {model:.8}); {_AGAIN}")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which layers are pushed, and how much each.

    layers: "all" alike; "top": only the `top` best; "weighted": all, by base * s ** (1 / coefficient) with s the score
            between the worst layer's, 0, and the best one's, 1
    """

    layers: Layers = "all"
    top: int = 16
    base: float = 1.0
    coefficient: float = 0.95

    def __post_init__(self) -> None:
        if self.layers not in get_args(Layers):
            raise SidemanError(f"there is no layer selection {self.layers!r}: {', '.join(get_args(Layers))}")
        if self.top < 1:
            raise SidemanError(f"top {self.top} selects no layer; it goes from 1 on")
        if not (np.isfinite(self.base) and np.isfinite(self.coefficient) and self.coefficient > 0):
            raise SidemanError(f"base {self.base}, coefficient {self.coefficient}: finite, and a coefficient above 0")


def layer_weights(direction: Direction, selection: Selection) -> NDArray[np.float32]:
    """float32 [layers]; 0 for layers that were left out of the training."""
    trained, scores = direction.trained, np.asarray(direction.about.scores, np.float64)
    weights = np.zeros(len(trained), np.float32)
    if not trained.any():
        return weights
    if selection.layers == "all":
        weights[trained] = 1.0
    elif selection.layers == "top":
        weights[np.argsort(np.where(trained, -scores, np.inf), kind="stable")[: selection.top]] = 1.0
        weights[~trained] = 0.0
    else:
        low, high = scores[trained].min(), scores[trained].max()
        share = (scores[trained] - low) / (high - low) if high > low else np.ones(int(trained.sum()))
        weights[trained] = selection.base * share ** (1.0 / selection.coefficient)
    return weights


def steer(
    direction: Direction, coefficient: float, selection: Selection | None = None, units: Units = "raw"
) -> NDArray[np.float32]:
    """What is added after each layer, float32 [layers, d]; several directions are summed.

    coefficient: negative pushes away; 0 is exactly nothing
    units:       "raw": the coefficient is the length of what is added, as the seed has it; "rms": that length is a
                 share of the residual stream's own, layer by layer
    Raises SidemanError for a coefficient that is no number.
    """
    if not np.isfinite(coefficient):
        raise SidemanError(f"the coefficient of {direction.about.concept} is {coefficient}; it must be a finite number")
    if units not in get_args(Units):
        raise SidemanError(f"there are no units {units!r}: {', '.join(get_args(Units))}")
    weights = coefficient * layer_weights(direction, selection or Selection()).astype(np.float64)
    if units == "rms":
        weights = weights * direction.scale
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite; engines.musicgen.steering.fader says so
        return np.asarray(weights[:, None] * direction.vectors, np.float32)


def write_direction(direction: Direction, path: Path) -> None:
    """Write NAME.safetensors, which path names, and NAME.json; an old pair is replaced."""
    from safetensors.numpy import save

    data = save({"vectors": direction.vectors, "scale": direction.scale})
    about = msgspec.structs.replace(direction.about, sha256=hashlib.sha256(data).hexdigest())
    _check(Direction(about, direction.vectors, direction.scale), path)
    for file, content in ((path, data), (path.with_suffix(ABOUT), _json(about))):
        part = file.with_name(f".{file.name}.part")
        part.write_bytes(content)
        part.replace(file)


def read_direction(path: Path) -> Direction:
    """Read and check a direction by either of its two files. Raises SidemanError, naming what is wrong."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if path.is_dir():
        names = sorted(file.name for file in path.glob(f"*{TENSORS}"))
        raise SidemanError(f"{path} is a folder; name a direction in it: {', '.join(names) or 'there is none'}")
    file, beside = path.with_suffix(TENSORS), path.with_suffix(ABOUT)
    if path.suffix not in (TENSORS, ABOUT) or not file.is_file() or not beside.is_file():
        raise SidemanError(f"{path} is no direction: it takes NAME{TENSORS} and NAME{ABOUT} beside it; {_AGAIN}")
    if beside.stat().st_size > ABOUT_BYTES_MAX:
        raise SidemanError(f"{beside} is larger than a direction's can be; {_AGAIN}")
    try:
        about = msgspec.json.decode(beside.read_bytes(), type=About)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SidemanError(f"{beside} is no direction's: {error}") from error
    if about.schema != SCHEMA:
        raise SidemanError(f"{beside} is of schema {about.schema}; this version reads {SCHEMA}; {_AGAIN}")
    if file.stat().st_size > LAYERS_MAX * WIDTH_MAX * 4:
        raise SidemanError(f"{file} is larger than a direction can be; {_AGAIN}")
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != about.sha256:
        raise SidemanError(f"{file} was altered, or belongs to another {ABOUT[1:].upper()}; {_AGAIN}")
    try:
        tensors = load(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise SidemanError(f"{file} cannot be read: {error}") from error
    if set(tensors) != {"vectors", "scale"}:
        raise SidemanError(f"{file} holds {', '.join(sorted(tensors)) or 'nothing'}; a direction is vectors and scale")
    return _check(Direction(about, tensors["vectors"], tensors["scale"]), file)


def _check(direction: Direction, file: Path) -> Direction:
    about, vectors, scale = direction.about, direction.vectors, direction.scale
    layers = len(about.scores)
    wrong = ""
    if vectors.dtype != np.float32 or scale.dtype != np.float32:
        wrong = f"its tensors are {vectors.dtype} and {scale.dtype}, not float32"
    elif vectors.ndim != 2 or not (0 < len(vectors) <= LAYERS_MAX and 0 < vectors.shape[1] <= WIDTH_MAX):
        wrong = f"its vectors are of shape {vectors.shape}"
    elif scale.shape != (len(vectors),) or layers != len(vectors):
        wrong = f"it has {len(vectors)} vectors, {len(scale) if scale.ndim else 0} scales and {layers} scores"
    elif not (np.isfinite(vectors).all() and np.isfinite(scale).all() and np.isfinite(about.scores).all()):
        wrong = "it holds numbers that are not finite"
    elif (scale < 0).any():
        wrong = "a layer's scale is below 0"
    elif not direction.trained.any():
        wrong = "it points nowhere"
    elif (np.abs(np.linalg.norm(vectors[direction.trained], axis=1) - 1.0) > 1e-3).any():
        wrong = "its vectors are not of length 1"
    elif len(about.model) != 64 or set(about.model) - set("0123456789abcdef"):
        wrong = "it does not say which model it is for"
    if wrong:
        raise SidemanError(f"{file} is no direction: {wrong}; {_AGAIN}")
    return direction


def _json(about: About) -> bytes:
    return msgspec.json.format(msgspec.json.encode(about), indent=1) + b"\n"


_AGAIN = "make it with: sideman train steering"
