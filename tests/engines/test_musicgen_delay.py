"""The delay pattern, of any number of codebooks."""

import numpy as np
import pytest

from engines.musicgen.delay import Delay, delays_of

PAD = 99


def test_a_pattern_is_written_as_the_paper_draws_it() -> None:
    delay = Delay(delays_of(3), PAD)
    laid = delay.laid(np.arange(6).reshape(1, 6).repeat(3, 0)[:, :2])
    assert laid.tolist() == [[99, 0, 1, 99, 99], [99, 99, 0, 1, 99], [99, 99, 99, 0, 1]]


def test_two_channels_share_each_delay() -> None:
    assert delays_of(8, 2) == (0, 0, 1, 1, 2, 2, 3, 3)


@pytest.mark.parametrize("books", [1, 2, 4, 9])
@pytest.mark.parametrize("frames", [0, 1, 2, 7])
def test_what_is_laid_is_gathered_again(books: int, frames: int) -> None:
    delay = Delay(delays_of(books), PAD)
    codes = np.random.default_rng(0).integers(0, PAD, (2, books, frames))
    laid = delay.laid(codes)
    assert laid.shape[-1] == delay.columns(frames)
    np.testing.assert_array_equal(delay.gathered(laid), codes)
    begun = delay.laid(codes, 3)
    np.testing.assert_array_equal(begun[..., : laid.shape[-1]], laid[..., :3])


def test_the_codes_of_a_column_that_are_a_frames() -> None:
    delay = Delay(delays_of(4), PAD)
    laid = delay.laid(np.zeros((4, 5), np.int64))
    for column in range(delay.columns(5)):
        assert delay.open(column, 5).tolist() == (laid[:, column] != PAD).tolist()
    assert delay.open(7).all()
