"""Quantiser: how the codebooks of an EncodecModel learn. transformers' own only encode and decode.

As in EnCodec (Défossez et al. 2022, section 3.2, after Zeghidour et al. 2021): each codebook quantises what the ones
before it left over; its codes are running means of the vectors that chose them (van den Oord et al. 2017, appendix A),
begun with k-means, and begun anew where they are hardly chosen. The gradient passes the codes straight through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

K_MEANS_ROUNDS = 12


def quantised(
    quantiser: Any, encoded: Tensor, *, learn: bool, forget: float = 0.99, seldom: float = 0.1
) -> tuple[Tensor, Tensor, Tensor]:
    """What the codes of encoder outputs [B, D, T] stand for, in float32.

    quantiser: EncodecModel.quantizer; learn: move its codebooks (see CodecConfig.forget and seldom)
    Returns the quantised outputs [B, D, T] with the gradient passed straight through; the mean squared distance of the
    outputs from their codes, relative to their own power, over all books; and the codes [K, B, T].
    """
    import torch

    batch, width, frames = encoded.shape
    flat = encoded.float().permute(0, 2, 1).reshape(-1, width)
    left, total, distance, chosen = flat, torch.zeros_like(flat), flat.new_zeros(()), []
    power = flat.detach().pow(2).mean().clamp_min(1e-6)
    for layer in quantiser.layers:
        book = layer.codebook
        with torch.no_grad():
            codes = book.quantize(left.detach())
            vectors = book.embed[codes].clone()
            if learn:
                _learn(book, left.detach(), codes, forget, seldom)
        distance = distance + (left - vectors).pow(2).mean() / power
        # what is left over is taken straight through too, so that the outputs are pulled towards their codes
        total, left = total + vectors, left - vectors
        chosen.append(codes.reshape(batch, frames))
    straight = flat + (total - flat).detach()
    return straight.reshape(batch, frames, width).permute(0, 2, 1), distance, torch.stack(chosen)


def _learn(book: Any, vectors: Tensor, codes: Tensor, forget: float, seldom: float) -> None:
    """Move a codebook towards the vectors [N, D] that chose each of its codes [N]."""
    import torch

    size = book.codebook_size
    count = torch.bincount(codes, minlength=size).to(vectors)
    summed = torch.zeros_like(book.embed).index_add_(0, codes, vectors)
    book.cluster_size.mul_(forget).add_(count, alpha=1.0 - forget)
    book.embed_avg.mul_(forget).add_(summed, alpha=1.0 - forget)
    share = len(vectors) / size
    dead = (book.cluster_size < seldom * share).nonzero()[:, 0][: len(vectors)]
    if len(dead):
        picked = vectors[torch.randperm(len(vectors), device=vectors.device)[: len(dead)]]
        book.cluster_size[dead] = share
        book.embed_avg[dead] = picked * share
    book.embed.copy_(book.embed_avg / book.cluster_size[:, None])


def begin(quantiser: Any, vectors: Tensor, step: int) -> None:
    """Begin every codebook with k-means of what the ones before it left over of vectors [N, D].

    step: how many vectors a step of training brings, so that the running means begin as heavy as they will be
    """
    import torch

    left = vectors.float()
    for layer in quantiser.layers:
        book = layer.codebook
        size = book.codebook_size
        picked = torch.randint(len(left), (size,), device=left.device)
        centres = left[picked] + 1e-3 * left.std() * torch.randn(size, left.shape[1], device=left.device)
        for _ in range(K_MEANS_ROUNDS):
            book.embed.copy_(centres)
            codes = book.quantize(left)
            count = torch.bincount(codes, minlength=size).to(left)
            summed = torch.zeros_like(centres).index_add_(0, codes, left)
            lone = count == 0
            centres = summed / count.clamp_min(1.0)[:, None]
            centres[lone] = left[torch.randint(len(left), (int(lone.sum()),), device=left.device)]
        book.embed.copy_(centres)
        share = step / size
        book.cluster_size.fill_(share)
        book.embed_avg.copy_(centres * share)
        left = left - centres[book.quantize(left)]
