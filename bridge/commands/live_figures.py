"""What a real `sideman live` costs: started as a user starts it, and watched from outside through /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from engines.errors import SidemanError

PROC = Path("/proc")
START_TIMEOUT_S = 30.0
SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """start_s: from the command until its first bar began; processes: (name, CPU in % of a core, MB of memory).

    cpu_percent (of all) and worker_mb are None where the system has no /proc.
    """

    start_s: float
    cpu_percent: float | None
    worker_mb: float | None
    processes: tuple[tuple[str, float, float], ...]


def measure_live(seconds: float, bundle: str = "groove") -> LiveFigures:
    """Play one player, without a terminal and without sound, for so many seconds. Raises SidemanError."""
    command = [
        sys.executable, "-m", "bridge.cli", "live", "--silent", "--osc-port", "0", "--player", f"drums={bundle}",
    ]  # fmt: skip
    begun_s = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as live:
        killer = threading.Timer(START_TIMEOUT_S + seconds, live.kill)
        killer.start()
        try:
            start_s = _first_bar_s(live, begun_s)
            reader = threading.Thread(target=_drain, args=(live,), daemon=True)
            reader.start()
            time.sleep(SETTLE_S)
            before, before_s = usage(live.pid), time.perf_counter()
            time.sleep(seconds)
            after, passed_s = usage(live.pid), time.perf_counter() - before_s
        finally:
            live.send_signal(signal.SIGINT)
            live.wait()
            killer.cancel()
    processes = tuple(
        (name, (cpu_s - before[pid][1]) / passed_s * 100, megabytes)
        for pid, (name, cpu_s, megabytes) in after.items()
        if pid in before
    )
    if not processes:
        return LiveFigures(start_s, None, None, ())
    workers = [megabytes for name, _, megabytes in processes if name == "bridge.players.worker"]
    return LiveFigures(start_s, sum(cpu for _, cpu, _ in processes), max(workers, default=None), processes)


def _first_bar_s(live: subprocess.Popen[str], begun_s: float) -> float:
    """Seconds from the start until the line of the first bar."""
    lines = []
    for line in live.stdout or ():
        lines.append(line.strip())
        if " bar 1 " in line:
            return time.perf_counter() - begun_s
    raise SidemanError(f"sideman live did not play: {lines[-1] if lines else 'it said nothing'}")


def _drain(live: subprocess.Popen[str]) -> None:
    for _ in live.stdout or ():
        pass


def usage(root: int) -> dict[int, tuple[str, float, float]]:
    """(module or program, CPU seconds so far, resident MB) of a process and all below it, by number."""
    found: dict[int, tuple[str, float, float]] = {}
    parents: dict[int, int] = {}
    figures: dict[int, tuple[str, float, float]] = {}
    if not (PROC / "self" / "stat").exists():
        return found
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                pages = int((entry / "statm").read_text().split()[1])
            except (OSError, IndexError):
                continue  # it has just left
            name = words[words.index("-m") + 1] if "-m" in words else words[0]
            cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            parents[int(entry.name)] = int(fields[1])
            figures[int(entry.name)] = (name, cpu_s, pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    wanted = [root]
    while wanted:
        pid = wanted.pop()
        if pid in figures:
            found[pid] = figures[pid]
            wanted += [child for child, parent in parents.items() if parent == pid]
    return found
