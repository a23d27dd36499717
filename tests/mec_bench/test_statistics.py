"""Statistics agree with SciPy's, keep their laws, and cover what they say they do."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mec_bench.figures import band
from mec_bench.results import CurvePoint
from mec_bench.statistics import (
    Interval,
    crossed_mean,
    holm,
    improvement,
    interquartile_mean,
    mean,
    optimality_gap,
    paired_difference,
    performance_profile,
    probability_of_improvement,
    stratified_bootstrap,
)
from mec_bench.tables import COVERAGE
from reproduction.coverage import (
    bootstrap_coverage,
    bootstrap_difference,
    coverage_of_few,
    coverage_table,
    difference_coverage,
)

scores = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12)
ragged = st.lists(scores, min_size=1, max_size=4)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# -- figures --------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=40))
def test_the_interquartile_mean_is_scipys_trimmed_mean(values: list[float]) -> None:
    whole = values[: 4 * (len(values) // 4)]
    assert interquartile_mean([whole]) == pytest.approx(stats.trim_mean(whole, 0.25), abs=1e-9)
    # Four copies of every run have the same quartiles and no fractions.
    copies = np.repeat(values, 4)
    assert interquartile_mean([values]) == pytest.approx(stats.trim_mean(copies, 0.25), abs=1e-9)


@given(ragged)
def test_scenarios_weigh_the_same_in_the_interquartile_mean(runs: list[list[float]]) -> None:
    common = math.lcm(*map(len, runs))
    copies = np.concatenate([np.repeat(one, 4 * common // len(one)) for one in runs])
    assert interquartile_mean(runs) == pytest.approx(stats.trim_mean(copies, 0.25), abs=1e-8)


@given(st.lists(st.tuples(scores, scores), min_size=1, max_size=4))
def test_probability_of_improvement_is_mann_whitneys_u(
    pairs: list[tuple[list[float], list[float]]],
) -> None:
    x, y = [one for one, _ in pairs], [other for _, other in pairs]
    expected = [
        stats.mannwhitneyu(one, other, method="asymptotic").statistic / (len(one) * len(other))
        for one, other in pairs
        if len(set(one + other)) > 1  # SciPy's p-value divides by zero otherwise
    ]
    expected += [0.5] * (len(pairs) - len(expected))
    assert probability_of_improvement(x, y) == pytest.approx(np.mean(expected), abs=1e-12)
    total = probability_of_improvement(x, y) + probability_of_improvement(y, x)
    assert total == pytest.approx(1)


@given(scores)
def test_the_profile_is_scipys_survival_function(values: list[float]) -> None:
    limits = np.concatenate([values, [-2e3, 0.0, 2e3]])
    expected = stats.ecdf(values).sf.evaluate(limits)
    np.testing.assert_allclose(performance_profile([values], limits), expected, atol=1e-12)


def test_the_profile_weighs_scenarios_the_same() -> None:
    np.testing.assert_allclose(performance_profile([[1, 1, 1], [0]], [0.5]), [0.5])


def test_the_area_above_the_profile_is_the_optimality_gap(rng: np.random.Generator) -> None:
    runs = [rng.random(5), rng.random(3)]
    limits = (np.arange(20_000) + 0.5) / 20_000
    area = 1 - performance_profile(runs, limits).mean()
    assert optimality_gap(runs) == pytest.approx(area, abs=1e-4)


def test_what_exceeds_the_target_makes_up_for_nothing() -> None:
    assert optimality_gap([[0.5, 9.0]]) == optimality_gap([[0.5, 1.0]]) == 0.25


@pytest.mark.parametrize("bad", [[], [[]], [[1.0], []], [[math.nan]], [[1.0, math.inf]]])
def test_scores_that_are_none_are_refused(bad: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="at least one run and finite"):
        interquartile_mean(bad)


def test_scenarios_must_match_in_a_comparison() -> None:
    with pytest.raises(ValueError, match="as many scenarios; got 1 and 2"):
        probability_of_improvement([[1]], [[1], [2]])


# -- the bootstrap --------------------------------------------------------------------------------


def test_runs_are_resampled_within_each_scenario(rng: np.random.Generator) -> None:
    runs = [rng.standard_normal(12), 5 + rng.standard_normal(7)]
    got = stratified_bootstrap(runs, mean, n_resamples=40_000)
    drawn = np.mean([rng.choice(one, (40_000, len(one))).mean(1) for one in runs], axis=0)
    # Quantiles of 40,000 draws have a standard error of about 1 % of the interval's width.
    assert (got.low, got.high) == pytest.approx(
        np.quantile(drawn, [0.025, 0.975]), abs=0.05 * 2 * got.half
    )


def test_differences_between_scenarios_are_no_uncertainty() -> None:
    interval = stratified_bootstrap([[0.0, 0.0, 0.0], [1.0, 1.0]], mean)
    assert (interval.low, interval.value, interval.high) == (0.5, 0.5, 0.5)


def test_neither_order_nor_global_state_changes_an_interval(rng: np.random.Generator) -> None:
    runs = [rng.random(5), rng.random(3), rng.random(4)]
    np.random.seed(1)  # noqa: NPY002
    first = stratified_bootstrap(runs)
    np.random.seed(2)  # noqa: NPY002
    mixed = [rng.permutation(one) for one in (runs[2], runs[0], runs[1])]
    other = stratified_bootstrap(mixed)
    assert (other.low, other.high) == pytest.approx((first.low, first.high), rel=1e-12)
    assert stratified_bootstrap(runs) == first
    assert stratified_bootstrap(runs, seed=1) != first


def test_one_run_tells_nothing_of_its_scatter() -> None:
    interval = stratified_bootstrap([[0.1, 0.2], [0.3]])
    assert not interval.known
    assert math.isfinite(interval.value)


def test_both_sides_of_an_improvement_are_resampled(rng: np.random.Generator) -> None:
    x, y = [rng.random(6)], [rng.random(6)]
    both = stratified_bootstrap([*x, *y], improvement)
    alone = stratified_bootstrap(x, lambda parts: improvement([*parts, y[0][None]]))
    assert both.half > alone.half > 0


# -- seeds and layouts ----------------------------------------------------------------------------


def test_of_two_rules_the_difference_is_the_paired_t_test(rng: np.random.Generator) -> None:
    a, b = rng.random((1, 20)), rng.random((1, 20))
    got = paired_difference(a, b, learns=(False, False))
    expected = stats.ttest_rel(a[0], b[0])
    ends = expected.confidence_interval()
    assert got.p == pytest.approx(expected.pvalue)
    assert (got.interval.low, got.interval.high) == pytest.approx((ends.low, ends.high))


def test_without_layout_effects_the_difference_is_welchs_test(rng: np.random.Generator) -> None:
    a, b = rng.random((5, 1)), 0.3 * rng.random((8, 1))
    got = paired_difference(a * np.ones(7), b * np.ones(7))
    expected = stats.ttest_ind(a[:, 0], b[:, 0], equal_var=False)
    ends = expected.confidence_interval()
    assert got.p == pytest.approx(expected.pvalue)
    assert (got.interval.low, got.interval.high) == pytest.approx((ends.low, ends.high))


def test_what_makes_a_layout_hard_for_both_cancels(rng: np.random.Generator) -> None:
    a, b, hard = rng.random((4, 10)), rng.random((4, 10)), 100 * rng.random(10)
    easy, difficult = paired_difference(a, b), paired_difference(a + hard, b + hard)
    assert difficult.interval.value == pytest.approx(easy.interval.value)
    assert difficult.interval.half == pytest.approx(easy.interval.half)
    assert crossed_mean(a + hard).half > 10 * crossed_mean(a).half


def test_a_difference_turns_with_its_sides(rng: np.random.Generator) -> None:
    a, b = rng.random((4, 10)), rng.random((3, 10))
    one, other = paired_difference(a, b), paired_difference(b, a)
    assert one.p == pytest.approx(other.p)
    assert one.interval.low == pytest.approx(-other.interval.high)


def test_with_many_seeds_and_layouts_student_and_bootstrap_agree(rng: np.random.Generator) -> None:
    layouts = rng.standard_normal(200)
    a, b = (
        layouts + rng.standard_normal((60, 1)) + 0.3 * rng.standard_normal((60, 200))
        for _ in range(2)
    )
    student, drawn = paired_difference(a, b).interval, bootstrap_difference(a, b, n_resamples=8000)
    assert drawn.value == pytest.approx(student.value)
    assert drawn.half == pytest.approx(student.half, rel=0.06)


def test_an_interval_is_cut_to_what_is_possible() -> None:
    two = crossed_mean([[0.74] * 4, [0.99] * 4])
    assert two.low < 0 < 1 < two.high
    assert two.within(0, 1) == Interval(two.value, 0, 1)
    assert not crossed_mean([[0.5]]).within(0, 1).known


def test_one_seed_of_a_learner_gives_no_interval(rng: np.random.Generator) -> None:
    a, b = rng.random((1, 9)), rng.random((5, 9))
    assert not paired_difference(a, b).interval.known
    assert math.isnan(paired_difference(a, b).p)
    assert paired_difference(a, b, learns=(False, True)).interval.known
    assert not crossed_mean(a).known
    assert crossed_mean(a, learns=False).known


def test_equal_policies_do_not_differ(rng: np.random.Generator) -> None:
    a = rng.random((1, 9))
    same = paired_difference(a, a, learns=(False, False))
    assert (same.interval.low, same.interval.high, same.p) == (0.0, 0.0, 1.0)


def test_layouts_must_match() -> None:
    with pytest.raises(ValueError, match="same layouts; got 3 and 4"):
        paired_difference(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"values must be finite and of shape \(seeds, layouts\)"):
        crossed_mean(np.ones(3))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_holm_is_bonferroni_in_every_subset(p: list[float]) -> None:
    every = range(len(p))
    subsets = [s for size in every for s in itertools.combinations(every, size + 1)]
    expected = [
        min(1.0, max(len(s) * min(p[i] for i in s) for s in subsets if index in s))
        for index in every
    ]
    assert holm(p) == pytest.approx(expected)


def test_holm_leaves_out_what_is_not_known() -> None:
    corrected = holm([0.01, math.nan, 0.04])
    assert corrected[0] == 0.02
    assert math.isnan(corrected[1])
    assert corrected[2] == 0.04


# -- curves ---------------------------------------------------------------------------------------


def curve(x: list[float], y: list[float]) -> list[CurvePoint]:
    return [
        CurvePoint(10 * index, one, nrr) for index, (one, nrr) in enumerate(zip(x, y, strict=True))
    ]


def test_curves_meet_on_the_part_that_all_have() -> None:
    one, two = curve([0, 10], [0, 1]), curve([2, 8], [0.2, 0.8])
    both = band([one, two], "seconds")
    assert (both.x[0], both.x[-1]) == (2, 8)
    np.testing.assert_allclose(both.value, both.x / 10)
    np.testing.assert_allclose(both.half, 0, atol=1e-12)


def test_a_curves_interval_is_students(rng: np.random.Generator) -> None:
    values = rng.random(5)
    drawn = band([curve([0.0], [one]) for one in values], "timesteps")
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    low, high = drawn.value - drawn.half, drawn.value + drawn.half
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high))


def test_curves_that_never_meet_have_one_point() -> None:
    drawn = band([curve([0, 1], [0, 1]), curve([2, 3], [0, 1])], "seconds")
    assert (len(drawn.x), len(drawn.value)) == (1, 1)


# -- coverage -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_bootstrap_intervals_of_few_seeds_are_too_narrow() -> None:
    three, five, many = (bootstrap_coverage(n, n_trials=2000) for n in (3, 5, 30))
    assert three < 0.8 < five < 0.93 < many < 0.97


@pytest.mark.slow
@pytest.mark.parametrize("distribution", ["normal", "skewed"])
@pytest.mark.parametrize("n_seeds", [2, 3, 5, 10])
def test_students_difference_covers_what_it_says(n_seeds: int, distribution: str) -> None:
    # A share of 2000 has a standard error of 0.005; wide is allowed, narrow is not.
    share = difference_coverage(n_seeds, distribution=distribution, n_trials=2000)
    assert 0.935 <= share <= 0.995


@pytest.mark.slow
def test_the_page_states_the_coverage_that_simulation_gives() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"
    assert coverage_table() in page.read_text(encoding="utf-8")
    assert coverage_of_few() == COVERAGE


def test_the_coverage_that_reports_state_rises_with_the_seeds() -> None:
    for shares in COVERAGE.values():
        assert list(shares) == [2, 3, 4, 5, 10]
        assert list(shares.values()) == sorted(shares.values())
        assert shares[10] < 0.95
