"""Activations: the residual stream after every decoder layer while a model hears clips, kept on disk.

They lie in CACHE/model/data/pooling, a file a clip, so that a second concept of the same set, or a training that was
interrupted, reads only what is new.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from offline.steering.codes import codes_of, condition, delayed, read_sound
from offline.steering.examples import Clip
from offline.steering.model import Model
from offline.steering.progress import told
from offline.steering.residual import watched

if TYPE_CHECKING:
    import torch

POOLINGS = ("mean", "last", "none")
TOKENS = 4
"""Positions of a clip, evenly spread, that are examples of their own without pooling."""


@dataclass(frozen=True, slots=True)
class Activations:
    """What a model makes of the clips of one data set.

    cache: the folder of all; data: SHA-256 of the set's index; prompt: the text it is read under, or ""
    """

    model: Model
    cache: Path
    data: str
    pooling: str = "mean"
    prompt: str = ""
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        under = f"-{hashlib.sha256(self.prompt.encode()).hexdigest():.8}" if self.prompt else ""
        folder = self.cache / f"{self.model.hash:.16}" / f"{self.data:.16}" / f"{self.pooling}{under}"
        object.__setattr__(self, "folder", folder)

    @property
    def tokens(self) -> int:
        """Examples that a clip gives."""
        return TOKENS if self.pooling == "none" else 1

    def read(self, clips: Sequence[Clip], batch: int) -> int:
        """Have the model hear the clips that it has not heard yet; how many those were.

        Raises SidemanError for a sound that cannot be read.
        """
        import torch
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [clip for clip in clips if not self._file(clip).is_file()]
        done = 0
        with torch.inference_mode():
            text = condition(self.model, self.prompt) if missing else None
            for group, sounds in self._batches(missing, batch):
                pooled, squares = self._heard(torch.from_numpy(sounds).to(self.model.device), text)
                if not squares.isfinite().all():
                    raise SidemanError(f"--model {self.model.name}: its activations are not finite numbers")
                for clip, own, square in zip(group, pooled, squares, strict=True):
                    part = self._file(clip).with_suffix(f".{os.getpid()}.part")  # another training may hear it too
                    save_file({"pooled": own.contiguous(), "squares": square.contiguous()}, part)
                    part.replace(self._file(clip))
                done += len(group)
                told(f"{done}/{len(missing)} clips heard", done == len(missing), logged=done % 100 < len(group))
        return done

    def layer(self, clips: Sequence[Clip], number: int) -> NDArray[np.float64]:
        """[clips * tokens, d] of one layer: a clip's tokens in a row. Raises SidemanError for a damaged file."""
        found = [self._kept(clip, lambda file: file.get_slice("pooled")[:, number]) for clip in clips]
        return np.concatenate(found).astype(np.float64)

    def scale(self, clips: Sequence[Clip]) -> NDArray[np.float32]:
        """[layers]: root mean square length of the residual stream, over all positions of the clips."""
        squares = [self._kept(clip, lambda file: file.get_tensor("squares")) for clip in clips]
        return np.sqrt(np.mean(squares, axis=0, dtype=np.float64)).astype(np.float32)

    def _kept(self, clip: Clip, take: Callable[[Any], NDArray[np.float32]]) -> NDArray[np.float32]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._file(clip), framework="numpy") as file:
                return take(file)
        except SafetensorError as error:
            raise SidemanError(f"{self._file(clip)} is damaged; remove it, and the clip is heard again") from error

    def _file(self, clip: Clip) -> Path:
        return self.folder / f"{clip.row:06}.safetensors"

    def _batches(self, clips: Sequence[Clip], batch: int) -> Iterator[tuple[list[Clip], NDArray[np.float32]]]:
        """Clips and their sounds [batch, samples], equally long: padding would be heard by the codec."""
        waiting: dict[int, list[tuple[Clip, NDArray[np.float32]]]] = defaultdict(list)
        hop = round(self.model.rate_hz / self.model.frame_rate_hz)
        for clip in clips:
            sound = read_sound(clip.path, self.model.rate_hz)
            sound = np.pad(sound, (0, -len(sound) % hop))
            waiting[len(sound)].append((clip, sound))
            if len(waiting[len(sound)]) == batch:
                yield _stacked(waiting.pop(len(sound)))
        for left in waiting.values():
            yield _stacked(left)

    def _heard(self, sound: torch.Tensor, text: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """[batch, tokens, layers, d] pooled, and [batch, layers] mean square lengths, of sound [batch, samples].

        The first token's position is left out: there is nothing to hear yet.
        """
        import torch

        model = self.model
        read = delayed(codes_of(model, sound), model.padding, model.channels)
        pooled: list[torch.Tensor] = []
        squares: list[torch.Tensor] = []

        def seen(_layer: int, hidden: torch.Tensor) -> None:
            heard = hidden[:, 1:].float()
            squares.append(heard.square().sum(2).mean(1).cpu())
            pooled.append(_pooled(heard, self.pooling).cpu())

        with watched(model.decoder_layers(), seen):
            model.network.decoder.model(
                read.flatten(0, 1), encoder_hidden_states=text.expand(len(sound), -1, -1), use_cache=False
            )
        return torch.stack(pooled, 2), torch.stack(squares, 1)


def _pooled(heard: torch.Tensor, pooling: str) -> torch.Tensor:
    """[batch, tokens, d] of [batch, positions, d]."""
    import torch

    if pooling == "mean":
        return heard.mean(1, keepdim=True)
    if pooling == "last":
        return heard[:, -1:]
    ends = torch.arange(1, TOKENS + 1, device=heard.device) * heard.shape[1] // TOKENS - 1
    return heard[:, ends.clamp(min=0)]


def _stacked(pairs: list[tuple[Clip, NDArray[np.float32]]]) -> tuple[list[Clip], NDArray[np.float32]]:
    return [clip for clip, _ in pairs], np.stack([sound for _, sound in pairs])
