from __future__ import annotations

import operator
import os
from functools import partial
from typing import Any

import pytest

from offline.data.midi import UnusableError
from offline.data.workers import cores, each


@pytest.mark.parametrize("workers", [0, 2])
def test_every_job_is_answered_once(workers: int) -> None:
    assert sorted(each(abs, range(-40, 0), workers)) == [(-i, i) for i in range(40, 0, -1)]


def test_a_job_that_kills_its_process_is_named_and_the_others_are_done() -> None:
    jobs: list[Any] = [partial(abs, -1), partial(os._exit, 3), partial(abs, -2)]
    made = {id(job): result for job, result in each(operator.call, jobs, 1)}
    assert (made[id(jobs[0])], made[id(jobs[2])]) == (1, 2)
    assert isinstance(made[id(jobs[1])], UnusableError)
    assert "kills" in str(made[id(jobs[1])])


def test_an_error_of_the_programs_own_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(each(partial(divmod, 1), [0], 0))


def test_there_is_a_core() -> None:
    assert cores() >= 1
