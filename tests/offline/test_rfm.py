"""The recursive feature machine: the same directions as xrfm's, and those that were hidden in the data."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("scipy", reason="needs the extra train")

from offline.steering.linear import diffmean, projected, random, ridges  # noqa: E402
from offline.steering.rfm import RfmConfig, fit  # noqa: E402
from offline.steering.search import Part, Plan, search, settings  # noqa: E402
from offline.steering.targets import auc, direction_scores, predictor_score, targets  # noqa: E402

Tensor = torch.Tensor
CPU = torch.device("cpu")


def data(kind: str, count: int = 400, width: int = 30) -> tuple[Tensor, Tensor]:
    """x [n, d] of unequal spread, y [n, c] that hangs on three directions."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(count, width, generator=draw, dtype=torch.float64)
    x = x * torch.linspace(0.5, 2.0, width, dtype=torch.float64)
    hidden = x @ torch.randn(width, 3, generator=draw, dtype=torch.float64) / width**0.5
    if kind == "regression":
        return x, (torch.sin(hidden[:, 0]) + 0.3 * hidden[:, 1])[:, None]
    if kind == "binary":
        return x, (hidden[:, 0] + 0.5 * hidden[:, 1] ** 2 > 0).double()[:, None]
    return x, torch.nn.functional.one_hot(hidden.argmax(1), 3).double()


@pytest.mark.parametrize(
    ("kind", "exponent", "centred"),
    [
        ("regression", 1.0, False), ("regression", 1.3, True), ("regression", 0.7, False),
        ("binary", 1.0, True), ("binary", 0.7, False), ("multiclass", 1.0, False), ("multiclass", 1.3, False),
    ],
)  # fmt: skip
def test_the_directions_are_xrfms(kind: str, exponent: float, centred: bool) -> None:
    rfm_src = pytest.importorskip("xrfm.rfm_src", reason="xrfm is not installed: pip install xrfm")
    x, y = data(kind)
    x, x_val, y, y_val = x[:250], x[250:], y[:250], y[250:]
    theirs = rfm_src.RFM(
        kernel="l2", bandwidth=1.2, exponent=exponent, iters=4, bandwidth_mode="adaptive", device="cpu", verbose=False,
        tuning_metric="mse",
    )  # fmt: skip
    theirs.fit((x, y), (x_val, y_val), reg=1e-2, center_grads=centred, early_stop_rfm=False, get_agop_best_model=True)
    _, vectors = torch.linalg.eigh(theirs.agop_best_model)
    config = RfmConfig(1.2, 1e-2, exponent, centred, iterations=4)
    ours = fit(x, y, x_val, lambda predicted: -float(((predicted - y_val) ** 2).mean()), config, components=2)
    cosines = (vectors[:, -2:].flip(1) * ours.components).sum(0).abs()
    assert cosines.min() >= 0.99
    assert torch.allclose(theirs.predict(x_val), ours.predict(x_val), atol=1e-3)


def test_the_direction_that_matters_is_found_where_the_means_are_the_same() -> None:
    """A target that is high at both ends of a direction: no mean, no line shows it."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(400, 20, generator=draw, dtype=torch.float64)
    hidden = torch.randn(20, generator=draw, dtype=torch.float64)
    hidden /= hidden.norm()
    y = ((x @ hidden).abs() > 0.7).double()[:, None] - 0.5
    found = fit(x[:300], y[:300], x[300:], lambda p: auc(p[:, 0].numpy(), (y[300:, 0] > 0).numpy()), RfmConfig())
    assert abs(found.components[:, 0] @ hidden) > 0.95
    assert found.score > 0.9
    assert found.iteration > 0, "the metric helped"
    assert abs(diffmean(x[:300], y[:300])[:, 0] @ hidden) < 0.6


def test_it_keeps_the_best_iteration() -> None:
    x, y = data("regression")
    scores: list[float] = []

    def score(_predicted: Tensor) -> float:
        scores.append([0.1, 0.5, 0.3, 0.5][len(scores)])
        return scores[-1]

    found = fit(x[:100], y[:100], x[100:], score, RfmConfig(iterations=3))
    assert (found.iteration, found.score, len(scores)) == (1, 0.5, 4)


def test_examples_that_are_all_alike_give_no_error() -> None:
    same = torch.ones(20, 3, dtype=torch.float64)
    found = fit(same, torch.zeros(20, 1, dtype=torch.float64), same, lambda p: float(p.sum()), RfmConfig())
    assert found.components.isfinite().all()


def test_components_are_summed_with_their_sign() -> None:
    x, y = data("binary")
    x, y = x - x.mean(0), y - y.mean(0)
    whole = torch.linalg.eigh(x.T @ x)[1]
    assert torch.allclose(projected(whole, x, y), diffmean(x, y))
    one = whole[:, :1]
    assert torch.allclose(projected(one, x, y), projected(-one, x, y))
    assert float((x @ projected(one, x, y)).T @ y) > 0


def test_ridge_is_least_squares_with_little_regularisation_and_the_covariance_with_much() -> None:
    x, y = data("regression")
    y = y - y.mean(0)
    little, much = ridges(x, y, (1e-12, 1e6))
    exact = torch.linalg.lstsq(x, y).solution
    assert torch.allclose(little, exact / exact.norm(), atol=1e-6)
    assert torch.allclose(much, diffmean(x, y), atol=1e-4)
    assert ridges(x[:10], y[:10])[0].isfinite().all(), "fewer examples than features"


def test_random_directions_are_drawn_again_from_the_same_seed() -> None:
    assert torch.equal(random(8, (1, 2)), random(8, (1, 2)))
    assert not torch.equal(random(8, (1, 2)), random(8, (1, 3)))
    assert float(random(8, (1,)).norm()) == pytest.approx(1.0)


def test_scores() -> None:
    assert auc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, True, False, True])) == 0.875
    assert auc(np.zeros(4), np.array([True, False, True, False])) == 0.5
    labels = np.array([0.0, 1.0, 2.0, 1.0])
    wanted = targets("multiclass", labels, labels)
    assert wanted.mean(0) == pytest.approx([0, 0, 0])
    assert predictor_score("multiclass", np.eye(3)[[0, 1, 1, 1]], labels, wanted) == 0.75
    bpm = np.array([60.0, 90.0, 120.0])
    scored = targets("regression", bpm, bpm)
    assert scored[:, 0] == pytest.approx([-(1.5**0.5), 0, 1.5**0.5])
    assert predictor_score("regression", scored, bpm, scored) == 1.0
    assert direction_scores("regression", -bpm[:, None], bpm) == pytest.approx([-1.0])
    assert direction_scores("multiclass", np.eye(3)[[0, 1, 2, 1]], labels).tolist() == [1.0, 1.0, 1.0]


def parts(kind: str) -> list[Part]:
    x, y = data(kind, 300)
    labels = (y.argmax(1) if y.shape[1] > 1 else y[:, 0]).numpy().astype(np.float64)
    raw = x.numpy() * 7.0 + 3.0
    return [Part(raw[a:b], labels[a:b]) for a, b in ((0, 160), (160, 230), (230, 300))]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("standardise", ["layer", "feature"])
def test_each_method_finds_directions_that_hold_on_test(kind: str, standardise: str) -> None:
    train, validation, test = parts(kind)
    plan = Plan(kind, trials=2, iterations=2, standardise=standardise)  # type: ignore[arg-type]
    found = search(train, validation, test, plan, CPU)
    classes = 3 if kind == "multiclass" else 1
    assert list(found) == ["diffmean", "ridge", "rfm"]
    for method, one in found.items():
        assert one.vectors.shape == (classes, 30)
        assert np.linalg.norm(one.vectors, axis=1) == pytest.approx(1.0)
        along = (test.x - train.x.mean(0)) @ one.vectors.T.astype(np.float64)
        assert one.test == pytest.approx(direction_scores(plan.task, along, test.labels).tolist(), abs=1e-2)
        assert min(one.test) > 0.65, f"{method}: {one.test}"
    again = search(train, validation, test, plan, CPU)
    assert np.array_equal(found["rfm"].vectors, again["rfm"].vectors)


def test_the_mean_difference_is_that_of_the_raw_activations_however_they_are_standardised() -> None:
    train, validation, test = parts("binary")
    wanted = train.x[train.labels == 1].mean(0) - train.x[train.labels == 0].mean(0)
    for standardise in ("layer", "feature"):
        plan = Plan("binary", ("diffmean",), standardise=standardise)
        one = search(train, validation, test, plan, CPU)["diffmean"]
        assert float(one.vectors[0] @ wanted / np.linalg.norm(wanted)) == pytest.approx(1.0, abs=1e-5)


def test_settings_are_drawn_within_their_ranges_and_the_first_are_the_default() -> None:
    assert settings(0, 0, 5) == RfmConfig()
    drawn = [settings(0, trial, 5) for trial in range(1, 60)]
    assert all(0.3 <= one.bandwidth <= 10 and 1e-5 <= one.regularisation <= 10 for one in drawn)
    assert all(0.7 <= one.exponent <= 1.4 for one in drawn)
    assert {one.centred for one in drawn} == {True, False}
    assert drawn == [settings(0, trial, 5) for trial in range(1, 60)]
    assert settings(1, 1, 5) != drawn[0]
