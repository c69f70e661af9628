"""JACK's clock in ours: when a process cycle began, as exactly as JACK knows it."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from typing import Any

from bridge.timing.clock import ClockMap


def cycle_reader(client: Any) -> Callable[[int], tuple[float, float]]:
    """A function of the number of frames: when the current cycle began, and how long a frame is, in our ns.

    JACK counts microseconds of CLOCK_MONOTONIC_RAW, perf_counter is CLOCK_MONOTONIC: a ClockMap relates them. The two
    calls it takes are missing from JACK-Client, whose library and client we use through ctypes.
    """
    import jack

    library = ctypes.PyDLL(jack._libname)  # keeps the interpreter during these short calls, instead of losing it
    library.jack_get_time.restype = ctypes.c_uint64
    pointer = ctypes.c_void_p(int(jack._ffi.cast("uintptr_t", client._ptr)))
    cycle_frames, start_us, next_us = ctypes.c_uint32(), ctypes.c_uint64(), ctypes.c_uint64()
    period_us = ctypes.c_float()
    arguments = (pointer, *(ctypes.byref(value) for value in (cycle_frames, start_us, next_us, period_us)))
    readings = _paired_readings(library.jack_get_time)
    clock = ClockMap(1000.0, *next(readings))
    get_cycle_times, rate = library.jack_get_cycle_times, client.samplerate

    def read(frames: int) -> tuple[float, float]:
        clock.observe(*next(readings))
        if get_cycle_times(*arguments):
            return float(time.perf_counter_ns()), 1e9 / rate
        return clock.ns_at(start_us.value), (next_us.value - start_us.value) * 1000 / frames

    return read


def _paired_readings(jack_time: Any) -> Iterator[tuple[int, int]]:
    """JACK's clock and ours read together, the best of three, as the thread may be interrupted in between."""
    now_ns = time.perf_counter_ns
    while True:
        best = (1 << 62, 0, 0)
        for _ in range(3):
            before = now_ns()
            units = jack_time()
            after = now_ns()
            best = min(best, (after - before, units, (before + after) // 2))
        yield best[1:]
