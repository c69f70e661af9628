"""`sideman evaluate codec DATASET --codec RUN`: what is left of held-out audio after the codec, beside controls.

Measured for each kind of source on the same cuts: SI-SDR, the distance of mel spectra in dB, the share of notes whose
pitch survives, and how evenly the codes are used. The controls are what a codec must beat or cannot: silence, another
clip's audio, the audio below 1 kHz, the same codec without its codes (what the network alone loses), with fewer books,
and Opus at its lowest rate.
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from offline.csvfile import Cell, write_csv
from offline.data.labels import SPLITS
from offline.data.pitch import pitch

Audio = NDArray[np.float32]

OPUS_LEVEL = 1.0
CUTOFF_HZ = 1_000.0
RESULTS = "codec.csv"
_MAX_CUTS = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman evaluate codec`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a folder from prepare musicgen")
    parser.add_argument(
        "--codec", type=Path, required=True, metavar="RUN", help="a run of train codec, or a folder for from_pretrained"
    )
    parser.add_argument("--split", default="validation", metavar="SPLIT", help="which clips: validation or test")
    parser.add_argument("--cuts", type=int, default=240, metavar="N", help="cuts of audio, all sources together [240]")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="length of a cut [2]")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help=f"where {RESULTS} goes [not written]")


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns 0. Raises SidemanError for a mistake."""
    from offline.musicgen.codec.checkpoint import load_codec
    from offline.musicgen.codec.data import clips_of, fixed_cuts

    if args.split not in SPLITS:
        raise SidemanError(f"--split {args.split}: there are {', '.join(SPLITS)}")
    if not 1 <= args.cuts <= _MAX_CUTS or not 0.5 <= args.seconds <= 30.0:
        raise SidemanError(f"--cuts goes from 1 to {_MAX_CUTS:,}, --seconds from 0.5 to 30")
    codec = load_codec(args.codec)
    rate_hz, hop = int(codec.config.sampling_rate), int(codec.config.hop_length)
    frames = round(args.seconds * rate_hz / hop) * hop
    cuts, sources = fixed_cuts(args.dataset, clips_of(args.dataset, args.split, rate_hz), args.cuts, frames)
    rows = figures(codec, cuts, sources)
    print(table(rows))
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        write_csv(args.output / RESULTS, rows)
    return 0


def figures(codec: Any, cuts: Audio, sources: Sequence[str]) -> list[dict[str, Cell]]:
    """A row for each way that audio [N, frames] can come back, over all sources and for each."""
    rate_hz = int(codec.config.sampling_rate)
    kinds = np.array(sources)
    rows: list[dict[str, Cell]] = []
    for name, way in _ways(codec, cuts, rate_hz).items():
        made, kbps, used = way()
        if made is None:
            continue
        found = _figures(made, cuts, rate_hz)
        for kind in ("all", *sorted(set(sources))):
            chosen = np.ones(len(kinds), bool) if kind == "all" else kinds == kind
            row: dict[str, Cell] = {"way": name, "source": kind, "cuts": int(chosen.sum()), "kbps": kbps}
            row |= {key: float(np.nanmean(values[chosen])) for key, values in found.items()}
            rows.append(row | {"codes_used": used})
    return rows


def table(rows: Sequence[dict[str, Cell]]) -> str:
    """The rows as text."""
    columns = list(rows[0])
    lines = ["".join(f"{column:>14}" if i > 1 else f"{column:<22}" for i, column in enumerate(columns))]
    for row in rows:
        cells = []
        for i, column in enumerate(columns):
            cell = row[column]
            text = "" if cell is None else f"{cell:.3g}" if isinstance(cell, float) else str(cell)
            cells.append(f"{text:>14}" if i > 1 else f"{text:<22}")
        lines.append("".join(cells))
    return "\n".join(lines)


Way = Callable[[], tuple[Audio | None, float | None, float | None]]
"""Audio as it comes back, kilobits a second, and the share of the codes in use (perplexity / size)."""


def _ways(codec: Any, cuts: Audio, rate_hz: int) -> dict[str, Way]:
    books = int(codec.config.num_quantizers)
    ways: dict[str, Way] = {"codec": lambda: _coded(codec, cuts, books)}
    for fewer in range(books - 1, 0, -1):
        ways[f"codec, {fewer} of {books} books"] = lambda fewer=fewer: _coded(codec, cuts, fewer)  # type: ignore[misc]
    ways["codec without codes"] = lambda: (_uncoded(codec, cuts), None, None)
    ways["opus at its lowest"] = lambda: _opus(cuts, rate_hz)
    ways["below 1 kHz"] = lambda: (_low(cuts, rate_hz), None, None)
    ways["another clip"] = lambda: (np.roll(cuts, 1, axis=0), None, None)
    ways["silence"] = lambda: (np.zeros_like(cuts), 0.0, None)
    return ways


def _coded(codec: Any, cuts: Audio, books: int) -> tuple[Audio, float, float]:
    import torch

    size, made = int(codec.config.codebook_size), []
    used = torch.zeros(books, size)
    with torch.no_grad():
        for part in torch.split(torch.from_numpy(cuts), 8):
            codes = codec.quantizer.encode(codec.encoder(part[:, None]))[:books]
            made.append(codec.decoder(codec.quantizer.decode(codes))[:, 0].numpy())
            for book in range(books):
                used[book] += torch.bincount(codes[book].flatten(), minlength=size)
    share = used / used.sum(1, keepdim=True)
    bits = -(share * torch.log2(share.clamp_min(1e-12))).sum(1)
    kbps = books * math.log2(size) * codec.config.frame_rate / 1000
    return np.concatenate(made)[:, : cuts.shape[1]], kbps, float((2.0**bits).mean()) / size


def _uncoded(codec: Any, cuts: Audio) -> Audio:
    import torch

    with torch.no_grad():
        parts = [codec.decoder(codec.encoder(part[:, None]))[:, 0].numpy()
                 for part in torch.split(torch.from_numpy(cuts), 8)]  # fmt: skip
    return np.concatenate(parts)[:, : cuts.shape[1]]


def _opus(cuts: Audio, rate_hz: int) -> tuple[Audio | None, float | None, None]:
    """Each cut through libsndfile's Opus; nothing where it has none, or Opus does not know the rate."""
    import soundfile

    made, size = [], 0
    for cut in cuts:
        file = io.BytesIO()
        try:
            soundfile.write(file, cut, rate_hz, format="OGG", subtype="OPUS", compression_level=OPUS_LEVEL)
        except (RuntimeError, TypeError, ValueError):
            return None, None, None
        size += file.tell()
        file.seek(0)
        own = soundfile.read(file, dtype="float32")[0]
        made.append(np.pad(own, (0, max(0, len(cut) - len(own))))[: len(cut)])
    return np.stack(made), size * 8 / 1000 / (cuts.size / rate_hz), None


def _low(cuts: Audio, rate_hz: int) -> Audio:
    spectrum = np.fft.rfft(cuts, axis=1)
    spectrum[:, np.fft.rfftfreq(cuts.shape[1], 1 / rate_hz) > CUTOFF_HZ] = 0
    low: Audio = np.fft.irfft(spectrum, cuts.shape[1], axis=1).astype(np.float32)
    return low


def _figures(made: Audio, real: Audio, rate_hz: int) -> dict[str, NDArray[np.float64]]:
    """For each cut: SI-SDR in dB, distance of mel spectra in dB, and whether its pitch survives (nan: it has none)."""
    import torch

    from offline.musicgen.codec.losses import MelLoss, si_sdr_db

    ours, theirs = torch.from_numpy(made), torch.from_numpy(real)
    mel = MelLoss(rate_hz, "cpu")
    per_nat = 20.0 / math.log(10.0)
    distances = [
        (torch.log(a + 1e-3) - torch.log(b + 1e-3)).abs().mean((1, 2)) * per_nat
        for a, b in zip(mel.spectra(ours), mel.spectra(theirs), strict=True)
    ]
    pitches = [(pitch(a, rate_hz), pitch(b, rate_hz)) for a, b in zip(made, real, strict=True)]
    kept = [math.nan if b is None else float(a is not None and abs(a - b) < 0.5) for a, b in pitches]
    return {
        "si_sdr_db": si_sdr_db(ours, theirs).double().numpy(),
        "mel_db": torch.stack(distances).mean(0).double().numpy(),
        "pitch_kept": np.array(kept),
    }
