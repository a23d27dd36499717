"""Mantegna's steps: their scale, symmetry and tail, and where the formula ends."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from mec_gym.levy import levy_steps, mantegna_sigma


@pytest.mark.parametrize("beta", [0.3, 0.5, 1.0, 1.25, 1.5, 1.75, 1.9, 1.999])
def test_sigma_is_the_closed_form(beta: float) -> None:
    with mpmath.workdps(40):
        b = mpmath.mpf(beta)
        top = mpmath.gamma(1 + b) * mpmath.sin(mpmath.pi * b / 2)
        bottom = mpmath.gamma((1 + b) / 2) * b * mpmath.mpf(2) ** ((b - 1) / 2)
        wanted = float((top / bottom) ** (1 / b))
    # sin(πβ/2) near β = 2 is a small number from one near π: a thousand times its rounding.
    assert mantegna_sigma(beta) == pytest.approx(wanted, rel=1e-14 if beta < 1.99 else 1e-12)


def test_sigma_at_the_usual_index() -> None:
    # Γ(2.5) sin(135°) = 0.9400, Γ(1.25) 1.5 2^0.25 = 1.6169; 0.58137^(2/3).
    wanted = (
        math.gamma(2.5) * math.sqrt(0.5) / (math.gamma(1.25) * 1.5 * math.sqrt(math.sqrt(2.0)))
    ) ** (2.0 / 3.0)
    assert wanted == pytest.approx(0.6966, abs=1e-4)
    assert mantegna_sigma(1.5) == pytest.approx(wanted, rel=1e-14)  # a few roundings
    assert mantegna_sigma(1.0) == pytest.approx(1.0, rel=1e-15)  # one rounding
    assert mantegna_sigma(2.0 - 1e-9) < 1e-4  # it vanishes at β = 2


@pytest.mark.parametrize("beta", [0.7, 1.0, 1.5, 1.9])
def test_steps_are_symmetric(beta: float) -> None:
    steps = levy_steps(np.random.default_rng(0), 100_000, beta=beta)
    # Signs are fair coins: five errors of 100,000.
    assert abs(np.sign(steps).mean()) < 5 / math.sqrt(100_000)
    quantiles = np.quantile(steps, [0.1, 0.25, 0.75, 0.9])
    # Quantiles have errors of sqrt(q (1-q) / n) over the density, here a percent of themselves.
    np.testing.assert_allclose(quantiles[:2], -quantiles[:1:-1], rtol=0.08)


@pytest.mark.parametrize("beta", [0.7, 1.0, 1.5])
def test_the_tail_has_the_exponent(beta: float) -> None:
    n, k = 400_000, 400
    steps = np.sort(np.abs(levy_steps(np.random.default_rng(1), n, beta=beta)))
    # Hill's estimate from the k largest has an error of β / sqrt(k), 5 %; four of them, as
    # the tail is a power only in the limit.
    hill = 1.0 / np.log(steps[-k:] / steps[-k - 1]).mean()
    assert hill == pytest.approx(beta, rel=0.2)


def test_steps_are_heavier_than_normal_ones() -> None:
    steps = levy_steps(np.random.default_rng(2), 100_000)
    far = np.abs(steps) > 10 * np.median(np.abs(steps))
    # P(|d| > x) falls as x^-1.5: about a percent; of a normal law, 1.5e-11.
    assert 0.002 < far.mean() < 0.05
    assert np.isfinite(steps).all()


def test_the_ratio_of_normals_behind_it() -> None:
    for shape in (5, (3,), (2, 3, 4)):
        rng = np.random.default_rng(4)
        u, v = rng.normal(0.0, mantegna_sigma(1.5), shape), rng.standard_normal(shape)
        steps = levy_steps(np.random.default_rng(4), shape)
        assert steps.shape == np.shape(u)
        np.testing.assert_allclose(steps, u / np.abs(v) ** (1 / 1.5), rtol=1e-14)  # roundings


@pytest.mark.parametrize("beta", [0.0, 2.0, -0.5, 2.5, math.nan, math.inf, -math.inf])
def test_indices_outside_are_refused(beta: float) -> None:
    for call in (mantegna_sigma, lambda b: levy_steps(np.random.default_rng(0), 3, beta=b)):
        with pytest.raises(ValueError, match=r"beta must lie strictly between 0 and 2") as caught:
            call(beta)
        assert repr(beta) in str(caught.value)


@pytest.mark.parametrize("beta", [1e-4, 1e-3, 1e-2])
def test_small_indices_do_not_warn_or_overflow_unannounced(beta: float) -> None:
    """Every β in (0, 2) is legal: a step, or a refusal that says why there is none."""
    try:
        steps = levy_steps(np.random.default_rng(0), 100_000, beta=beta)
    except ValueError as refusal:
        assert "beta" in str(refusal)  # noqa: PT017 - either is fine
    else:
        assert not np.isnan(steps).any()
