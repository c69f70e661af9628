"""The measures an export is held to."""

import numpy as np

from engines.bundle import Source
from export.bundle import licence_of
from export.parity import KL_MEAN_MAX, MAX_ABS, Agreement, agreement, divergence
from export.subject import Heads


def logits(steps: int = 1200, tokens: int = 7) -> Heads:
    return {"logits": np.random.default_rng(0).normal(size=(steps, tokens)).astype(np.float32)}


def same(heads: Heads) -> Heads:
    return heads


def test_divergence_is_that_of_the_distributions() -> None:
    p, q = np.array([[0.7, 0.2, 0.1]]), np.array([[0.1, 0.1, 0.8]])
    expected = (p * np.log(p / q)).sum()
    found = divergence((np.log(p) + 5.0).astype(np.float32), np.log(q).astype(np.float32))
    np.testing.assert_allclose(found, [expected], rtol=1e-5)
    assert divergence(np.log(p).astype(np.float32), (np.log(p) - 3.0).astype(np.float32))[0] < 1e-12


def test_a_float_graph_may_not_differ_in_the_fourth_decimal() -> None:
    reference = logits()
    near = {"logits": reference["logits"] + np.float32(0.5 * MAX_ABS)}
    far = {"logits": reference["logits"].copy()}
    far["logits"][1100, 3] += 3 * MAX_ABS
    assert not agreement(reference, near, same).failure(exact=True)
    assert "max_abs 0.0003" in agreement(reference, far, same).failure(exact=True)
    assert not agreement(reference, far, same).failure(exact=False)


def test_an_int8_graph_is_judged_by_what_is_sampled_from() -> None:
    reference = logits()
    noise = np.random.default_rng(1).normal(size=reference["logits"].shape).astype(np.float32)
    assert not agreement(reference, {"logits": reference["logits"] + 0.02 * noise}, same).failure(exact=False)
    found = agreement(reference, {"logits": reference["logits"] + noise}, same)
    assert found.kl_mean > KL_MEAN_MAX
    assert "kl_mean" in found.failure(exact=False)


def test_one_wild_step_is_enough_to_fail() -> None:
    reference = logits()
    wild = {"logits": reference["logits"].copy()}
    wild["logits"][5] = [40.0, 0, 0, 0, 0, 0, 0]
    assert "kl_max" in agreement(reference, wild, same).failure(exact=False)


def test_not_a_number_agrees_with_nothing() -> None:
    reference = logits()
    broken = {"logits": reference["logits"].copy()}
    broken["logits"][0, 0] = np.nan
    found = agreement(reference, broken, same)
    assert found.failure(exact=True) and found.failure(exact=False)


def test_too_few_steps_prove_nothing() -> None:
    assert "steps 10 " in Agreement(10, 0.0, 0.0, 0.0).failure(exact=True)


def test_the_licence_of_weights_asks_for_the_terms_of_all_sources() -> None:
    sources = [Source("a", "GPL-2.0+", 1), Source("b", "CC-BY-4.0", 1), Source("c", "CC-BY-4.0", 2), Source("d", "", 1)]
    assert licence_of(sources) == "CC-BY-4.0 AND GPL-2.0-or-later AND unknown"
