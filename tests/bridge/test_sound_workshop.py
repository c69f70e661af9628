"""The workshop: takes made at once and by a preparer, which may die."""

import time

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")
pytest.importorskip("python_stretch")

from bridge.sound.takes import Want  # noqa: E402
from bridge.sound.workshop import Workshop  # noqa: E402
from engines.music import LoopFile  # noqa: E402

PATIENCE_S = 20.0


@pytest.fixture
def workshop():
    found = Workshop(48_000)
    yield found
    found.close()
    found.close()


@pytest.fixture
def loop(tmp_path):
    frames = np.random.default_rng(1).uniform(-0.5, 0.5, 24_000).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", frames, 48_000, subtype="FLOAT")
    return LoopFile(str(tmp_path / "x.wav"), 48_000, 24_000, 1, 960, 120_000)


def fetched(workshop):
    """What comes next, and whether the preparer has died."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        found, died = workshop.fetch()
        if found or died:
            return found, died
        workshop.channel.wait(0.1)
    raise TimeoutError


def test_a_first_short_loop_does_not_wait_for_the_preparer(workshop, loop):
    want = Want(loop, 120_000)
    workshop.ask(want)
    [(which, take, trouble)], died = workshop.fetch()
    assert (which, trouble, died) == (want, "", False)
    assert len(take.frames) == 24_000 + 480 + 64


def test_a_stretched_loop_comes_from_the_preparer_and_so_does_trouble(workshop, loop, tmp_path):
    want = Want(loop, 100_000, 480)
    workshop.ask(want)
    [(which, take, trouble)], _ = fetched(workshop)
    assert (which, trouble) == (want, "")
    assert (take.tempo_mbpm, take.from_tick) == (100_000, 480)
    assert len(take.frames) == 14_400 + 480 + 64
    (tmp_path / "x.wav").write_text("no sound")
    workshop.ask(Want(loop, 120_000))  # the preparer is up now
    [(_, take, trouble)], _ = fetched(workshop)
    assert take is None
    assert trouble.startswith(f"{loop.path} cannot be played")


def test_a_preparer_that_dies_is_said_and_another_one_serves(workshop, loop):
    want = Want(loop, 100_000)
    workshop.ask(want)
    workshop._process.kill()
    workshop._process.wait()
    found, died = fetched(workshop)
    assert died
    assert found in ([], [(want, None, f"{loop.path}: what prepares it has died")])
    workshop.ask(Want(loop, 90_000))
    [(which, take, _)], died = fetched(workshop)
    assert (which, died) == (Want(loop, 90_000), False)
    assert take is not None
