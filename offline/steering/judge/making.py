"""Making: the takes of a cell, by the bundle that a user plays; how likely its codes are under the text; its sound."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle
from engines.errors import SidemanError
from engines.musicgen.delay import Codes
from engines.musicgen.direction import read_direction
from engines.musicgen.generator import Generator, Take
from engines.musicgen.model import MusicgenModel, Prompt
from engines.musicgen.steering import Steering, fader
from offline.steering.codes import read_sound
from offline.steering.judge.cells import Cell, Plan, Source
from offline.steering.judge.hearing import VERSION, Heard, hear, keep, kept, read, write
from offline.steering.judge.notes import Sound
from offline.steering.judge.probe import Probe

CODES, HEARD = ".codes.npz", ".heard.npz"


def made(plan: Plan, cell: Cell | Source) -> str:
    """Make and hear a cell, or hear a source, unless it lies in the cache; what went wrong, or "".

    Whatever goes wrong is said and costs this cell alone: hours of others lie beside it.
    """
    try:
        if kept(plan.cache / f"{cell.name(plan)}{HEARD}", told(plan, cell)) is None:
            heard = _source(plan, cell) if isinstance(cell, Source) else _cell(plan, cell)
            keep(plan.cache / f"{cell.name(plan)}{HEARD}", heard, told(plan, cell))
    except Exception as error:
        return f"{type(error).__name__}: {error}" if not isinstance(error, SidemanError) else str(error)
    return ""


def found(plan: Plan, cell: Cell | Source) -> Heard | None:
    """What was heard of it, if it was."""
    return kept(plan.cache / f"{cell.name(plan)}{HEARD}", told(plan, cell))


def told(plan: Plan, cell: Cell | Source) -> str:
    """What a hearing depends on beyond the name of its file."""
    probe = plan.probe(cell.kind)
    adherence = plan.adherence if isinstance(cell, Cell) else 0
    return f"judges {VERSION}, {adherence} texts, probe {probe.stem if probe else 'none'}"


def _source(plan: Plan, source: Source) -> Heard:
    model = MusicgenModel.load(Bundle.load(plan.bundle), plan.runtime)
    rate_hz = model.shape.rate_hz
    length = round(plan.seconds * rate_hz)
    sounds = (
        [_cut(read_sound(path, rate_hz), length) for path in source.paths]
        if source.paths
        else [_nothing(source.title, length, number) for number in range(len(source.labels))]
    )
    if source.coded:
        sounds = [model.codec.sound(model.codec.codes(sound[:, None])).mean(axis=1) for sound in sounds]
    return hear(sounds, rate_hz, source.kind, _probe(plan, source.kind))


def _cut(sound: Sound, length: int) -> Sound:
    return np.pad(sound[:length], (0, max(0, length - len(sound))))


def _nothing(title: str, length: int, seed: int) -> Sound:
    """Sounds that are of no class: silence, white noise or brown noise."""
    noise = np.random.default_rng(seed).standard_normal(length)
    if title == "silence":
        noise *= 0.0
    elif title == "brown noise":
        noise = np.cumsum(noise)
        noise = noise - np.linspace(noise[0], noise[-1], length)
    return np.asarray(0.3 * noise / max(1.0, float(np.abs(noise).max())), np.float32)


def _cell(plan: Plan, cell: Cell) -> Heard:
    model = MusicgenModel.load(Bundle.load(plan.bundle), plan.runtime)
    path = plan.cache / f"{cell.name(plan)}{CODES}"
    before = read(path, cell.name(plan))
    prompts = {text: model.prompt(text) for text in dict.fromkeys(cell.prompts)}
    asked = [prompts[cell.prompts[number % len(cell.prompts)]] for number in range(plan.clips)]
    if before is None:
        codes = _takes(plan, cell, model, asked)
        write(path, {"codes": codes.astype(np.int32)}, cell.name(plan))
    else:
        codes = cast(Codes, before["codes"].astype(np.int64))
    sounds = [model.codec.sound(each).mean(axis=1) for each in codes]
    heard = hear(sounds, model.shape.rate_hz, cell.kind, _probe(plan, cell.kind))
    count = min(plan.adherence, plan.clips)
    text = text_nats(model, codes[:count], asked[:count]) if count else np.zeros(0)
    return Heard(heard.named, heard.basic, heard.harmonic, heard.bpm, heard.voiced, heard.probe, heard.level_db,
                 heard.bands, text)  # fmt: skip


def _probe(plan: Plan, kind: str) -> Probe | None:
    path = plan.probe(kind)
    return None if path is None else Probe.load(path, kind)


def _takes(plan: Plan, cell: Cell, model: MusicgenModel, prompts: list[Prompt]) -> Codes:
    """Codes [clips, books, frames]: take n has the seed plus n, and the prompts in turn, steered or not."""
    shape = model.shape
    faders = []
    if cell.direction is not None:
        direction = read_direction(cell.direction)
        direction.must_fit(shape.model_hash, shape.layers, shape.width)
        faders = [fader(direction, cell.strength, plan.selection, units=plan.units)]
    steering = Steering(faders, shape.layers, shape.width)
    takes = [Take(prompt, steering, plan.seed + number) for number, prompt in enumerate(prompts)]
    frames = max(1, round(plan.seconds * shape.frame_rate_hz))
    return np.concatenate(
        [
            Generator(model, takes[first : first + plan.batch], plan.settings, frames=frames).all()
            for first in range(0, len(takes), plan.batch)
        ]
    )


def text_nats(model: MusicgenModel, codes: Codes, prompts: list[Prompt]) -> NDArray[np.float64]:
    """[n]: log p(codes | text) - log p(codes | no text) in nats a code, of codes [n, books, frames], unsteered.

    The graph says what follows its last column alone, so the columns are told one by one, as in playing.
    """
    shape = model.shape
    delay, count = shape.delay, len(codes)
    laid = delay.laid(codes)
    columns = laid.shape[-1]
    context = model.context(2 * count, columns - 1)
    model.hear_prompts(context, [*prompts, *[model.prompt("")] * count])
    none = np.zeros((shape.layers, 2 * count, shape.width), np.float32)
    total = np.zeros(count)
    for column in range(columns - 1):
        now = np.concatenate([laid[:, None, :, column]] * 2)
        (logits,) = context.hear(1, codes=now, position=np.arange(column, column + 1), steer=none)
        said = delay.open(column + 1, codes.shape[-1])
        after = np.minimum(laid[:, :, column + 1], shape.vocabulary - 1)
        own = np.take_along_axis(_log_softmax(logits), np.concatenate([after, after])[..., None], axis=-1)[..., 0]
        total += ((own[:count] - own[count:]) * said).sum(axis=1)
    per_code: NDArray[np.float64] = total / (codes.shape[1] * codes.shape[2])
    return per_code


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def write_sounds(plan: Plan, cells: Iterable[Cell], folder: Path, count: int) -> None:
    """The first takes of each cell, as WAVs to listen to."""
    from engines.musicgen.wav import write_sound

    model = MusicgenModel.load(Bundle.load(plan.bundle), plan.runtime)
    folder.mkdir(parents=True, exist_ok=True)
    for cell in cells:
        name = cell.name(plan)
        before = read(plan.cache / f"{name}{CODES}", name)
        for number, codes in enumerate([] if before is None else before["codes"][:count].astype(np.int64)):
            path = folder / f"{name.rpartition('-')[0]}-{number + 1}.wav"
            write_sound(path, model.codec.sound(codes), model.shape.rate_hz)
