"""One process's figures of a bundle of MusicGen's, for `sideman bench musicgen`: how much quicker than time it plays.

Run as `python -m bridge.commands.bench_texture BUNDLE SECONDS`; prints JSON. A process of its own, whose memory is that
of the model at play and of nothing else.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from engines.musicgen.model import MusicgenModel
    from engines.musicgen.steering import Steering

PROMPT = "80s pop track with bassy drums and synth"
CANDIDATES = (1, 2, 4)
CHUNK_S = 0.5
"""Of a stream; how long it is until the first of them is there is what a new prompt takes to be heard."""
PROMPTS = 5
THREADS = 1


class Spent(msgspec.Struct, frozen=True):
    """Seconds by the clock, and of all threads' CPU, that something took."""

    clock_s: float
    cpu_s: float


class Texture(msgspec.Struct, frozen=True):
    """What was measured, on one thread and with guidance.

    sound_s:      of sound that each candidate has
    whole:        by the number of candidates side by side: their codes, and the codec's sound of all of them
    chunks:       of one candidate, decoded in chunks of chunk_s as its codes come
    first_s:      of each of some prompts, from its text to the first chunk's samples
    memory_mb:    the most that the process had at once, None where the system does not say
    """

    variant: str
    sound_s: float
    chunk_s: float
    whole: dict[int, Spent]
    chunks: Spent
    first_s: tuple[float, ...]
    memory_mb: float | None


def measured(model: MusicgenModel, variant: str, seconds: float) -> Texture:
    """Play for so many seconds of sound, at most what the model counts to, with each number of candidates."""
    from engines.musicgen.steering import Steering

    shape = model.shape
    room = shape.positions - shape.delay.longest - shape.right
    chunk = min(room, max(1, round(CHUNK_S * shape.frame_rate_hz)))
    frames = chunk * max(1, min(round(seconds * shape.frame_rate_hz), room) // chunk)
    steering = Steering((), shape.layers, shape.width)
    _whole(model, steering, 1, chunk)  # what is done once is not counted
    whole = {count: _whole(model, steering, count, frames) for count in CANDIDATES}
    # A text of its own each time, as none is kept; the first is not counted.
    first_s = [_chunks(model, steering, f"{PROMPT} {number}", chunk, chunk).clock_s for number in range(PROMPTS + 1)]
    chunks = _chunks(model, steering, PROMPT, frames, chunk)
    return Texture(variant, frames / shape.frame_rate_hz, chunk / shape.frame_rate_hz, whole, chunks,
                   tuple(first_s[1:]), _memory_mb())  # fmt: skip


def _whole(model: MusicgenModel, steering: Steering, candidates: int, frames: int) -> Spent:
    """What it takes to make so many candidates side by side, prompt and codec with them."""
    from engines.musicgen.generator import Generator, Take
    from engines.musicgen.sampling import Settings

    begun_s, cpu_s = time.perf_counter(), time.process_time()
    prompt = model.prompt(PROMPT)
    takes = [Take(prompt, steering, seed) for seed in range(candidates)]
    for codes in Generator(model, takes, Settings(), frames=frames).all():
        model.codec.sound(codes)
    return Spent(time.perf_counter() - begun_s, time.process_time() - cpu_s)


def _chunks(model: MusicgenModel, steering: Steering, text: str, frames: int, chunk: int) -> Spent:
    """What it takes from a text to so many frames of sound, decoded in chunks as codes come."""
    import numpy as np

    from engines.musicgen.codec import CodecStream
    from engines.musicgen.generator import Generator, Take
    from engines.musicgen.sampling import Settings

    begun_s, cpu_s = time.perf_counter(), time.process_time()
    generator = Generator(model, [Take(model.prompt(text), steering, 0)], Settings())
    stream, waiting, said = CodecStream(model.codec), [], 0
    for frame in generator.made():
        waiting.append(frame[0])
        if len(waiting) == chunk + (0 if said else model.shape.right):  # the codec listens that far ahead
            said += len(stream.put(np.stack(waiting, axis=-1))) // model.shape.hop
            waiting.clear()
            if said >= frames:
                break
    return Spent(time.perf_counter() - begun_s, time.process_time() - cpu_s)


def _memory_mb() -> float | None:
    """The most that this process had in memory at once; None where it cannot be told."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()  # getrusage counts who started us as well
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:")), None)


def main() -> None:
    """Measure, print."""
    from engines.bundle import Bundle, find
    from engines.errors import SidemanError
    from engines.musicgen.model import MusicgenModel

    try:
        bundle = Bundle.load(find(sys.argv[1]))
        if bundle.manifest.engine != "musicgen":
            raise SidemanError(f"{sys.argv[1]} is for the engine {bundle.manifest.engine}, not musicgen")
        model = MusicgenModel.load(bundle, "auto", THREADS)
        print(msgspec.json.encode(measured(model, bundle.variants()[0], float(sys.argv[2]))).decode())
    except SidemanError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
