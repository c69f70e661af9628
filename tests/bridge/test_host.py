"""What a system is asked for: this one really, the others through stand-ins for their libraries."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from bridge.timing import host


class Recorded:
    """A library that notes the calls of its functions and answers as it was told."""

    def __init__(self, **answers: int) -> None:
        self.calls: list[str] = []
        self.policy: tuple[int, ...] = ()
        self._answers = answers

    def timeBeginPeriod(self, milliseconds: int) -> int:
        self.calls.append(f"begin {milliseconds}")
        return self._answers.get("begin", 0)

    def timeEndPeriod(self, milliseconds: int) -> None:
        self.calls.append(f"end {milliseconds}")

    def mach_timebase_info(self, timebase: object) -> int:
        found = timebase._obj  # type: ignore[attr-defined]
        found.numerator, found.denominator = 125, 3
        return self._answers.get("timebase", 0)

    def mach_thread_self(self) -> int:
        return 7

    def thread_policy_set(self, thread: int, flavour: int, policy: object, count: int) -> int:
        found = policy._obj  # type: ignore[attr-defined]
        self.policy = (thread, flavour, found.period, found.computation, found.constraint, count)
        return self._answers.get("policy", 0)


def test_this_system_is_asked_and_says_what_it_granted() -> None:
    with host.keep_time() as asked, host.keep_time() as again:
        assert asked == again
    if sys.platform in ("linux", "win32", "darwin"):
        assert asked and all(one.name for one in asked)


@pytest.mark.parametrize(("governor", "wake_us"), [("haltpoll\n", 0), ("menu\n", host.WAKE_US), (None, host.WAKE_US)])
def test_processors_are_kept_wakeful_until_it_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, governor: str | None, wake_us: int
) -> None:
    monkeypatch.setattr(host, "IDLE_GOVERNOR", tmp_path / "governor")
    if governor:
        host.IDLE_GOVERNOR.write_text(governor)
    device = tmp_path / "cpu_dma_latency"
    with ExitStack() as stack:
        assert host._wakeful(device, stack)
        assert device.read_bytes() == wake_us.to_bytes(4, sys.byteorder)
        assert str(device) in open_files()
    assert str(device) not in open_files()


def open_files() -> list[str]:
    """The paths behind this process's descriptors; skips where the system does not tell."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("needs /proc")
    return [str(each.readlink()) for each in descriptors.iterdir() if each.is_symlink()]


def test_what_is_refused_says_so_and_what_lets_it_be(tmp_path: Path) -> None:
    with ExitStack() as stack:
        refused = host._granted("to wake", lambda: host._wakeful(tmp_path / "not" / "there", stack), "a command")
    assert refused == host.Asked("to wake", False, "a command")


@pytest.mark.skipif(sys.platform != "linux", reason="the priorities of Linux")
def test_priority_is_taken_where_it_was_said_to_be_granted_and_not_left_to_children() -> None:
    program = (
        "import os, subprocess, sys\n"
        "from bridge.timing.host import hurry_thread, keep_time\n"
        "with keep_time() as asked: granted = hurry_thread()\n"
        "policy = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK\n"
        "child = [sys.executable, '-c', 'import os; print(os.sched_getscheduler(0))']\n"
        "print(granted, policy, asked[0].granted, int(subprocess.check_output(child)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    granted, policy, said, child = done.stdout.split()
    assert int(child) == os.SCHED_OTHER
    if granted == "True":
        assert said == "True" and int(policy) == os.SCHED_FIFO
    else:
        assert int(policy) == os.SCHED_OTHER


def test_windows_timers_are_given_back_if_they_were_had() -> None:
    winmm = Recorded()
    with ExitStack() as stack:
        assert host._timers(winmm, stack)
        assert winmm.calls == ["begin 1"]
    assert winmm.calls == ["begin 1", "end 1"]
    refused = Recorded(begin=97)
    with ExitStack() as stack:
        assert not host._timers(refused, stack)
    assert refused.calls == ["begin 1"]


def test_macos_is_told_its_own_units_and_structures_have_the_documented_sizes() -> None:
    system = Recorded()
    assert host._hurry_macos(system)  # 125/3, as on Apple's own processors: a unit is 41.67 ns
    assert system.policy == (7, 2, 0, 12_000, 48_000, 4)
    assert not host._hurry_macos(Recorded(policy=4)) and not host._hurry_macos(Recorded(timebase=5))
    assert ctypes.sizeof(host.TimeConstraint) == 16 and ctypes.sizeof(host.PowerThrottling) == 12
