"""Asking the system to let this process be on time. What is refused is done without."""

from __future__ import annotations

import contextlib
import gc
import os
import sys

PRIORITY = 40
"""Above ordinary work, below JACK's own threads (70 and up)."""

REMEDY = (
    "put your user in a group with real-time rights and log in again: "
    "echo '@audio - rtprio 95' | sudo tee /etc/security/limits.d/audio.conf && sudo usermod -aG audio $USER"
)
"""What grants real-time priority on Linux."""


def take_realtime() -> bool:
    """Give the calling thread real-time priority, short waits and no garbage collector; whether priority was granted.

    Children start without the priority. The collector is off because one run of it may take longer than a tick; the
    stage makes no reference cycles.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(0.0005)  # a JACK callback waits at most this long for the interpreter
    if sys.platform == "linux":
        _shorten_timer_slack()
        return _take_fifo()
    if sys.platform == "win32":
        return _take_windows()
    return False


def _take_fifo() -> bool:
    if sys.platform != "linux":
        return False
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
        return True
    return False


def _shorten_timer_slack() -> None:
    """Linux adds up to 50 us to each wait of an ordinary process; ask for 1 ns."""
    import ctypes

    set_timer_slack = 29  # PR_SET_TIMERSLACK in linux/prctl.h
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(set_timer_slack, 1, 0, 0, 0)


def _take_windows() -> bool:
    """Millisecond timers, without which a wait ends up to 15.6 ms late, and the highest ordinary priority."""
    if sys.platform != "win32":
        return False
    import ctypes

    ctypes.windll.winmm.timeBeginPeriod(1)
    time_critical = 15  # THREAD_PRIORITY_TIME_CRITICAL
    thread = ctypes.windll.kernel32.GetCurrentThread()
    return bool(ctypes.windll.kernel32.SetThreadPriority(thread, time_critical))
