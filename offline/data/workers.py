"""Workers: one function over many files, in processes of its own, where no file can stop the run.

A file that kills the process that reads it (a crash in a library, memory run out) is found, named and left out.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from offline.data.midi import UnusableError

_Job = TypeVar("_Job")
_Made = TypeVar("_Made")

_AHEAD = 8
"""Jobs a worker that wait or run: what bounds the memory of those not yet done."""


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(
    make: Callable[[_Job], _Made], jobs: Iterable[_Job], workers: int
) -> Iterator[tuple[_Job, _Made | UnusableError]]:
    """(job, make(job)) of every job in the order in which they are done; an UnusableError is handed on as a value.

    make:    a function of a module, and its jobs, that can be sent to another process
    workers: processes; 0 works in this one
    Any other exception of make is raised.
    """
    if not workers:
        for job in jobs:
            yield job, _guarded(make, job)
        return
    left = iter(jobs)
    while True:
        with _pool(workers) as pool:
            running: dict[Future[_Made | UnusableError], _Job] = {}
            taken: list[_Job] = []
            try:
                while True:
                    taken = list(islice(left, workers * _AHEAD - len(running)))
                    while taken:
                        running[pool.submit(_guarded, make, taken[-1])] = taken[-1]
                        taken.pop()
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        made = future.result()
                        yield running.pop(future), made
            except BrokenProcessPool:
                suspects = [*running.values(), *taken]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        for job in suspects:
            yield job, _alone(make, job)


def _alone(make: Callable[[_Job], _Made], job: _Job) -> _Made | UnusableError:
    with _pool(1) as pool:
        try:
            return pool.submit(_guarded, make, job).result()
        except BrokenProcessPool:
            return UnusableError("it kills the process that reads it")


def _guarded(make: Callable[[_Job], _Made], job: _Job) -> _Made | UnusableError:
    try:
        return make(job)
    except UnusableError as reason:
        return reason


def _pool(workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=signal.signal, initargs=_LEAVE_CTRL_C)


_LEAVE_CTRL_C = (signal.SIGINT, signal.SIG_IGN)
"""Ctrl-C is for the process that started the workers."""
