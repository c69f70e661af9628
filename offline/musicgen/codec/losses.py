"""Losses: how far a reconstruction is from the audio, in the waveform and in mel spectra at several resolutions.

Without a discriminator these carry everything, so the waveform counts for more than in EnCodec (equation 1: .1), and
the spectra are compared both as they are and in logarithm (as in audiocraft's multi-scale mel loss).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

SCALES = ((256, 24), (512, 40), (1024, 64), (2048, 80))
"""(window in frames, mel bands); windows overlap by three quarters."""
FLOOR = 5e-3
"""Of a magnitude before its logarithm is taken, -46 dB: below it the gradient would be all about silence."""
LOWEST_HZ = 30.0


class MelLoss:
    """Distance of mel spectra [B, N] of audio at one rate, on one device; made once, used for every batch."""

    def __init__(self, rate_hz: int, device: Any) -> None:
        import torch
        from transformers.audio_utils import mel_filter_bank

        self._scales = []
        for window, bands in SCALES:
            bank = mel_filter_bank(window // 2 + 1, bands, LOWEST_HZ, rate_hz / 2, rate_hz, norm=None, mel_scale="htk")
            self._scales.append((
                window,
                torch.hann_window(window, device=device),
                torch.tensor(bank, dtype=torch.float32, device=device),
            ))  # fmt: skip

    def __call__(self, made: Tensor, real: Tensor) -> Tensor:
        """Mean over scales of the mean distance in logarithm (nats) and of that as it is, relative to the real mean."""
        import torch

        total = made.new_zeros(())
        for ours, theirs in zip(self.spectra(made), self.spectra(real), strict=True):
            linear = (ours - theirs).abs().mean() / theirs.mean().clamp_min(1e-3)
            logarithm = (torch.log(ours + FLOOR) - torch.log(theirs + FLOOR)).abs().mean()
            total = total + linear + logarithm
        return total / len(SCALES)

    def spectra(self, audio: Tensor) -> list[Tensor]:
        """Magnitude mel spectra of audio [B, N], one [B, bands, T] a scale; a full sine's peak is about 1."""
        import torch

        found = []
        for window, shape, bank in self._scales:
            spectrum = torch.stft(audio, window, window // 4, window=shape, center=True, return_complex=True)
            magnitude = torch.sqrt(spectrum.real.pow(2) + spectrum.imag.pow(2) + 1e-9) * (4 / window)
            found.append(torch.einsum("bft,fm->bmt", magnitude, bank))
        return found


def time_loss(made: Tensor, real: Tensor) -> Tensor:
    """Distance of waveforms [B, N]: mean and power of the error, each relative to the real ones'; silence is 2.

    EnCodec has the mean alone; the power is what a codec that begins with silence first finds a way to lower.
    """
    error = made - real
    mean = error.abs().mean() / real.abs().mean().clamp_min(1e-3)
    return mean + error.pow(2).mean() / real.pow(2).mean().clamp_min(1e-6)


def si_sdr_db(made: Tensor, real: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio of each of [B, N], in dB (Le Roux et al. 2019)."""
    import torch

    made, real = made - made.mean(-1, keepdim=True), real - real.mean(-1, keepdim=True)
    scale = (made * real).sum(-1, keepdim=True) / real.pow(2).sum(-1, keepdim=True).clamp_min(1e-9)
    target = scale * real
    ratio = target.pow(2).sum(-1) / (made - target).pow(2).sum(-1).clamp_min(1e-9)
    return 10.0 * torch.log10(ratio.clamp_min(1e-9))
