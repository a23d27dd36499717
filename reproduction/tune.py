"""Find settings, on slots and seeds that no table uses, and record every try.

search     particle swarm and differential evolution: baselines/settings/particle_swarm.json, ...
markdown   the part of their price that price-posting agents ask for: docs/dirs-markdown.md
learners   all learners, with the same budget: reproduction/results/studies, docs/learning-pays.md

What is measured is kept, in --runs or in studies, and not repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
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
from mec_bench import tune
from mec_bench.cli import complain, count
from mec_bench.registry import title
from mec_bench.searching import plain_name
from mec_gym import Scenario
from mec_gym.evaluation import SlotSet, decide_with, nrr, slot_set
from mec_gym.files import read_object, require_folder, write_whole
from reproduction import pages
from reproduction.variant_runs import PRESETS

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
        if "runs" in given:
            require_folder(given.runs, "--runs")
    with complain():
        work: Callable[[argparse.Namespace], int] = given.work
        return work(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    each = parser.add_subparsers(required=True, metavar="WHAT")
    for name, work, out in (
        ("search", _searches, SETTINGS),
        ("markdown", _markdown, pages.DOCS),
        ("learners", _learners, STUDIES),
    ):
        one = each.add_parser(name)
        one.set_defaults(work=work)
        one.add_argument("--out", type=Path, default=out, help="folder to write to")
        if work is _learners:
            one.add_argument("--only", nargs="+", choices=STUDIED, default=[*STUDIED])
            one.add_argument("--trials", type=count, default=TRIALS, help="of each learner")
            continue
        one.add_argument("--runs", type=Path, default=Path("runs/tuning"), help="for trials")
        if work is _searches:
            one.add_argument("--slots", type=count, default=4, help="per scenario and finalist")
            one.add_argument("--evaluations", type=count, default=EVALUATIONS, help="per slot")
            one.add_argument("--many", type=count, default=MANY, help="the larger budget reported")
            one.add_argument("--algorithm", choices=tuple(SEARCHED), help="one of them only")
        else:
            one.add_argument("--layouts", type=count, default=20, help="batches of five slots")
    return parser


# -- searches: every setting on one slot each, the best of these on more ---------------------------

SYSTEMS = ("paper-30x2", "paper-200x10", "unequal-200x10")
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
            for one in SYSTEMS
        }
        for part, n in sizes.items()
    }

    def reached(one: SearchSettings, part: str, n_slots: int, budget: int) -> Record:
        settings = dataclasses.asdict(one) | {"max_evaluations": budget}
        asked = {"algorithm": name, **settings, "part": part, "slots": [n_slots, sizes[part]]}
        words = json.dumps(asked, sort_keys=True)
        file = given.runs / f"{name}-{pages.short_hash(words)}.json"
        measure = partial(_mean_nrr, name, one, sets[part], n_slots, budget)
        found = pages.kept(file, asked, measure)
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
        "holds_for": list(SYSTEMS),
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
        found = pages.kept(file, asked, partial(_marked_down, preset, given.layouts))
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


# -- learners: the same budget for each ------------------------------------------------------------

STUDIES = pages.RESULTS / "studies"
TRIALS = 8
STUDIED: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "unequal-200x10": (
        5_000,
        (
            *("mappo", "mappo:team", "mappo:learned", "droo", "droo:links", "ac", "ac:links"),
            *("ddpg", "ddpg:links", "maddpg", "maddpg:links", "dirs:prices"),
        ),
    ),
    "paper-30x2": (3_000, ("dirs", "dirs:by-device", "dirs:ensemble")),
    "crowd-30x4": (7_200, ("mappo", "mappo:team", "mappo:learned", "dirs:hindsight")),
}
"""Slots of each run and learners, by scenario: where they differ and a run takes a minute or less.

Searches of demonstrations and labels take DIRS two on 200 devices.
"""


def _learners(given: argparse.Namespace) -> int:
    for scenario in given.only:
        slots, names = STUDIED[scenario]
        for name in names:
            print(f"{name} on {scenario}", flush=True)
            say = partial(print, flush=True)
            tune(name, scenario, timesteps=slots, trials=given.trials, out=given.out, say=say)
    return 0


def studies(folder: Path = STUDIES) -> list[list[str]]:
    """Return a row for every study that is done: the learner as it is, its best trial, the rest."""
    rows = []
    for scenario, (_, names) in STUDIED.items():
        for name in names:
            file = folder / f"{plain_name(name)}-{scenario}.json"
            record = read_object(file) if file.exists() else {"trials": []}
            if (trials := record["trials"]) and len(trials) == record["budget"]["trials"]:
                slots = f"{record['budget']['slots'][scenario]:,}"
                rows.append([scenario, title(name), slots, *_study_cells(trials)])
    return rows


def _study_cells(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    complete = [one for one in trials if one["value"] is not None]
    as_it_is, best = complete[0], max(complete, key=lambda one: one["value"])
    changes = ", ".join(f"{key} {value}" for key, value in best["arguments"].items())
    figures = [_seeds(one) for one in (as_it_is, best)]
    return [*figures, changes or "as it is", f"{len(trials) - len(complete)} of {len(trials)}"]


def _seeds(trial: Mapping[str, Any]) -> str:
    each = ", ".join(f"{run['score']:.3f}" for run in trial["runs"])
    return f"{trial['value']:.4f} ({each})"


if __name__ == "__main__":
    raise SystemExit(main())
