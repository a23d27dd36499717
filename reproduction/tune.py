"""Find settings, on slots and seeds that no table uses, and record every try.

learners   the paper's other learners, with equal budgets: baselines/settings/<algorithm>.json
search     particle swarm and differential evolution: baselines/settings/particle_swarm.json, ...
markdown   the part of their price that price-posting agents ask for: docs/dirs-markdown.md

What is measured is kept in --runs and not repeated, so that a study can be interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import mec_gym
from baselines.encodings import ENCODINGS
from baselines.search import STARTS, SearchSettings, search
from dirs_agents import DIRS, options
from mec_bench import Settings, algorithm
from mec_bench.cli import complain, count
from mec_bench.matrix import FORMAT, VERSION
from mec_bench.training import make_env, seed_env
from mec_gym import Scenario
from mec_gym.evaluation import SlotSet, decide_with, nrr, slot_set
from mec_gym.files import read_object, require_folder, require_record, write_whole
from reproduction import pages
from reproduction.jobs import carry_out
from reproduction.variants import PRESETS

SETTINGS = pages.ROOT / "baselines" / "settings"
SEED = 1_000
"""Of training and of the slots that trials are judged on; no table uses it."""

Record = dict[str, Any]


def main() -> int:
    """Measure what is missing, then write what was found, and say what failed."""
    given = _parser().parse_args()
    torch.set_num_threads(1)
    with complain(status=2):
        require_folder(given.out)
        require_folder(given.runs, "--runs")
    with complain():
        tune: Callable[[argparse.Namespace], int] = given.tune
        return tune(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    each = parser.add_subparsers(required=True, metavar="WHAT")
    for name, tune, out in (
        ("learners", _learners, SETTINGS),
        ("search", _searches, SETTINGS),
        ("markdown", _markdown, pages.DOCS),
    ):
        one = each.add_parser(name)
        one.set_defaults(tune=tune)
        one.add_argument("--runs", type=Path, default=Path("runs/tuning"), help="for trials")
        one.add_argument("--out", type=Path, default=out, help="folder to write to")
        if tune is _learners:
            one.add_argument("--algos", nargs="+", default=list(SPACES), choices=list(SPACES))
            one.add_argument("--scenarios", nargs="+", default=list(SLOTS), choices=list(SLOTS))
            one.add_argument("--trials", type=count, default=4, help="per algorithm")
            one.add_argument("--slots", type=count, help="train for so many instead (a test)")
            one.add_argument("--jobs", type=count, default=2, help="trials side by side")
        elif tune is _searches:
            one.add_argument("--slots", type=count, default=4, help="per scenario and finalist")
            one.add_argument("--evaluations", type=count, default=EVALUATIONS, help="per slot")
            one.add_argument("--many", type=count, default=MANY, help="the larger budget reported")
            one.add_argument("--algorithm", choices=tuple(SEARCHED), help="one of them only")
        else:
            one.add_argument("--layouts", type=count, default=20, help="batches of five slots")
    return parser


def kept(file: Path, asked: Record, reached: list[str], measure: Callable[[], Record]) -> Record:
    """Return the record of what is asked, from its file or measured now and written there."""
    record = read_object(file) if file.exists() else None
    if record is not None:
        require_record(file, record, [*asked, *reached])
    if record is None or any(record[key] != value for key, value in asked.items()):
        record = asked | measure()
        pages.write_json(file, record)
    return record


# -- learners --------------------------------------------------------------------------------------

SLOTS = {"paper-30x2": 3000, "paper-200x10": 2000, "unequal-200x10": 2000}
"""Of a trial: T_DRL of the paper where that is quick, and two fifths of it elsewhere."""

SPACES: Mapping[str, Mapping[str, list[Any]]] = {
    "ac": {
        "learning_rate": [3e-4, 1e-3, 3e-3],
        "batch_size": [32, 64, 128, 256],
        "ent_coef": [0.0, 0.003, 0.01],
        "max_grad_norm": [0.5, "inf"],
        "policy_kwargs.net_arch": [{"pi": pi, "vf": [64]} for pi in ([64], [256], [256, 256])],
    },
    "ac:links": {
        "learning_rate": [1e-3, 3e-3, 1e-2],
        "batch_size": [16, 32, 64, 128],
        "ent_coef": [0.003, 0.01, 0.03],
        "max_grad_norm": [0.5, "inf"],
        "policy_kwargs.link_arch": [[32], [64], [64, 64]],
    },
    "ddpg": {
        "learning_rate": [3e-4, 1e-3, 3e-3],
        "batch_size": [32, 64, 128],
        "actor_rate": [0.03, 0.1, 0.3],
        "noise": [0.15, 0.3, 0.6],
        "policy_kwargs.temperature": [0.1, 0.2, 0.5],
    },
    "maddpg": {
        "batch_size": [32, 64, 128],
        "actor_rate": [0.1, 0.3, 1.0],
        "noise": [0.15, 0.3, 0.6],
        "level_noise": [0.1, 0.3, 0.6],
        "logit_penalty": [1e-4, 1e-3, 1e-2],
    },
}
"""Constructor arguments and the values that are tried: five for each algorithm. "inf" is infinity,
which JSON does not know."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """What one process measures: a learner's trial on one scenario."""

    algo: str
    number: int
    scenario: str
    slots: int
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.algo} {self.number} {self.scenario}"

    def file(self, runs: Path) -> Path:
        """Return where its record lies below the folder of trials."""
        return runs / f"{plain_name(self.algo)}-{self.number}-{self.scenario}-{self.slots}.json"


class Study:
    """The trials of one learner: those on record, then what Optuna suggests, the same again."""

    def __init__(self, algo: str, given: argparse.Namespace) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.algo, self._given = algo, given
        record = read_object(SETTINGS / f"{plain_name(algo)}.json")
        self.arguments = {one["trial"]: one["arguments"] for one in record["dropped"]}
        self._study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=SEED)
        )
        # Optuna's categories are plain values: texts stand for lists and dictionaries.
        self._space: dict[str, Any] = {
            key: optuna.distributions.CategoricalDistribution([*map(json.dumps, values)])
            for key, values in SPACES[algo].items()
        }
        known = {one["trial"]: one["arguments"] for one in reversed(record["trials"])}
        for _, arguments in sorted(known.items()):
            texts = {key: json.dumps(value) for key, value in arguments.items()}
            self._study.enqueue_trial(texts)

    def ask(self) -> int:
        """Begin a trial; return its number."""
        trial = self._study.ask(self._space)
        self.arguments[trial.number] = {key: json.loads(t) for key, t in trial.params.items()}
        return trial.number

    def tell(self, number: int, *, failed: bool) -> None:
        """End a trial by its mean NRR, 0 where it diverged; or as one that failed."""
        import optuna

        if failed:
            self._study.tell(number, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(number, _mean_of(self.records([number])))

    def trials(self, numbers: Iterable[int]) -> list[Trial]:
        """Return what to measure: each trial on each scenario."""
        return [
            Trial(self.algo, number, one, self._given.slots or SLOTS[one], self.arguments[number])
            for number in numbers
            for one in self._given.scenarios
        ]

    def records(self, numbers: Iterable[int]) -> list[Record]:
        """Return what was measured."""
        return [read_object(one.file(self._given.runs)) for one in self.trials(numbers)]

    def write(self) -> Path:
        """Write every trial and the best."""
        means = {
            number: _mean_of(self.records([number])) for number in self.arguments if number >= 0
        }
        best = max(means, key=lambda number: means[number])
        file: Path = self._given.out / f"{plain_name(self.algo)}.json"
        record = {
            "format": FORMAT,
            "version": VERSION,
            "algorithm": self.algo,
            "holds_for": self._given.scenarios,
            "training_seed": SEED,
            "judging_seed": SEED,
            "space": SPACES[self.algo],
            "best_trial": best,
            "chosen": self.arguments[best],
            "mean_nrr": means[best],
            "trials": self.records(means),
            "dropped": self.records(number for number in self.arguments if number < 0),
        }
        pages.write_json(file, record)
        return file


def plain_name(algo: str) -> str:
    """Return a name that every system takes in a file's: without a colon."""
    return algo.replace(":", "-")


def _mean_of(records: Sequence[Record]) -> float:
    return float(np.mean([one["nrr"] or 0.0 for one in records]))


def _learners(given: argparse.Namespace) -> int:
    studies = {algo: Study(algo, given) for algo in given.algos}
    failed: dict[str, list[str]] = {algo: [] for algo in given.algos}

    def tried(numbers: Mapping[str, Iterable[int]]) -> None:
        trials = [one for algo, of in numbers.items() for one in studies[algo].trials(of)]
        pairs = [(trial, given.runs) for trial in trials]
        lines = carry_out(_tried, pairs, given.jobs)
        for trial in trials:
            failed[trial.algo] += [one for one in lines if one.startswith(f"{trial}: ")]

    tried({algo: [n for n in one.arguments if n < 0] for algo, one in studies.items()})
    for _ in range(given.trials):
        numbers = {algo: study.ask() for algo, study in studies.items()}
        tried({algo: [number] for algo, number in numbers.items()})
        for algo, number in numbers.items():
            studies[algo].tell(number, failed=bool(failed[algo]))
    for text in itertools.chain(*failed.values()):
        print("failed:", text)
    for algo, study in studies.items():
        if failed[algo]:
            print(f"not written: {plain_name(algo)}.json, whose trials are not all there")
        else:
            print("wrote", study.write())
    return 1 if any(failed.values()) else 0


def _tried(pair: tuple[Trial, Path]) -> str:
    trial, runs = pair
    torch.set_num_threads(1)
    asked = {"trial": trial.number} | {
        key: getattr(trial, key) for key in ("scenario", "slots", "arguments")
    }
    file = trial.file(runs)
    record = kept(file, asked, ["nrr", "seconds"], partial(_trained, trial))
    return f"{file.stem}: NRR {record['nrr']} in {record['seconds']:.0f} s, {record['arguments']}"


def _trained(trial: Trial) -> Record:
    scenario = Scenario.preset(trial.scenario)
    arguments = {key: math.inf if v == "inf" else v for key, v in trial.arguments.items()}
    settings = Settings(algorithm=trial.algo, scenario=scenario, timesteps=trial.slots, seed=SEED)
    chosen = algorithm(trial.algo, arguments)
    begun = time.perf_counter()
    reached = None
    try:
        env = make_env(settings, chosen)
        model = chosen.build(env, seed=SEED, device="cpu")
        seed_env(env, SEED)
        model.learn(trial.slots)
        judging = slot_set(scenario, own_layout=True, n_layouts=20, seed=SEED)
        reached = round(float(nrr(judging, decide_with(model, chosen.observation)).mean()), 6)
    except FloatingPointError:
        pass  # it diverged: a result, too
    return {"nrr": reached, "seconds": round(time.perf_counter() - begun, 1)}


# -- searches: every setting on one slot each, the best of these on more ---------------------------

EVALUATIONS, MANY = 2_000, 20_000
POPULATIONS = (20, 50)
SEARCHED: Mapping[str, tuple[dict[str, Any], ...]] = {
    "particle_swarm": (
        {},
        {"adaptive": False, "w": 0.72, "c1": 1.49, "c2": 1.49},
        {"max_velocity_rate": 0.05},
    ),
    "differential_evolution": (
        {"variant": "DE/rand/1/bin", "F": 0.5, "CR": 0.9},
        {"variant": "DE/best/1/bin", "F": 0.5, "CR": 0.9},
        {"variant": "DE/best/1/bin", "F": 0.7, "CR": 0.3},
    ),
}
FINALISTS = 5


def _searches(given: argparse.Namespace) -> int:
    for name in [given.algorithm] if given.algorithm else SEARCHED:
        path = given.out / f"{name}.json"
        pages.write_json(path, _searched(name, given))
        print(f"wrote {path}", flush=True)
    return 0


def _searched(name: str, given: argparse.Namespace) -> Record:
    """Return the record of one algorithm's settings."""
    sizes = {"tuning": given.slots, "other": max(1, given.slots // 2)}
    seeds = {"tuning": 2_000, "other": 0}
    sets = {
        part: {
            one: slot_set(Scenario.preset(one), n_layouts=n, slots_per_layout=1, seed=seeds[part])
            for one in SLOTS
        }
        for part, n in sizes.items()
    }

    def reached(one: SearchSettings, part: str, n_slots: int, budget: int) -> Record:
        settings = dataclasses.asdict(one) | {"max_evaluations": budget}
        asked = {"algorithm": name, **settings, "part": part, "slots": [n_slots, sizes[part]]}
        words = json.dumps(asked, sort_keys=True)
        file = given.runs / f"{name}-{pages.short_hash(words)}.json"
        measure = partial(_mean_nrr, name, one, sets[part], n_slots, budget)
        found = kept(file, asked, ["nrr"], measure)
        print(f"{budget:6d} {one} {found['nrr']}", flush=True)
        return settings | {"nrr": found["nrr"]}

    first = [(one, reached(one, "tuning", 1, given.evaluations)) for one in _tries(name)]
    ranked = sorted(first, key=lambda pair: -_mean(pair[1]))
    second = [
        (one, reached(one, "tuning", given.slots, given.evaluations))
        for one, _ in ranked[:FINALISTS]
    ]
    best, _ = max(second, key=lambda pair: _mean(pair[1]))
    leaders = {one.encoding: one for one, _ in reversed(ranked)} | {best.encoding: best}
    plain = next(one for one, _ in ranked if (one.encoding, one.start) == ("floor", "random"))
    return {
        "format": "mec-gym/search-settings",
        "version": 1,
        "algorithm": name,
        "holds_for": list(SLOTS),
        "best": dataclasses.asdict(best),
        "best_by_encoding": {key: dataclasses.asdict(one) for key, one in sorted(leaders.items())},
        "reached_on_other_slots": [
            reached(one, "other", sizes["other"], budget)
            for encoding, one in [*sorted(leaders.items()), ("floor", plain)]
            # The larger budget costs minutes where vectors are long.
            for budget in (given.evaluations, given.many)[: 1 if encoding == "scores" else 2]
        ],
        "finalists": [found for _, found in second],
        "tried_on_one_slot_each": [found for _, found in ranked],
    }


def _tries(name: str) -> list[SearchSettings]:
    choices = SEARCHED[name]
    return [
        SearchSettings(encoding, start, population, choice)
        for encoding, start, population, choice in itertools.product(
            ENCODINGS, STARTS, POPULATIONS, choices
        )
        # M + 1 times as many variables take M times as long: one try.
        if encoding != "scores"
        or (start, population, choice) == ("greedy", POPULATIONS[0], choices[0])
    ]


def _mean_nrr(
    name: str, one: SearchSettings, sets: Mapping[str, SlotSet], n_slots: int, evaluations: int
) -> Record:
    """Return the mean NRR by scenario, to six digits: more are rounding."""
    found = {}
    for scenario, slots in sets.items():
        rows = zip(slots.scenarios, slots.slots, slots.lower_bound, strict=True)
        values = [
            bound[0]
            / search(
                *(system, slot[0], one, name),
                max_evaluations=evaluations,
                seed=index,
            ).objective
            for index, (system, slot, bound) in enumerate(itertools.islice(rows, n_slots))
        ]
        found[scenario] = round(float(np.mean(values)), 6)
    return {"nrr": found}


def _mean(record: Record) -> float:
    return float(np.mean(list(record["nrr"].values())))


# -- the markdown of price-posting agents ----------------------------------------------------------

MARKDOWNS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_STAGES = ["untrained", "imitated"]


def _markdown(given: argparse.Namespace) -> int:
    rows, worst = [], [1.0] * len(MARKDOWNS)
    for preset in PRESETS:
        asked = {"preset": preset, "markdowns": list(MARKDOWNS), "layouts": given.layouts}
        file = given.runs / f"markdown-{preset}-{given.layouts}.json"
        found = kept(file, asked, _STAGES, partial(_marked_down, preset, given.layouts))
        print(preset, found["imitated"], flush=True)
        worst = [*map(min, worst, found["imitated"])]
        for stage, words in zip(_STAGES, ("untrained", "after imitation"), strict=True):
            rows.append([preset, words, *(f"{value:.4f}" for value in found[stage])])
    page = given.out / "dirs-markdown.md"
    text = pages.render(
        "markdown.md.j2",
        slots=5 * given.layouts,
        seed=SEED,
        best=MARKDOWNS[worst.index(max(worst))],
        markdowns=list(MARKDOWNS),
        rows=rows,
    )
    write_whole(page, text)
    print("wrote", page)
    return 0


def _marked_down(preset: str, layouts: int) -> Record:
    """Train once; return the NRR by markdown before and after imitation."""
    scenario = Scenario.preset(preset)
    fixed = scenario.layout == "fixed"
    slots = slot_set(scenario, own_layout=fixed, n_layouts=layouts, slots_per_layout=5, seed=SEED)
    model = DIRS(env=gym.make(mec_gym.ENV_ID, scenario=scenario), **options("prices", seed=SEED))
    found: Record = {}
    for stage in _STAGES:
        found[stage] = []
        for markdown in MARKDOWNS:
            model.policy.bank.markdown = markdown
            found[stage].append(float(nrr(slots, decide_with(model)).mean()))
        model.learn(0)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
