"""Algorithm 4: laws of the search, and its distribution against a slow obvious loop."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, special, stats

from dirs_agents import LevySearch, demonstrate, levy_search, refine
from dirs_agents.labels import DEMONSTRATION_SEARCH, part_size
from mec_gym import Scenario, Slot, evaluate
from mec_gym.levy import LevyTail, levy_steps, mantegna_sigma
from tests.dirs_agents.dirs_helpers import FORCED, SMALL, TASKS, slots_of
from tests.dirs_agents.levy_loops import best_by_enumeration, levy_search_by_loops

ROOT = Path(__file__).resolve().parents[2]
module: Any = importlib.import_module("dirs_agents.levy_search")  # the function has its name

NOISY = Scenario(n_devices=5, n_servers=2, noise_w=1e-5, name="noisy")
UNEQUAL = Scenario(
    n_devices=6,
    n_servers=3,
    data_bits=(4e5, 6e5, 8e5, 1e6, 1.2e6, 2e5),
    cycles=(5e8, 1e9, 2e9, 1.5e9, 7e8, 1e9),
    server_frequency_hz=(2e9, 4e9, 8e9),
    noise_w=1e-6,
)
HARD = Scenario(n_devices=6, n_servers=2, noise_w=1e-6, max_power_w=(0.5, 1.5, 1.5, 0.5, 1.5, 1.5))


def start_of(scenario: Scenario, batch: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    least = np.where(scenario.can_execute_locally, 0, 1)
    return rng.integers(least, scenario.n_servers + 1, (batch, scenario.n_devices))


def repeated(slots: Slot, times: int) -> Slot:
    """One slot, many times: a batch whose rows are independent runs."""
    return Slot(
        gains=np.repeat(slots.gains[:1], times, axis=0),
        data_bits=np.repeat(slots.data_bits[:1], times, axis=0),
        cycles=np.repeat(slots.cycles[:1], times, axis=0),
    )


# -- laws that hold in every run -----------------------------------------------------------------


@pytest.mark.parametrize("method", ["levy", "classic-levy"])
@pytest.mark.parametrize("allocation", ["exact", "levy"])
@pytest.mark.parametrize("scenario", [NOISY, UNEQUAL, HARD], ids=["noisy", "unequal", "hard"])
def test_laws_of_a_search(scenario: Scenario, allocation: str, method: str) -> None:
    slots, start = slots_of(scenario, 20), start_of(scenario, 20)
    settings = LevySearch(method=method, allocation=allocation, population=4, generations=30)
    found = levy_search(scenario, slots, start, np.random.default_rng(0), settings)
    assert found.assignment.dtype == np.int64
    assert found.history.shape == (31, 20)
    assert (np.diff(found.history, axis=0) <= 0).all()
    assert found.evaluations == 4 * 31
    assert (found.assignment >= 0).all()
    assert (found.assignment <= scenario.n_servers).all()
    assert (found.assignment[:, ~scenario.can_execute_locally] > 0).all()
    exact = np.asarray(evaluate(scenario, slots, found.assignment).objective)
    np.testing.assert_allclose(found.objective, exact, rtol=1e-9)
    begun = np.asarray(evaluate(scenario, slots, start).objective)
    if allocation == "exact":
        np.testing.assert_allclose(found.history[0], begun, rtol=1e-9)
        np.testing.assert_allclose(found.history[-1], exact, rtol=1e-9)
        assert (found.objective <= begun * (1 + 1e-12)).all()
    else:
        # What is searched is at best the closed form.
        assert (found.history[-1] >= exact * (1 - 1e-9)).all()
        assert (found.history[0] >= begun * (1 - 1e-9)).all()
    assert (found.history[-1] < found.history[0]).any()


@pytest.mark.parametrize("method", ["levy", "classic-levy"])
def test_a_seed_decides_everything_and_input_stays_as_it_was(method: str) -> None:
    slots, start = slots_of(UNEQUAL, 3), start_of(UNEQUAL, 3)
    kept = start.copy()
    settings = LevySearch(method=method, generations=20)
    runs = [
        levy_search(UNEQUAL, slots, start, np.random.default_rng(seed), settings)
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(start, kept)
    np.testing.assert_array_equal(runs[0].history, runs[1].history)
    np.testing.assert_array_equal(runs[0].assignment, runs[1].assignment)
    assert (runs[0].history != runs[2].history).any()


@pytest.mark.parametrize("method", ["levy", "classic-levy"])
@pytest.mark.parametrize("scenario", [NOISY, UNEQUAL, HARD], ids=["noisy", "unequal", "hard"])
def test_tiny_slots_reach_the_enumerated_optimum(scenario: Scenario, method: str) -> None:
    slots = slots_of(scenario, 6)
    generations = 800 if method == "levy" else 3000
    settings = LevySearch(
        method=method, population=8, generations=generations, beta=1.0, step_scale=0.05
    )
    found = levy_search(scenario, slots, start_of(scenario, 6), np.random.default_rng(0), settings)
    for index in range(6):
        best, _ = best_by_enumeration(scenario, slots[index])
        assert found.objective[index] == pytest.approx(best, rel=1e-9)


def test_the_optimum_is_not_left() -> None:
    slots = slots_of(UNEQUAL, 2)
    best = np.array([best_by_enumeration(UNEQUAL, slots[i])[1] for i in range(2)])
    found = levy_search(UNEQUAL, slots, best, np.random.default_rng(0), LevySearch(generations=50))
    np.testing.assert_array_equal(found.assignment, best)


def test_searched_allocations_approach_the_exact_ones() -> None:
    slots = slots_of(NOISY, 4)
    start = start_of(NOISY, 4, seed=1)
    settings = LevySearch(allocation="levy", population=5, generations=800, beta=1.9)
    found = levy_search(NOISY, slots, start, np.random.default_rng(0), settings)
    exact = levy_search(
        NOISY, slots, start, np.random.default_rng(0), LevySearch(population=5, generations=800)
    )
    assert (found.history[-1] >= exact.objective * (1 - 1e-9)).all()
    assert (found.history[-1] <= exact.objective * 1.1).all()


# -- the schedule of eq. (21) --------------------------------------------------------------------


@pytest.mark.parametrize("generations", [1, 2, 10, 37])
def test_gamma_falls_from_nearly_two_to_zero(
    generations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    advance = module._HMutation.advance

    def watched(self: Any, generation: int) -> None:
        # The last one's weight is 0: it is left out.
        seen.extend(self._weights[generation - 1 : generation])
        advance(self, generation)

    monkeypatch.setattr(module._HMutation, "advance", watched)
    settings = LevySearch(generations=generations)
    levy_search(NOISY, slots_of(NOISY, 1), start_of(NOISY, 1), np.random.default_rng(0), settings)
    wanted = [2.0 - 2.0 * g / generations for g in range(1, generations)]
    np.testing.assert_allclose(seen, wanted, atol=1e-12)


def test_one_generation_alone_is_idle() -> None:
    slots, start = slots_of(NOISY, 5), start_of(NOISY, 5)
    rng = np.random.default_rng(0)
    found = levy_search(NOISY, slots, start, rng, LevySearch(generations=1))
    np.testing.assert_array_equal(found.assignment, start)


# -- the distribution against loops ---------------------------------------------------------------

RUNS = 200
SETTINGS = [
    {"population": 1, "generations": 6, "beta": 1.5, "threshold": 0.4},
    {"population": 3, "generations": 4, "beta": 0.5, "threshold": 1.0},
]


READINGS = [
    {"population": 2, "generations": 5, "beta": 1.5, "threshold": 0.4, "crossover": "member"},
    {"population": 2, "generations": 5, "beta": 1.5, "threshold": 0.4, "crossover": "none"},
    {"population": 2, "generations": 5, "beta": 1.5, "threshold": 0.4, "crossover": "shared"},
    {"population": 2, "generations": 5, "beta": 1.5, "threshold": 0.4, "mutation": "shuffled"},
    {"population": 2, "generations": 5, "beta": 1.5, "threshold": 0.4, "signed": True},
    {"population": 2, "generations": 5, "beta": 0.5, "threshold": 0.4, "flight_scale": 0.3},
    {"population": 2, "generations": 3, "beta": 1.5, "threshold": 0.4, "selection": "device"},
]


@pytest.mark.parametrize(
    "settings",
    [*SETTINGS, *READINGS],
    ids=[
        *("online", "demonstrations", "member", "no crossover", "shared", "no channel state"),
        *("signed", "scaled", "by device"),
    ],
)
@pytest.mark.parametrize("scenario", [NOISY, HARD], ids=["noisy", "hard"])
def test_results_are_distributed_as_the_loops(scenario: Scenario, settings: Any) -> None:
    slots = slots_of(scenario, 1, seed=4)
    start = start_of(scenario, 1, seed=2)
    decision, known = start[0].tolist(), {}
    slow = [
        levy_search_by_loops(
            scenario, slots[0], decision, np.random.default_rng([1, run]), known=known, **settings
        )
        for run in range(RUNS)
    ]
    many = repeated(slots, 4 * RUNS)
    starts = np.repeat(start, 4 * RUNS, axis=0)
    fast = levy_search(scenario, many, starts, np.random.default_rng(0), LevySearch(**settings))
    wanted = np.array([run.history for run in slow])
    for generation in range(1, settings["generations"] + 1):
        mine, theirs = fast.history[generation], wanted[:, generation]
        error = np.hypot(mine.std() / len(mine) ** 0.5, theirs.std() / len(theirs) ** 0.5)
        # Four standard errors: one false alarm in 16,000, and the seeds are fixed.
        assert abs(mine.mean() - theirs.mean()) <= 4 * error + 1e-12, f"generation {generation}"
    keys = sorted({tuple(run.assignment) for run in slow})
    frequent = [key for key in keys if sum(tuple(r.assignment) == key for r in slow) >= 20]
    for key in frequent:
        mine = (fast.assignment == key).all(axis=1).mean()
        theirs = np.mean([tuple(run.assignment) == key for run in slow])
        error = (theirs * (1 - theirs) * (1 / RUNS + 1 / (4 * RUNS))) ** 0.5
        assert abs(mine - theirs) <= 4 * error


@pytest.mark.parametrize("begin", ["anywhere", "local"])
@pytest.mark.parametrize("beta", [0.5, 1.5, 1.9])
def test_mutation_rates_are_those_of_drawn_steps(
    beta: float, begin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, generations, threshold = 1500, 5, 0.4
    slots = slots_of(UNEQUAL, batch)
    start = start_of(UNEQUAL, batch) if begin == "anywhere" else np.zeros((batch, 6), dtype=int)
    seen: list[int] = []
    counted = module._Search.random_choices

    def watched(self: Any, shape: Any) -> Any:
        seen.append(int(shape))
        return counted(self, shape)

    monkeypatch.setattr(module._Search, "random_choices", watched)
    # Nothing is better than what it came from: every generation mutates the start.
    monkeypatch.setattr(module._Search, "select", lambda *_: np.zeros((batch, 2), dtype=bool))
    settings = LevySearch(population=2, generations=generations, beta=beta, threshold=threshold)
    levy_search(UNEQUAL, slots, start, np.random.default_rng(0), settings)
    rng = np.random.default_rng(1)
    shares = np.concatenate(
        [np.full((batch, 6, 1), 0.25), slots.gains / slots.gains.sum(-1, keepdims=True)], axis=-1
    )
    share = np.take_along_axis(shares, start[..., None], axis=-1)
    assert len(seen) == generations - 1  # the last one is idle
    for generation, count in enumerate(seen, 1):
        gamma = 2.0 - 2.0 * generation / generations
        draws = (batch, 6, 10)
        mutates = gamma * np.abs(levy_steps(rng, draws, beta=beta)) > share
        crosses = gamma * np.abs(levy_steps(rng, draws, beta=beta)) > threshold
        rate = (mutates & crosses).mean()
        links = batch * 6 * 2
        error = (rate * (1 - rate) * (1 / links + 1 / np.prod(draws))) ** 0.5
        assert abs(count / links - rate) <= 4 * error


@pytest.mark.parametrize("scenario", [NOISY, HARD], ids=["noisy", "hard"])
def test_random_choices_are_uniform_over_what_is_legal(scenario: Scenario) -> None:
    slots = repeated(slots_of(scenario, 1), 1)
    problems = module.load_problems(scenario, slots)
    settings = LevySearch()
    args = (scenario, slots, problems, start_of(scenario, 1), np.random.default_rng(0), settings)
    search = module._HMutation(*args)
    shape = (20_000, 1, scenario.n_devices)
    drawn = search.legal(search.random_choices(shape))
    for i, local in enumerate(scenario.can_execute_locally):
        counts = np.bincount(drawn[:, 0, i], minlength=scenario.n_servers + 1)
        if not local:
            assert counts[0] == 0
            counts = counts[1:]
        assert stats.chisquare(counts).pvalue > 1e-4


def test_a_batch_is_many_single_searches() -> None:
    slots, start = slots_of(NOISY, 1, seed=4), start_of(NOISY, 1, seed=2)
    settings = LevySearch(generations=8)
    batch = levy_search(
        NOISY,
        repeated(slots, 800),
        np.repeat(start, 800, axis=0),
        np.random.default_rng(0),
        settings,
    ).objective
    alone = np.array(
        [
            levy_search(NOISY, slots, start, np.random.default_rng([1, run]), settings).objective[0]
            for run in range(200)
        ]
    )
    assert stats.ks_2samp(batch, alone).pvalue > 1e-3
    # Rows do not hang together: neighbours are not alike.
    assert abs(np.corrcoef(batch[:-1], batch[1:])[0, 1]) < 4 / len(batch) ** 0.5


def test_slots_of_a_batch_do_not_mix() -> None:
    slots = slots_of(NOISY, 3)
    found = levy_search(
        NOISY, slots, start_of(NOISY, 3), np.random.default_rng(0), LevySearch(generations=400)
    )
    for index in range(3):
        best, _ = best_by_enumeration(NOISY, slots[index])
        assert best * (1 - 1e-12) <= found.objective[index] <= best * 1.02


@pytest.mark.parametrize("crossover", ["device", "shared", "none"])
def test_a_signed_step_exceeds_half_as_many_thresholds(crossover: str) -> None:
    """One device, and a server that is better: it moves there as often as eqs. (20), (22) say."""
    runs, threshold = 20_000, 0.4
    scenario = Scenario(n_devices=1, n_servers=1)
    slots = repeated(Slot(gains=np.full((1, 1, 1), 1e-6), data_bits=8e5, cycles=1e9), runs)
    slots = Slot(gains=slots.gains, data_bits=8e5, cycles=1e9)

    def moved(**settings: Any) -> float:
        given = {"population": 1, "generations": 2, "threshold": threshold, "crossover": crossover}
        search = LevySearch(**given, **settings)
        start = np.zeros((runs, 1), dtype=int)
        found = levy_search(scenario, slots, start, np.random.default_rng(0), search)
        return float(found.assignment.mean())

    # γ is 1 in the one generation that is not idle, h of a local device 1/2; randm is 0 or 1.
    tail = LevyTail(1.5)
    mutates, crosses = tail(np.array([0.5, threshold]))
    likely = {"device": mutates * crosses, "shared": min(mutates, crosses), "none": mutates}
    error = 4 * 0.5 / runs**0.5
    assert moved() == pytest.approx(likely[crossover] / 2, abs=error)
    halves = 2 if crossover == "device" else 1  # as many steps as are drawn
    assert moved(signed=True) == pytest.approx(likely[crossover] / 2 / 2**halves, abs=error)
    # Steps twice as long exceed what half of them do.
    mutates, crosses = tail(np.array([0.25, threshold / 2]))
    likely = {"device": mutates * crosses, "shared": min(mutates, crosses), "none": mutates}
    assert moved(flight_scale=2.0) == pytest.approx(likely[crossover] / 2, abs=error)


@pytest.mark.parametrize("scenario", [NOISY, UNEQUAL, HARD], ids=["noisy", "unequal", "hard"])
def test_by_device_no_single_change_helps_in_the_end(scenario: Scenario) -> None:
    slots, start = slots_of(scenario, 20), start_of(scenario, 20)
    settings = LevySearch(selection="device", population=1, generations=300)
    found = levy_search(scenario, slots, start, np.random.default_rng(0), settings)
    assert (np.diff(found.history, axis=0) <= 0).all()
    for index in range(20):
        decision = found.assignment[index]
        for i, local in enumerate(scenario.can_execute_locally):
            for choice in range(0 if local else 1, scenario.n_servers + 1):
                changed = decision.copy()
                changed[i] = choice
                value = float(evaluate(scenario, slots[index], changed).objective)
                assert value >= found.objective[index] * (1 - 1e-12)


# -- the tail [L-3] ----------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.2, 0.5, 0.9, 1.0, 1.5, 1.9, 1.99])
def test_tail_against_quadrature(beta: float) -> None:
    sigma = mantegna_sigma(beta)

    def exact(x: float) -> float:
        # P(|u| > x |v|^(1/β)), v by its logarithm so that small v are seen.
        def integrand(t: float) -> float:
            v = np.exp(t)
            z = x * v ** (1.0 / beta) / (sigma * 2.0**0.5)
            return float(special.erfc(z) * np.exp(-(v**2) / 2.0) * v * (2.0 / np.pi) ** 0.5)

        return float(integrate.quad(integrand, -60.0, 2.5, limit=500, epsabs=1e-10)[0])

    tail = LevyTail(beta)
    points = np.geomspace(1e-4, 1e6, 41)
    wanted = np.array([exact(float(x)) for x in points])
    # The docstring's promise.
    np.testing.assert_allclose(tail(points), wanted, atol=2e-4)


@pytest.mark.parametrize("beta", [0.3, 0.5, 1.0, 1.5, 1.9])
def test_tail_against_drawn_steps(beta: float) -> None:
    steps = np.abs(levy_steps(np.random.default_rng(0), 100_000, beta=beta))
    points = np.array([0.01, 0.1, 0.2, 0.4, 1.0, 3.0, 30.0, 1e3])
    wanted = np.array([(steps > x).mean() for x in points])
    error = 4 * np.sqrt(np.maximum(wanted * (1 - wanted), 1e-5) / len(steps))
    assert (np.abs(LevyTail(beta)(points) - wanted) <= error + 2e-4).all()


@pytest.mark.parametrize("beta", [0.2, 0.5, 1.5, 1.9])
def test_tail_is_a_tail(beta: float) -> None:
    tail = LevyTail(beta)
    x = np.geomspace(1e-250, 1e250, 20_001)
    values = tail(x)
    assert values[0] == 1.0
    assert values[-1] == 0.0
    assert (np.diff(values) <= 0).all()
    assert tail(np.zeros(2)).tolist() == [1.0, 1.0]
    assert tail(np.array([np.inf])).tolist() == [0.0]
    assert tail(x.reshape(3, -1)).shape == (3, 6667)


@pytest.mark.parametrize("beta", [0.0, 2.0, -1.0, float("nan")])
def test_tail_refuses_what_the_steps_refuse(beta: float) -> None:
    with pytest.raises(ValueError, match="beta"):
        LevyTail(beta)


def test_the_ledger_says_how_long_steps_are() -> None:
    large, small = (float(LevyTail(beta)(np.array([0.2]))[0]) for beta in (1.5, 0.5))
    row = f"P(\\|d\\| > 0.2) is {large:.2f} at β = 1.5 and {small:.2f} at β = 0.5"
    assert row in (ROOT / "docs/model.md").read_text(encoding="utf-8")


# -- the classic search ---------------------------------------------------------------------------


def test_the_classic_search_moves_as_eq_18() -> None:
    """One generation, nothing selected away: choices are the floors of moved middles."""
    batch = 4000
    slots = repeated(slots_of(NOISY, 1), batch)
    start = np.tile([0, 1, 2, 1, 0], (batch, 1))
    problems = module.load_problems(NOISY, slots)
    settings = LevySearch(method="classic-levy", population=1, step_scale=0.2)
    search = module._Classic(NOISY, slots, problems, start, np.random.default_rng(0), settings)
    taken: list[Any] = []
    search.select = lambda candidate, _: taken.append(candidate) or np.zeros((batch, 1), bool)
    search.advance(1.0)
    rng = np.random.default_rng(9)
    moved = start + 0.5 + 0.2 * 3 * levy_steps(rng, start.shape, beta=1.5)
    wanted = np.clip(np.floor(moved), 0, 2)
    for i in range(5):
        mine = np.bincount(taken[0][:, 0, i], minlength=3) / batch
        theirs = np.bincount(wanted[:, i].astype(int), minlength=3) / batch
        assert (np.abs(mine - theirs) <= 4 * (0.5 / batch) ** 0.5).all()


def search_of(kind: Any, start: Any, **settings: Any) -> Any:
    """A search of one slot, repeated, before its first generation."""
    slots = repeated(slots_of(NOISY, 1), len(start))
    problems = module.load_problems(NOISY, slots)
    rng = np.random.default_rng(0)
    return kind(NOISY, slots, problems, start, rng, LevySearch(population=1, **settings))


@pytest.mark.parametrize("better", [True, False])
def test_the_classic_search_moves_on_only_where_it_is_better(better: bool) -> None:
    search = search_of(module._Classic, np.tile([0, 1, 2, 1, 0], (50, 1)), method="classic-levy")
    before = search._position.copy()
    search.select = lambda *_: np.full((50, 1), better)
    search.advance(1.0)
    moved = search._position != before
    assert moved.mean() > 0.9 if better else not moved.any()


def test_searched_resources_move_as_eq_18_where_they_cross_over() -> None:
    start = np.tile([1, 2, 0, 1, 2], (2000, 1))
    search = search_of(module._HMutation, start, allocation="levy", step_scale=0.01)
    before = search.fractions.copy()
    crossed = np.random.default_rng(3).random(start.shape)[:, None] < 0.5
    kept: list[Any] = []
    search._searched.repaired = lambda _, fractions: kept.append(fractions) or fractions
    search.moved_fractions(search.assignment, crossed)
    step = kept[0] - before
    assert (step.transpose(0, 1, 3, 2)[~crossed] == 0).all()
    moved = step.transpose(0, 1, 3, 2)[crossed].ravel()
    wanted = 0.01 * levy_steps(np.random.default_rng(9), len(moved), beta=1.5)
    assert stats.ks_2samp(moved, wanted).pvalue > 1e-3


def test_resources_are_brought_back_to_their_limits_and_no_further() -> None:
    from mec_gym.allocation_search import SMALLEST_FRACTION, FractionProblem

    problem = FractionProblem(UNEQUAL, slots_of(UNEQUAL, 40))
    rng = np.random.default_rng(0)
    choices = rng.integers(0, 4, (40, 3, 6))
    wild = rng.normal(0.2, 0.3, (40, 3, 2, 6))
    legal = problem.repaired(choices, wild)
    clipped = np.clip(wild, SMALLEST_FRACTION, 1.0)
    np.testing.assert_array_equal(legal[:, :, 1], clipped[:, :, 1])
    for place in np.ndindex(40, 3):
        for j in range(1, 4):
            here = choices[place] == j
            shares, asked = legal[place][0][here], clipped[place][0][here]
            scale = max(1.0, asked.sum())
            np.testing.assert_allclose(shares, asked / scale, rtol=1e-12)


# -- settings and refusals ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method", "random"),
        ("allocation", "best"),
        ("population", 0),
        ("population", 2.5),
        ("generations", True),
        ("generations", -1),
        ("beta", 0.0),
        ("beta", 2.0),
        ("beta", float("nan")),
        ("threshold", 0.0),
        ("threshold", float("inf")),
        ("step_scale", -0.01),
        ("flight_scale", 0.0),
        ("crossover", "sometimes"),
        ("selection", "best"),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        LevySearch(**{name: value})


def test_what_a_device_changes_is_known_only_with_the_optimal_resources() -> None:
    with pytest.raises(ValueError, match=r"selection must be \"whole\" where f and p are searched"):
        LevySearch(selection="device", allocation="levy")
    with pytest.raises(TypeError, match="signed must be True or False"):
        LevySearch(signed=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "start", [np.zeros((2, 4)), np.zeros((1, 4), int), np.zeros((2, 5), int), np.zeros(4, int)]
)
def test_starts_that_do_not_fit_are_refused(start: Any) -> None:
    with pytest.raises(ValueError, match="start"):
        levy_search(SMALL, slots_of(SMALL, 2), start, np.random.default_rng(0))


def test_a_single_slot_without_a_batch_axis_is_refused() -> None:
    with pytest.raises(ValueError, match="batch axis"):
        levy_search(SMALL, slots_of(SMALL, 2)[0], np.zeros(4, int), np.random.default_rng(0))


# -- refinement and demonstrations ----------------------------------------------------------------


@pytest.mark.parametrize("scenario", [NOISY, UNEQUAL, HARD], ids=["noisy", "unequal", "hard"])
@pytest.mark.parametrize("method", ["levy", "classic-levy", "epsilon-greedy", "none", "optimal"])
def test_refinements_keep_their_laws(method: str, scenario: Scenario) -> None:
    slots, start = slots_of(scenario, 10), start_of(scenario, 10)
    found = refine(
        scenario, slots, start, np.random.default_rng(0), method=method, search=LevySearch()
    )
    exact = np.asarray(evaluate(scenario, slots, found.assignment).objective)
    begun = np.asarray(evaluate(scenario, slots, start).objective)
    np.testing.assert_allclose(found.objective, exact, rtol=1e-9)
    np.testing.assert_allclose(found.history[0], begun, rtol=1e-9)
    np.testing.assert_allclose(found.history[-1], exact, rtol=1e-9)
    assert (exact <= begun * (1 + 1e-12)).all()
    if method == "none":
        np.testing.assert_array_equal(found.assignment, start)
    elif method == "optimal":
        best = [best_by_enumeration(scenario, slots[i])[0] for i in range(10)]
        np.testing.assert_allclose(exact, best, rtol=1e-6)
    else:
        assert (exact < begun).any()


def test_epsilon_is_the_rate_of_redrawn_choices() -> None:
    from dirs_agents.labels import _explored

    start = start_of(HARD, 3)
    found = _explored(HARD, start, np.random.default_rng(0), 20_000, 0.2)
    np.testing.assert_array_equal(found[:, 0], start)
    changed = (found[:, 1:] != start[:, None]).mean(axis=(0, 1))
    # A redrawn choice may be the old one: of M + 1, or of M where a device must offload
    # (there local is redrawn among the servers).
    kept = np.where(HARD.can_execute_locally, 1 / 3, 1 / 3 + 1 / 6)
    error = 4 * (0.2 / 60_000) ** 0.5
    assert (np.abs(changed - 0.2 * (1 - kept)) <= error).all()
    assert (found[..., ~HARD.can_execute_locally] > 0).all()


def test_epsilon_zero_changes_nothing() -> None:
    slots, start = slots_of(NOISY, 4), start_of(NOISY, 4)
    rng = np.random.default_rng(0)
    found = refine(NOISY, slots, start, rng, method="epsilon-greedy", epsilon=0.0)
    np.testing.assert_array_equal(found.assignment, start)


@pytest.mark.parametrize("source", ["exhaustive", "optimal"])
@pytest.mark.parametrize("scenario", [NOISY, HARD, FORCED, TASKS], ids=str)
def test_exact_demonstrations_are_the_optimum(scenario: Scenario, source: str) -> None:
    slots = slots_of(scenario, 7)
    start = start_of(scenario, 7)
    found = demonstrate(scenario, slots, start, np.random.default_rng(0), source=source)
    values = np.asarray(evaluate(scenario, slots, found).objective)
    best = [best_by_enumeration(scenario, slots[i])[0] for i in range(7)]
    np.testing.assert_allclose(values, best, rtol=1e-9 if source == "exhaustive" else 1e-6)


def test_levy_demonstrations_improve_on_their_start() -> None:
    slots, start = slots_of(UNEQUAL, 7), start_of(UNEQUAL, 7)
    found = demonstrate(UNEQUAL, slots, start, np.random.default_rng(0))
    values = np.asarray(evaluate(UNEQUAL, slots, found).objective)
    begun = np.asarray(evaluate(UNEQUAL, slots, start).objective)
    best = np.array([best_by_enumeration(UNEQUAL, slots[i])[0] for i in range(7)])
    assert (values <= begun).all()
    assert (values <= best * 1.02).all()


@pytest.mark.parametrize("source", ["levy", "exhaustive", "optimal"])
@pytest.mark.parametrize("scenario", [NOISY, UNEQUAL, HARD], ids=["noisy", "unequal", "hard"])
def test_demonstrations_in_parts_are_those_made_at_once(scenario: Scenario, source: str) -> None:
    search = LevySearch(population=500, generations=4, beta=0.5)
    slots, start = slots_of(scenario, 75), start_of(scenario, 75)
    size = part_size(scenario, source, search)
    assert 1 < size < 40
    one, other = (np.random.default_rng(0) for _ in range(2))
    whole = demonstrate(scenario, slots, start, one, source=source, search=search)
    parts = [slice(first, first + size) for first in range(0, 75, size)]
    found = [
        demonstrate(scenario, slots[part], start[part], other, source=source, search=search)
        for part in parts
    ]
    np.testing.assert_array_equal(np.concatenate(found), whole)
    assert one.bit_generator.state == other.bit_generator.state


def test_a_large_systems_demonstrations_are_made_in_many_parts() -> None:
    scenario = Scenario.preset("paper-200x10")
    for source in ("levy", "optimal"):
        assert part_size(scenario, source, DEMONSTRATION_SEARCH) <= 256 / 8


def test_enumerating_too_much_is_refused_by_name() -> None:
    large = Scenario(n_devices=30, n_servers=2)
    with pytest.raises(ValueError, match=r"exhaustive.*3\^30"):
        demonstrate(
            large,
            slots_of(large, 1),
            start_of(large, 1),
            np.random.default_rng(0),
            source="exhaustive",
        )


def test_unknown_methods_are_refused_by_name() -> None:
    slots, start = slots_of(NOISY, 1), start_of(NOISY, 1)
    with pytest.raises(ValueError, match="epsilon-greedy"):
        refine(NOISY, slots, start, np.random.default_rng(0), method="magic")
    with pytest.raises(ValueError, match="exhaustive"):
        demonstrate(NOISY, slots, start, np.random.default_rng(0), source="magic")
