"""Beginning: weights scaled so that every convolution of a new codec passes its input on at unit strength.

Weight normalisation's own, data-dependent initialisation (Salimans and Kingma 2016, section 3). With torch's default,
music at a usual level arrives at the codes as a hundredth of what the biases add: a codec then learns silence first,
and stays there for hundreds of steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LOUDNESS = 0.05
"""Standard deviation of what a new codec makes: about that of the music."""


@torch.no_grad()
def begin_weights(model: Any, audio: Tensor) -> None:
    """Scale the convolutions of an EncodecModel so that each gives mean 0 and deviation 1 for audio [B, 1, N]."""
    last = model.decoder.layers[-1].conv
    was_training = model.training

    def scale(module: Any, inputs: tuple[Tensor, ...], made: Tensor) -> Tensor:
        del inputs
        mean = made.mean((0, 2))
        centred = made - mean[None, :, None]
        by = (LOUDNESS if module is last else 1.0) / float(centred.std().clamp_min(1e-6))
        module.parametrizations.weight.original0.mul_(by)
        module.bias.copy_((module.bias - mean) * by)
        return centred * by

    kinds = (nn.Conv1d, nn.ConvTranspose1d)
    hooks = [module.register_forward_hook(scale) for module in model.modules() if isinstance(module, kinds)]
    try:
        model.eval()
        model.decoder(model.encoder(audio))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
