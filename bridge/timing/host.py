"""Host: what an operating system has to be asked for before a process of it can keep time.

Windows ends waits up to 15.6 ms late and slows programs whose window is not in front; macOS puts those to sleep (App
Nap); on Linux a processor that fell asleep takes its time to wake, a virtual machine's several ms. `keep_time` asks for
better while it is held, `hurry_thread` for one thread's priority. What is refused is done without, and told: `sideman
doctor` prints it. Only Linux's part has run on machines of ours; the others follow the documentation of the calls they
name.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIFO_PRIORITY = 40
"""Above ordinary work, below JACK's own threads (70 and up)."""

CPU_DMA_LATENCY = Path("/dev/cpu_dma_latency")
"""Linux: processors wake within as many us as a program has written there, until it closes it
(Documentation/power/pm_qos_interface.rst of the kernel)."""

WAKE_US = 20
"""Deep enough a sleep to stay cool, and no deeper."""

WAKE_REMEDY = (
    """echo 'KERNEL=="cpu_dma_latency", GROUP="audio", MODE="0660"' | sudo tee /etc/udev/rules.d/99-wake.rules"""
    " && sudo udevadm control --reload && sudo udevadm trigger, as a user of the group audio"
)

IDLE_GOVERNOR = Path("/sys/devices/system/cpu/cpuidle/current_governor")

COMPUTATION_NS, CONSTRAINT_NS = 500_000, 2_000_000
"""macOS: how long the thread works once woken, and how late that may be done."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing asked of the system: what it is, in words, whether it was granted, and the command that lets it be."""

    name: str
    granted: bool
    remedy: str = ""


@contextlib.contextmanager
def keep_time() -> Iterator[tuple[Asked, ...]]:
    """While held, this process's waits are as short as they say. Yields what was asked, and whether it was granted.

    For every process that plays at a moment; holding it twice does no harm.
    """
    with ExitStack() as stack:
        yield tuple(_ask(stack))


def hurry_thread() -> bool:
    """Let the calling thread go before all ordinary ones, for good; whether that was granted.

    On Linux children start without it.
    """
    if sys.platform == "linux":
        _shorten_timer_slack()
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(FIFO_PRIORITY))
            return True
        return False
    with contextlib.suppress(OSError, AttributeError):  # a system too old for one of the calls
        if sys.platform == "win32":
            return _hurry_windows(ctypes.WinDLL("avrt"), ctypes.WinDLL("kernel32"))
        if sys.platform == "darwin":
            return _hurry_macos(ctypes.CDLL(None))
    return False


def _ask(stack: ExitStack) -> Iterator[Asked]:
    if sys.platform == "linux":
        yield _rlimit()
        yield _granted("processors that wake at once", lambda: _wakeful(CPU_DMA_LATENCY, stack), WAKE_REMEDY)
    elif sys.platform == "win32":
        yield _granted("timers of 1 ms", lambda: _timers(ctypes.WinDLL("winmm"), stack))
        yield _granted("no power throttling", lambda: _full_power(ctypes.WinDLL("kernel32")))
    elif sys.platform == "darwin":
        yield _granted("no App Nap", lambda: _stay_awake(_foundation(), stack))


def _granted(name: str, ask: Callable[[], bool], remedy: str = "") -> Asked:
    with contextlib.suppress(OSError, AttributeError):
        return Asked(name, ask(), remedy)
    return Asked(name, False, remedy)


# Linux


def _rlimit() -> Asked:
    if sys.platform != "linux":
        raise OSError("no rlimits here")
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_RTPRIO)
    allowed = os.geteuid() == 0 or limit == resource.RLIM_INFINITY or limit >= FIFO_PRIORITY
    return Asked(f"real-time priority {FIFO_PRIORITY}", allowed)


def _wakeful(device: Path, stack: ExitStack) -> bool:
    """Holds cpu_dma_latency until the stack is left.

    A virtual machine's processor (of the governor haltpoll) has no light sleep, so that it is told not to sleep at all.
    """
    virtual = IDLE_GOVERNOR.is_file() and IDLE_GOVERNOR.read_text().strip() == "haltpoll"
    held = stack.enter_context(device.open("wb", buffering=0))
    held.write((0 if virtual else WAKE_US).to_bytes(4, sys.byteorder))
    return True


def _shorten_timer_slack() -> None:
    """Linux adds up to 50 us to each wait of an ordinary process; ask for 1 ns."""
    set_timer_slack = 29  # PR_SET_TIMERSLACK in linux/prctl.h
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(set_timer_slack, 1, 0, 0, 0)


# Windows


class PowerThrottling(ctypes.Structure):
    """PROCESS_POWER_THROTTLING_STATE of processthreadsapi.h: of what is in control, only what is in state throttles."""

    _fields_ = (("version", ctypes.c_uint32), ("control", ctypes.c_uint32), ("state", ctypes.c_uint32))


def _timers(winmm: Any, stack: ExitStack) -> bool:
    """timeBeginPeriod(1), until the stack is left."""
    if winmm.timeBeginPeriod(1):
        return False
    stack.callback(winmm.timeEndPeriod, 1)
    return True


def _full_power(kernel32: Any) -> bool:
    """SetProcessInformation(ProcessPowerThrottling): neither slowed down, nor are our timers made coarse again."""
    execution_speed, ignore_timer_resolution, process_power_throttling = 1, 4, 4
    state = PowerThrottling(1, execution_speed | ignore_timer_resolution, 0)
    process = ctypes.c_void_p(-1)  # GetCurrentProcess()
    return bool(
        kernel32.SetProcessInformation(process, process_power_throttling, ctypes.byref(state), ctypes.sizeof(state))
    )


def _hurry_windows(avrt: Any, kernel32: Any) -> bool:
    """The multimedia class scheduler's "Pro Audio"; where that is not, the highest ordinary priority."""
    index = ctypes.c_uint32(0)
    avrt.AvSetMmThreadCharacteristicsW.restype = ctypes.c_void_p
    task = avrt.AvSetMmThreadCharacteristicsW(ctypes.c_wchar_p("Pro Audio"), ctypes.byref(index))
    if task:
        high = 1  # AVRT_PRIORITY_HIGH
        return bool(avrt.AvSetMmThreadPriority(ctypes.c_void_p(task), high))
    time_critical = 15  # THREAD_PRIORITY_TIME_CRITICAL
    return bool(kernel32.SetThreadPriority(ctypes.c_void_p(-2), time_critical))  # GetCurrentThread()


# macOS


class TimeConstraint(ctypes.Structure):
    """thread_time_constraint_policy of mach/thread_policy.h, in units of mach_absolute_time."""

    _fields_ = (
        ("period", ctypes.c_uint32),
        ("computation", ctypes.c_uint32),
        ("constraint", ctypes.c_uint32),
        ("preemptible", ctypes.c_uint32),
    )


class Timebase(ctypes.Structure):
    """mach_timebase_info: nanoseconds are units * numerator / denominator."""

    _fields_ = (("numerator", ctypes.c_uint32), ("denominator", ctypes.c_uint32))


def _hurry_macos(system: Any) -> bool:
    """thread_policy_set(THREAD_TIME_CONSTRAINT_POLICY), what Core Audio's own threads have."""
    timebase = Timebase()
    if system.mach_timebase_info(ctypes.byref(timebase)) or not timebase.numerator:
        return False
    computation, constraint = (
        ns * timebase.denominator // timebase.numerator for ns in (COMPUTATION_NS, CONSTRAINT_NS)
    )
    policy = TimeConstraint(0, computation, constraint, 1)
    time_constraint, count = 2, 4  # THREAD_TIME_CONSTRAINT_POLICY and its _COUNT
    return not system.thread_policy_set(system.mach_thread_self(), time_constraint, ctypes.byref(policy), count)


def _foundation() -> Any:
    """The Objective-C runtime, with Foundation's classes."""
    ctypes.CDLL("/System/Library/Frameworks/Foundation.framework/Foundation")
    return ctypes.CDLL("/usr/lib/libobjc.A.dylib")


def _stay_awake(objc: Any, stack: ExitStack) -> bool:
    """[NSProcessInfo beginActivityWithOptions:reason:], until the stack is left."""
    pointer = ctypes.c_void_p
    objc.objc_getClass.restype = objc.sel_registerName.restype = objc.objc_retain.restype = pointer

    def send(receiver: Any, selector: bytes, result: Any, *arguments: tuple[Any, Any]) -> Any:
        kinds = (pointer, pointer, *(kind for kind, _ in arguments))
        method = ctypes.CFUNCTYPE(result, *kinds)(("objc_msgSend", objc))
        return method(receiver, objc.sel_registerName(selector), *(value for _, value in arguments))

    info = send(objc.objc_getClass(b"NSProcessInfo"), b"processInfo", pointer)
    text = objc.objc_getClass(b"NSString")
    reason = send(text, b"stringWithUTF8String:", pointer, (ctypes.c_char_p, b"playing live"))
    user_initiated, latency_critical = 0x00FFFFFF, 0xFF00000000
    activity = send(
        info, b"beginActivityWithOptions:reason:", pointer,
        (ctypes.c_uint64, user_initiated | latency_critical), (pointer, reason),
    )  # fmt: skip
    if not activity:
        return False
    activity = objc.objc_retain(pointer(activity))  # it would go with the next autorelease pool
    stack.callback(send, info, b"endActivity:", None, (pointer, activity))
    return True
