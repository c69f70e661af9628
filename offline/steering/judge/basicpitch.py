"""Basic Pitch: a small network that writes down notes, out of the wheel of that name, run by ONNX Runtime alone.

Bittner, Bosch, Rubinstein, Meseguer-Brocal and Ewert, "A Lightweight Instrument-Agnostic Model for Polyphonic Note
Transcription and Multipitch Estimation", 2022 (Apache 2.0). Its package wants TensorFlow; the graph in it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.bundle import sha256_of
from engines.errors import SidemanError

PACKAGE, FILE = "basic-pitch", "icassp_2022/nmp.onnx"
INSTALL = "pip install --no-deps basic-pitch==0.4.0"
SHA256 = "2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec"

RATE_HZ, WINDOW = 22_050, 43_844
LOWEST, PITCHES = 21, 88
_INPUT, _NOTES = "serving_default_input_2:0", "StatefulPartitionedCall:1"

Posteriors = NDArray[np.float32]
"""[frames, 88]: the chance that each key of a piano, from MIDI 21 on, sounds; 86 frames a second."""


def network_file() -> Path:
    """The graph in the installed wheel. Raises SidemanError where there is none, or another one."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())) for file in files if str(file).endswith(FILE)]
    if not found or not found[0].is_file():
        raise SidemanError(f"the judge of notes is the network of {PACKAGE}, which is not installed: {INSTALL}")
    if sha256_of(found[0]) != SHA256:
        raise SidemanError(f"the network of {PACKAGE} is another one than the figures are told by: {INSTALL}")
    return found[0]


def basic_pitch() -> Callable[[NDArray[np.float32], int], Posteriors]:
    """What says the posteriors of sound [samples] at a rate, on one thread. Raises SidemanError; see network_file."""
    import onnxruntime
    import soxr

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(network_file()), options, providers=["CPUExecutionProvider"])

    def said(sound: NDArray[np.float32], rate_hz: int) -> Posteriors:
        heard = soxr.resample(sound, rate_hz, RATE_HZ)
        count = max(1, round(len(heard) / WINDOW))
        whole = np.zeros(count * WINDOW, np.float32)
        whole[: len(heard)] = heard[: len(whole)]
        (notes,) = session.run([_NOTES], {_INPUT: whole.reshape(count, WINDOW, 1)})
        frames = round(min(1.0, len(heard) / len(whole)) * count * notes.shape[1])
        return np.asarray(notes.reshape(-1, PITCHES)[:frames])

    return said
