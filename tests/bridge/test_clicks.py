"""Clicks are told from everything else that is heard, and nothing heard is said."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from bridge.commands.clicks import (
    CLICKS_MS,
    TOLERANCE_MS,
    lateness,
    onsets,
)
from engines.errors import SidemanError

DUE_NS = [5_000_000_000 + ms * 1_000_000 for ms in CLICKS_MS]
RATE = 48_000


def heard(late_ms: float, jitter_ms: float = 0.0) -> list[int]:
    random = np.random.default_rng(1)
    return [due + round((late_ms + random.normal(0, jitter_ms)) * 1e6) for due in DUE_NS]


def test_no_wrong_distance_fits_two_clicks() -> None:
    distances = sorted(later - earlier for earlier, later in combinations(CLICKS_MS, 2))
    assert min(after - before for before, after in pairwise(distances)) > 2 * TOLERANCE_MS


@pytest.mark.parametrize("late_ms", [-400.0, -3.0, 0.0, 23.4, 700.0])
def test_how_late_it_is_is_found_whichever_way(late_ms: float) -> None:
    found = lateness(DUE_NS, heard(late_ms, 0.3))
    assert found.late_ms == pytest.approx(late_ms, abs=0.3)
    assert found.heard == 8 and found.spread_ms < 2


def test_what_rings_is_doubled_goes_missing_or_comes_from_elsewhere_changes_nothing() -> None:
    clicks = heard(42.0)
    doubled = [at + 30_000_000 for at in clicks]
    elsewhere = [4_000_000_000 + i * 333_000_000 for i in range(16)]
    slipped = clicks[3] + 9_000_000
    found = lateness(DUE_NS, sorted([*clicks[:3], slipped, *clicks[5:], *doubled[2:], *elsewhere]))
    assert found.late_ms == pytest.approx(42.0, abs=0.01) and found.heard == 7


def test_what_cannot_be_told_is_one_line() -> None:
    with pytest.raises(SidemanError, match="none of the clicks was heard"):
        lateness(DUE_NS, [])
    with pytest.raises(SidemanError, match="over a second"):
        lateness(DUE_NS, [DUE_NS[-1] + 60_000_000_000])
    with pytest.raises(SidemanError, match="only 5 of 8 clicks"):
        lateness(DUE_NS, heard(10.0)[:5])
    with pytest.raises(SidemanError, match="too much else"):
        lateness(DUE_NS, list(range(4_000_000_000, 9_000_000_000, 10_000_000)))


def test_onsets_in_noise_are_found_to_the_sample() -> None:
    random = np.random.default_rng(2)
    sound = random.normal(0, 0.003, 4 * RATE).astype(np.float32)
    at = [round((0.5 + ms / 1000) * RATE) for ms in CLICKS_MS]
    ring = np.exp(-np.arange(0.15 * RATE) / (0.03 * RATE)) * np.cos(np.arange(0.15 * RATE) * 0.2)
    for frame in at:
        sound[frame : frame + len(ring)] += (0.4 * ring).astype(np.float32)
    assert onsets(sound, RATE, quiet_s=0.4).tolist() == at


@pytest.mark.parametrize("level", [0.0, 0.05])
def test_silence_and_noise_have_no_onsets(level: float) -> None:
    sound = np.random.default_rng(3).normal(0, level, RATE).astype(np.float32)
    sound[100] = np.nan
    assert onsets(sound, RATE, quiet_s=0.3).size == 0
