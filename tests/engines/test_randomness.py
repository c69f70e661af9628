import numpy as np

from engines.randomness import generator
from engines.sampling import pick, shaped


def test_the_same_place_gives_the_same_numbers_and_any_other_place_gives_others() -> None:
    places = [(1, 0, 0, 0), (2, 0, 0, 0), (1, 1, 0, 0), (1, 0, 1, 0), (1, 0, 0, 1), (-1, 0, 0, 0)]
    draws = [tuple(generator(*place).random(4)) for place in places]
    assert draws == [tuple(generator(*place).random(4)) for place in places]
    assert len(set(draws)) == len(places)


def test_temperature_zero_takes_the_likeliest() -> None:
    assert shaped(np.log(np.array([0.2, 0.5, 0.3], np.float32)), temperature=0.0).tolist() == [0.0, 1.0, 0.0]


def test_top_k_and_top_p_keep_the_likeliest_and_sum_to_one() -> None:
    logs = np.log(np.array([0.1, 0.4, 0.2, 0.3], np.float32))
    np.testing.assert_allclose(shaped(logs, top_k=2), [0, 4 / 7, 0, 3 / 7], rtol=1e-6)
    np.testing.assert_allclose(shaped(logs, top_p=0.75), [0, 4 / 9, 2 / 9, 3 / 9], rtol=1e-6)
    np.testing.assert_allclose(shaped(logs, top_p=0.7 - 1e-3), [0, 4 / 7, 0, 3 / 7], rtol=1e-6)
    np.testing.assert_allclose(shaped(logs, top_p=0.0), [0, 1, 0, 0])


def test_temperature_flattens_and_sharpens() -> None:
    logs = np.log(np.array([0.2, 0.8], np.float32))
    np.testing.assert_allclose(shaped(logs, temperature=0.5), [1 / 17, 16 / 17], rtol=1e-5)
    np.testing.assert_allclose(shaped(logs, temperature=2.0), [1 / 3, 2 / 3], rtol=1e-5)


def test_pick_never_takes_what_has_no_probability() -> None:
    p = np.array([0.0, 0.5, 0.0, 0.5, 0.0])
    assert [pick(p, u) for u in (0.0, 0.49, 0.5, 0.999999, np.nextafter(1.0, 0))] == [1, 1, 3, 3, 3]
