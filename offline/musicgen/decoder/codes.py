"""Codes of the clips of prepare musicgen: what a codec says of each, worked out once and kept beside them.

DATA/codes/HASH.npy: uint16 [frames, books] of all clips in the index's order, so that where a clip's codes are follows
from the index; EMPTY where there are none yet. The hash is of the codec's weights and the index: another codec, or
other clips, is another file. Interrupted, what was done is kept.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from offline.musicgen.index import INDEX, Clip, read_frames, read_index

FOLDER = "codes"
EMPTY = 0xFFFF
SECONDS_TOGETHER = 8.0
"""Of sound encoded at once: clips of one length, for silence behind a shorter one would change its last codes. More
at once leaves the cache: 9 ms of a core for a second of 8 or 16 of them, 12 to 20 of 32 and 48."""

Codes = NDArray[np.uint16]


def codec_hash(codec: Any) -> str:
    """SHA-256 over an EncodecModel's tensors in order of name."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(codec.state_dict().items()):
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        digest.update(memoryview(tensor.detach().to("cpu", torch.float32).contiguous().numpy()).cast("B"))
    return digest.hexdigest()


def check_codec(codec: Any, name: str) -> None:
    """Raise SidemanError for an EncodecModel whose codes a MusicGen of one channel cannot speak."""
    config = codec.config
    if config.audio_channels != 1 or config.normalize or config.chunk_length_s:
        raise SidemanError(f"{name}: a codec for this is mono, without normalize and without chunks")
    if not 2 <= config.codebook_size < EMPTY:
        raise SidemanError(f"{name}: its codebooks have {config.codebook_size:,} codes; 2 to {EMPTY - 1:,} are kept")


def coded(folder: Path, clips: Sequence[Clip], codec: Any, digest: str) -> list[Codes]:
    """The codes [books, frames] of clips of a prepared folder, from what is kept there, or else worked out now.

    codec: an EncodecModel in evaluation mode; digest: its codec_hash. Raises SidemanError for another rate.
    """
    rate_hz, hop = int(codec.config.sampling_rate), int(codec.config.hop_length)
    if other := {clip.rate_hz for clip in clips} - {rate_hz}:
        raise SidemanError(
            f"{folder} is at {other.pop():,} Hz, the codec at {rate_hz:,}: prepare it again with --rate {rate_hz}"
        )
    begins: dict[tuple[str, int], int] = {}
    total = 0
    for clip in read_index(folder):
        begins[clip.shard, clip.start_frame] = total
        total += _frames(clip, hop)
    kept = _opened(folder, digest, (total, int(codec.config.num_quantizers)))
    places = [begins[clip.shard, clip.start_frame] for clip in clips]
    spans = [slice(begin, begin + _frames(clip, hop)) for begin, clip in zip(places, clips, strict=True)]
    missing = [i for i, span in enumerate(spans) if (kept[span] == EMPTY).any()]
    missing.sort(key=lambda i: (_frames(clips[i], hop), places[i]))
    done = 0
    while done < len(missing):
        frames = _frames(clips[missing[done]], hop)
        room = max(1, int(SECONDS_TOGETHER * rate_hz / (frames * hop)))
        group = [i for i in missing[done : done + room] if _frames(clips[i], hop) == frames]
        found = _encoded(codec, np.stack([read_frames(folder, clips[i], 0, frames * hop) for i in group]))
        for i, codes in zip(group, found, strict=True):
            kept[spans[i]] = codes.T
        done += len(group)
        if sys.stderr.isatty():
            print(f"\r{folder}: {done:,} of {len(missing):,} clips encoded", end="", file=sys.stderr, flush=True)
    if missing:
        kept.flush()
        print(f"\r{folder}: {len(missing):,} clips encoded", file=sys.stderr)
    return [np.ascontiguousarray(kept[span].T) for span in spans]


def _frames(clip: Clip, hop: int) -> int:
    """Whole frames of codes in a clip."""
    return max(1, clip.frames // hop)


def _opened(folder: Path, digest: str, shape: tuple[int, int]) -> np.memmap[Any, np.dtype[np.uint16]]:
    """The file of codes, made if there is none, or if it is not what it should be."""
    index = hashlib.sha256((folder / INDEX).read_bytes()).hexdigest()
    path = folder / FOLDER / f"{digest[:16]}-{index[:16]}.npy"
    if path.is_file():
        try:
            kept = np.lib.format.open_memmap(path, "r+")
        except (OSError, ValueError):
            kept = None
        if kept is not None and kept.shape == shape and kept.dtype == np.uint16:
            return kept
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    fresh = np.lib.format.open_memmap(partial, "w+", np.uint16, shape)
    fresh[:] = EMPTY
    fresh.flush()
    del fresh
    partial.replace(path)
    return np.lib.format.open_memmap(path, "r+")


def _encoded(codec: Any, sound: NDArray[np.float32]) -> NDArray[np.int64]:
    """Codes [N, books, frames] of sound [N, frames * hop]."""
    import torch

    with torch.inference_mode():
        heard = torch.from_numpy(sound)[:, None].to(codec.device)
        codes = codec.quantizer.encode(codec.encoder(heard)).transpose(0, 1).cpu()
    numbers: NDArray[np.int64] = codes.numpy()
    return numbers
