"""JACK's clock, and in ours when a process cycle began, as exactly as JACK knows it."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

from bridge.timing.clock import ClockMap, read_together

NS_PER_UNIT = 1000.0
"""JACK counts microseconds of CLOCK_MONOTONIC_RAW, perf_counter is CLOCK_MONOTONIC: a ClockMap relates them."""


def jack_clock() -> Callable[[], int]:
    """A function that reads JACK's clock; missing from JACK-Client."""
    library = _library()
    library.jack_get_time.restype = ctypes.c_uint64
    read: Callable[[], int] = library.jack_get_time
    return read


def cycle_reader(client: Any) -> Callable[[int], tuple[float, float]]:
    """A function of the number of frames: when the current cycle began, and how long a frame is, in our ns.

    jack_get_cycle_times is missing from JACK-Client, whose library and client we use through ctypes.
    """
    import jack

    library, jack_time = _library(), jack_clock()
    pointer = ctypes.c_void_p(int(jack._ffi.cast("uintptr_t", client._ptr)))
    cycle_frames, start_us, next_us = ctypes.c_uint32(), ctypes.c_uint64(), ctypes.c_uint64()
    period_us = ctypes.c_float()
    arguments = (pointer, *(ctypes.byref(value) for value in (cycle_frames, start_us, next_us, period_us)))
    clock = ClockMap(NS_PER_UNIT, *read_together(jack_time))
    get_cycle_times, rate = library.jack_get_cycle_times, client.samplerate

    def read(frames: int) -> tuple[float, float]:
        clock.observe(*read_together(jack_time))
        if get_cycle_times(*arguments):
            return float(time.perf_counter_ns()), 1e9 / rate
        return clock.ns_at(start_us.value), (next_us.value - start_us.value) * 1000 / frames

    return read


def _library() -> ctypes.PyDLL:
    """libjack; calls keep the interpreter, as they are too short for losing it."""
    import jack

    return ctypes.PyDLL(jack._libname)
