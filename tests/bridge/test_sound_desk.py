"""The desk and the console: frames through shared memory, faders without clicks, starvation that keeps the grid."""

import os
import subprocess
import sys

import numpy as np
import pytest

from bridge.sound.clock import ClockPiece, FrameClock
from bridge.sound.console import Console
from bridge.sound.desk import CAPACITY, FROM, LOADS, RATE, SIZE, STARVATIONS, STARVED_FRAMES, WRITTEN, Desk

BLOCK = 512


@pytest.fixture
def desk():
    found = Desk.create()
    found.words[RATE] = 48_000
    yield found
    found.close()
    found.close()


def write(desk, index, frames, first):
    ring = desk.ring(index)
    at = np.arange(first, first + len(frames)) % CAPACITY
    ring[at] = frames
    desk.set_strip(index, WRITTEN, first + len(frames))


def console(desk, *strips):
    found = Console(desk, 48_000, 1024)
    for index in strips:
        desk.set_fader(index, 1.0, 1.0)
        found.add(index)
    return found


def heard(found, first, blocks):
    parts = []
    for block in range(blocks):
        out = np.empty((BLOCK, 2), np.float32)
        found.mix(first + block * BLOCK, out)
        parts.append(out)
    return np.concatenate(parts)


def test_frames_go_through_as_they_are_around_the_end_of_the_ring(desk):
    first = 3 * CAPACITY - 1_000
    frames = np.random.default_rng(1).uniform(-0.5, 0.5, (8 * BLOCK, 2)).astype(np.float32)
    write(desk, 3, frames, first)
    sound = heard(console(desk, 3), first, 8)
    assert np.array_equal(sound[BLOCK:], frames[BLOCK:])
    assert np.abs(sound[:480]).mean() < np.abs(frames[:480]).mean()  # it is faded in
    assert desk.strip(3, STARVED_FRAMES) == 0


def test_two_strips_are_added_and_limited(desk):
    write(desk, 0, np.full((2 * BLOCK, 2), 0.25, np.float32), 0)
    write(desk, 1, np.full((2 * BLOCK, 2), 0.25, np.float32), 0)
    assert np.allclose(heard(console(desk, 0, 1), 0, 2)[BLOCK:], 0.5)
    write(desk, 1, np.full((4 * BLOCK, 2), 5.0, np.float32), 0)
    write(desk, 0, np.full((4 * BLOCK, 2), 5.0, np.float32), 0)
    assert 0.9 < heard(console(desk, 0, 1), 0, 4).max() <= 1


def test_a_fader_slides(desk):
    write(desk, 0, np.full((8 * BLOCK, 2), 0.5, np.float32), 0)
    found = console(desk, 0)
    heard(found, 0, 2)
    desk.set_fader(0, 0.0, 0.5)
    sound = heard(found, 2 * BLOCK, 2)
    assert np.abs(np.diff(sound, axis=0)).max() < 0.01
    assert not sound[240:, 0].any()
    assert np.allclose(sound[240:, 1], 0.25)


def test_a_starved_strip_fades_is_counted_and_comes_back_on_the_grid(desk):
    at = np.arange(20 * BLOCK)
    frames = np.repeat(0.5 * np.cos(2 * np.pi * 50 * at / 48_000).astype(np.float32)[:, None], 2, axis=1)
    write(desk, 0, frames[: 4 * BLOCK - 100], 0)
    found = console(desk, 0)
    gap = heard(found, 0, 8)
    write(desk, 0, frames, 0)
    sound = np.concatenate([gap, heard(found, 8 * BLOCK, 10)])
    assert np.abs(np.diff(sound[:, 0])).max() < 0.01
    assert np.array_equal(sound[9 * BLOCK : 18 * BLOCK], frames[9 * BLOCK : 18 * BLOCK])
    assert not sound[4 * BLOCK : 8 * BLOCK].any()
    assert desk.strip(0, STARVATIONS) == 1
    assert desk.strip(0, STARVED_FRAMES) == 4 * BLOCK + 100


def test_a_strip_that_nobody_has_written_is_silent_and_does_not_starve(desk):
    assert not heard(console(desk, 5), 0, 3).any()
    assert desk.strip(5, STARVED_FRAMES) == 0


def test_the_clock_goes_through(desk):
    assert desk.clock() is None
    clock = FrameClock(48_000, (ClockPiece(5, 10**18),)).and_then(ClockPiece(900, 10**18 + 77, -150_000))
    desk.set_clock(clock)
    found = desk.clock()
    assert found.pieces == clock.pieces
    assert found.rate == 48_000


def test_loads_are_told_as_percentiles(desk):
    assert desk.load_percent(99) == 0
    desk.words[LOADS + 3] = 990
    desk.words[LOADS + 40] = 10
    assert (desk.load_percent(50), desk.load_percent(99), desk.load_percent(99.9)) == (4, 4, 41)


def test_another_process_sees_it_over_the_inherited_descriptor(desk):
    program = (
        "import sys; from bridge.sound.desk import Desk; d = Desk.attach(sys.argv[1]); d.ring(7)[11] = (0.5, -0.25)"
    )
    inherited = {"pass_fds": [desk.descriptor]} if sys.platform != "win32" else {}
    subprocess.run([sys.executable, "-c", program, desk.handle], check=True, **inherited)
    assert desk.ring(7)[11].tolist() == [0.5, -0.25]
    assert SIZE < 5_000_000


def test_it_works_where_memory_has_no_descriptor_of_its_own(monkeypatch):
    monkeypatch.delattr("os.memfd_create", raising=False)
    here = Desk.create()
    there = Desk.attach(str(os.dup(here.descriptor)))
    here.ring(1)[5] = (0.25, 1.0)
    assert there.ring(1)[5].tolist() == [0.25, 1.0]
    there.close()
    here.close()


def test_a_desk_is_found_by_its_path_where_descriptors_are_not_inherited(tmp_path):
    path = tmp_path / "desk"
    path.write_bytes(bytes(SIZE))
    one, other = Desk.attach(str(path)), Desk.attach(str(path))
    one.set_strip(2, WRITTEN, 77)
    assert other.strip(2, WRITTEN) == 77
    one.close()
    other.close()


def test_what_lies_in_a_ring_from_an_earlier_time_is_not_heard(desk):
    write(desk, 0, np.full((CAPACITY, 2), 0.5, np.float32), 0)
    desk.set_strip(0, FROM, CAPACITY + 4 * BLOCK)
    write(desk, 0, np.full((4 * BLOCK, 2), 0.25, np.float32), CAPACITY + 4 * BLOCK)
    sound = heard(console(desk, 0), CAPACITY, 8)
    assert not sound[: 4 * BLOCK].any()
    assert np.allclose(sound[5 * BLOCK :], 0.25)
