"""Particle swarm and differential evolution: legal, honest about budgets, reproducible."""

import json
from pathlib import Path

import numpy as np
import pytest

from baselines import differential_evolution, greedy, particle_swarm
from baselines.encodings import ENCODINGS
from baselines.rules import tuning_slots
from baselines.search import STARTS, SearchSettings, committed_settings, search
from mec_gym import Scenario, evaluate, solve
from mec_gym.optimum import load_problem

pytest.importorskip("pymoo")

ALGORITHMS = ("particle_swarm", "differential_evolution")
BOTH = pytest.mark.parametrize("algorithm", ALGORITHMS)
FUNCTIONS = pytest.mark.parametrize("decide", [particle_swarm, differential_evolution])


def small(**changes: object) -> Scenario:
    return Scenario(
        n_devices=9,
        n_servers=3,
        noise_w=1e-6,
        cycles={"uniform": [5e8, 1.5e9]},
        server_frequency_hz=[4e9, 6e9, 9e9],
        **changes,
    )


@pytest.mark.parametrize("name", list(ENCODINGS))
def test_every_vector_stands_for_a_legal_decision(name: str) -> None:
    scenario = small(max_power_w=[0.5, 0.5] + [1.5] * 7)
    slot = tuning_slots(scenario, 1)[0]
    encoding = ENCODINGS[name](load_problem(scenario, slot))
    vectors = np.random.default_rng(0).random((200, encoding.size))
    for corner in (np.zeros((1, encoding.size)), np.ones((1, encoding.size))):
        vectors = np.concatenate([vectors, corner])
    decisions = encoding.decode(vectors)
    assert decisions.shape == (202, 9)
    assert decisions.min() >= 0
    assert decisions.max() <= 3
    assert (decisions[:, :2] > 0).all()
    # The search's objective is the world's. 1e-12: sums in another order.
    priced = [float(evaluate(scenario, slot, one).objective) for one in decisions]
    np.testing.assert_allclose(encoding.problem.objective(decisions), priced, rtol=1e-12)


@pytest.mark.parametrize("name", ["floor", "scores", "order"])
def test_the_greedy_vector_decodes_to_the_greedy_decision(name: str) -> None:
    scenario = small()
    slot = tuning_slots(scenario, 1)[0]
    encoding = ENCODINGS[name](load_problem(scenario, slot))
    decision, vector = encoding.greedy()
    np.testing.assert_array_equal(decision, greedy(scenario, slot))
    np.testing.assert_array_equal(encoding.decode(vector[None])[0], decision)
    around = encoding.around(vector, 10, np.random.default_rng(0))
    np.testing.assert_array_equal(around[0], vector)


def test_some_prices_stand_for_nearly_the_optimum() -> None:
    scenario = Scenario.preset("unequal-200x10")
    slot = tuning_slots(scenario, 1)[0]
    optimum = solve(scenario, slot)
    encoding = ENCODINGS["prices"](load_problem(scenario, slot))
    vector = encoding.encode(optimum.assignment)
    assert ((vector > 0.0) & (vector < 1.0)).all(), "the box must have room for the best prices"
    value = encoding.problem.objective(encoding.decode(vector[None])[0])
    assert 0.99 < optimum.lower_bound / value <= 1.0


@BOTH
@pytest.mark.parametrize("name", list(ENCODINGS))
@pytest.mark.parametrize("start", STARTS)
def test_a_search_is_no_better_than_the_optimum_and_no_worse_than_its_start(
    algorithm: str, name: str, start: str
) -> None:
    scenario = small()
    slot = tuning_slots(scenario, 1)[0]
    found = search(
        scenario, slot, SearchSettings(name, start, 10), algorithm, max_evaluations=60, seed=3
    )
    value = float(evaluate(scenario, slot, found.assignment).objective)
    assert found.objective == pytest.approx(value, rel=1e-12)
    assert value >= solve(scenario, slot).lower_bound * (1 - 1e-12)
    if start != "random":
        seed = float(evaluate(scenario, slot, greedy(scenario, slot)).objective)
        assert value <= seed * (1 + 1e-12)


@BOTH
@pytest.mark.parametrize("budget", [1, 2, 7, 10, 11, 33])
@pytest.mark.parametrize("start", ["random", "greedy"])
def test_the_budget_is_spent_to_the_last_evaluation(
    algorithm: str, budget: int, start: str
) -> None:
    scenario = small()
    slot = tuning_slots(scenario, 1)[0]
    settings = SearchSettings("floor", start, 10)
    counted = []

    class Counting:
        def __init__(self, problem: object) -> None:
            self._real = ENCODINGS["order"](problem)  # type: ignore[arg-type]

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

        def decode(self, vectors: np.ndarray) -> np.ndarray:
            counted.append(len(vectors))
            return self._real.decode(vectors)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENCODINGS, "floor", Counting)  # type: ignore[arg-type]
        found = search(scenario, slot, settings, algorithm, max_evaluations=budget)
    assert found.evaluations == budget
    assert sum(counted) + (start == "greedy") == budget


@BOTH
def test_a_larger_budget_continues_the_smaller(algorithm: str) -> None:
    scenario = small()
    slot = tuning_slots(scenario, 1)[0]
    values = [
        search(
            scenario, slot, SearchSettings("floor", "random", 10), algorithm, max_evaluations=some
        ).objective
        for some in (10, 40, 200, 1000)
    ]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0], "a hundred generations must improve on the first"


@BOTH
def test_time_ends_a_search(algorithm: str) -> None:
    scenario = small()
    slot = tuning_slots(scenario, 1)[0]
    found = search(
        scenario,
        slot,
        SearchSettings("floor", "random", 10),
        algorithm,
        max_evaluations=10**6,
        max_milliseconds=1e-6,
    )
    assert found.evaluations == 10, "one population, then the clock is looked at"


@FUNCTIONS
def test_the_seed_alone_decides(decide: object) -> None:
    scenario = small()
    slots = tuning_slots(scenario, 3)
    settings = SearchSettings("floor", "random", 8)

    def found(seed: int) -> np.ndarray:
        return decide(scenario, slots, max_evaluations=40, seed=seed, settings=settings)  # type: ignore[operator, no-any-return]

    np.random.default_rng()  # the global stream must not matter
    first = found(1)
    np.random.seed(5)  # noqa: NPY002
    np.testing.assert_array_equal(first, found(1))
    assert (first != found(2)).any()
    alone = decide(scenario, slots[1], max_evaluations=40, seed=1, settings=settings)  # type: ignore[operator]
    np.testing.assert_array_equal(first[1], alone)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_committed_settings_are_those_that_the_record_calls_best(name: str) -> None:
    path = Path(__file__).resolve().parents[2] / "baselines" / "settings" / f"{name}.json"
    record = json.loads(path.read_text())
    best = committed_settings(name)

    def mean(entry: dict[str, dict[str, float]]) -> float:
        return sum(entry["nrr"].values()) / len(entry["nrr"])

    keys = ("encoding", "start", "population", "options")
    chosen = {key: getattr(best, key) for key in keys}
    (ours,) = (one for one in record["finalists"] if {key: one[key] for key in keys} == chosen)
    assert mean(ours) == max(mean(one) for one in record["finalists"])
    for encoding in ENCODINGS:
        assert committed_settings(name, encoding).encoding == encoding
    with pytest.raises(ValueError, match="encoding must be one of"):
        committed_settings(name, "nonsense")


@FUNCTIONS
def test_budgets_that_are_none_are_refused(decide: object) -> None:
    scenario = small()
    slot = tuning_slots(scenario, 1)[0]
    with pytest.raises(ValueError, match="max_evaluations must be an integer >= 1; got 0"):
        decide(scenario, slot, max_evaluations=0)  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"max_evaluations must be an integer >= 1; got 2\.5"):
        decide(scenario, slot, max_evaluations=2.5)  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"max_milliseconds must be a number in \(0, inf\] \[ms\]"):
        decide(scenario, slot, max_milliseconds=0)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoding": "x"}, "encoding must be one of"),
        ({"start": "x"}, "start must be one of"),
        ({"population": 3}, "population must be an integer >= 4"),
        ({"population": 4.5}, "population must be an int"),
    ],
)
def test_settings_that_do_not_exist_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        SearchSettings(**({"encoding": "floor", "start": "random", "population": 9} | changes))  # type: ignore[arg-type]
