"""bench: how exactly notes leave inside JACK, on a server of its own with the dummy driver."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bridge.commands.figures import Row, percentile
from bridge.commands.probe import stage_lateness
from bridge.messages.stage import Left, OutputSetup
from bridge.messages.worker import Load
from bridge.testing import JackServer
from engines.errors import SidemanError

JITTER_TARGET_MS = 0.1
EAR = "sideman ear"


class BenchServer(JackServer):
    """A server with the period of a stage set-up."""

    PERIOD = 512


@contextlib.contextmanager
def jack_server(name: str) -> Iterator[JackServer]:
    """A server of that name on the dummy driver, which this process and its children find while it is held.

    Raises SidemanError where there is no JACK.
    """
    before = os.environ.get("JACK_DEFAULT_SERVER")
    os.environ["JACK_DEFAULT_SERVER"] = name
    try:
        with BenchServer(name) as server:
            yield server
    finally:
        if before is None:
            del os.environ["JACK_DEFAULT_SERVER"]
        else:
            os.environ["JACK_DEFAULT_SERVER"] = before


def jack_rows(seconds: float, load: Sequence[Load]) -> Iterator[Row]:
    """How far notes arrive from where they were due, with the workers flat out."""
    name = f"dispatch inside JACK, {len(load)} workers flat out"
    try:
        with jack_server(f"sideman-bench-{os.getpid()}"):
            errors_ms = asyncio.run(_arrivals(seconds, load))
    except SidemanError as error:
        yield Row(name, f"not here: {error}")
        return
    p99_ms = percentile(errors_ms, 99)
    figure = f"p50 {percentile(errors_ms, 50):.3f} ms, p99 {p99_ms:.3f} ms"
    yield Row(name, figure, f"p99 <= {JITTER_TARGET_MS:g} ms", p99_ms <= JITTER_TARGET_MS)


async def _arrivals(seconds: float, load: Sequence[Load]) -> list[float]:
    """How many ms each note arrived from its moment; what all have in common, and the clocks' drift, is taken off."""
    due: list[tuple[int, int]] = []

    def left(message: Left) -> None:
        due.extend((event.at_ns, event.pitch) for event in message.events if event.velocity)

    ear = Ear()
    try:
        ear.open()
        await stage_lateness(seconds, load=load, outputs=(OutputSetup("midi", EAR),), on_left=left)
        arrived, rate = ear.arrived[:], ear.rate
    finally:
        ear.close()
    pairs = aligned(arrived, due)
    if len(pairs) < len(due) / 2 or len(pairs) < 10:
        raise SidemanError(f"of {len(due)} notes that left, {len(pairs)} arrived")
    return residuals_ms(pairs, rate)


def aligned(arrived: Sequence[tuple[int, int]], due: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """(frame, due_ns) of each note that arrived, from (frame, pitch) and (due_ns, pitch), where some may be missing."""
    pairs, after = [], 0
    for frame, pitch in arrived:
        found = next((i for i in range(after, min(len(due), after + 48)) if due[i][1] == pitch), None)
        if found is not None:
            pairs.append((frame, due[found][0]))
            after = found + 1
    return pairs


def residuals_ms(pairs: Sequence[tuple[int, int]], rate: int) -> list[float]:
    """How far each of (frame, due_ns) lies from the straight line through all, in ms, whichever way."""
    arrived_ms = np.asarray([frame - pairs[0][0] for frame, _ in pairs]) * 1e3 / rate
    due_ms = np.asarray([at_ns - pairs[0][1] for _, at_ns in pairs]) / 1e6
    slope, offset = np.polyfit(due_ms, arrived_ms, 1)
    return [float(error) for error in np.abs(arrived_ms - slope * due_ms - offset)]


class Ear:
    """A JACK client that keeps (frame, pitch) of each note-on."""

    def __init__(self) -> None:
        self.arrived: list[tuple[int, int]] = []
        self.rate = 0
        self._client: Any = None
        self._port: Any = None

    def open(self) -> None:
        """Become a client. Raises SidemanError where the library is missing."""
        try:
            import jack
        except OSError:
            raise SidemanError("the JACK library is not here (libjack-jackd2-0)") from None
        self._client = jack.Client(EAR, no_start_server=True)
        self.rate = self._client.samplerate
        self._port = self._client.midi_inports.register("in")
        self._client.set_process_callback(self._process)
        self._client.activate()

    def close(self) -> None:
        """Leave. May be called twice."""
        if self._client:
            self._client.deactivate()
            self._client.close()
            self._client = None  # not before the callback is over

    def _process(self, _frames: int) -> None:
        start = self._client.last_frame_time
        for offset, data in self._port.incoming_midi_events():
            message = bytes(data)
            if message[0] & 0xF0 == 0x90:
                self.arrived.append((start + offset, message[1]))
