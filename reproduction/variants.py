"""Train DIRS in all its variants and write what each reaches: docs/dirs-results.md.

Every figure there comes from here. A run that is already on disk is not repeated, so the script
can be interrupted; delete the folder of runs to begin anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

import mec_gym
from baselines import best_discount, mean_prices, posted_prices
from baselines.regimes import rules, tuned_prices, tuned_quota
from dirs_agents import DIRS, demonstrate, options
from dirs_agents.hyperparameters import demonstration_search
from dirs_agents.labels import demonstration_slots
from dirs_agents.pretraining import begun_at
from mec_bench.cli import complain, count
from mec_bench.measuring import frozen_slots, slot_set_of
from mec_bench.statistics import half_interval, holm
from mec_bench.system import system
from mec_bench.tables import plus_minus
from mec_gym import Scenario
from mec_gym.evaluation import Decide, Estimate, SlotSet, decide_with, estimate, nrr
from mec_gym.files import read_figures, read_object, require_folder, require_record
from reproduction import pages
from reproduction.claims import between, differences
from reproduction.jobs import carry_out
from reproduction.paper import LARGEST, MEDIUM, SLOTS, WEIGHTS, scenario_of, section_of

# -- what is trained -------------------------------------------------------------------------------

PRESETS = (*SLOTS, "bandlimited-200x10", "unequal-200x10", "relocating-200x10")
"""Scenarios of the main table."""

MAIN: Mapping[str, dict[str, Any]] = {
    "the paper's options": options("paper"),
    "the paper's agents, search device by device, loss of the vote": options("by-device"),
    "the paper's agents, optimal labels, loss of the vote": options("ensemble"),
    "price-posting agents": options("prices"),
    "price-posting agents, no admission": options("prices", policy_kwargs={"admission": False}),
}
"""Constructor arguments of the main table's variants."""

AS_IT_IS = "as it is"
"""What the table of ideas calls the paper's options, which it takes them from."""

ABLATIONS: Mapping[str, dict[str, Any]] = {
    AS_IT_IS: {},
    "signed d": {"signed": True},
    "no imitation": {"demonstrations": "none"},
    "no imitation, signed d": {"demonstrations": "none", "signed": True},
    "demonstrations by solve": {"demonstrations": "optimal"},
    "labels by solve": {"refinement": "optimal"},
    "demonstrations and labels by solve": {"demonstrations": "optimal", "refinement": "optimal"},
    "loss of the vote": {"loss": "vote"},
    "selection device by device": {"selection": "device"},
    "selection device by device, from best gains": {
        "selection": "device",
        "demonstration_start": "best-gain",
    },
    "selection device by device, from best gains, loss of the vote": {
        "selection": "device",
        "demonstration_start": "best-gain",
        "loss": "vote",
    },
    "one central network": {"policy": "CentralPolicy"},
    "no refinement": {"refinement": "none"},
    "demonstrations from best gains": {"demonstration_start": "best-gain"},
    "d a tenth as long": {"flight_scale": 0.1},
    "no crossover": {"crossover": "none"},
    "classic Lévy search": {"refinement": "classic-levy"},
    "epsilon-greedy": {"refinement": "epsilon-greedy"},
    "f and p searched": {"allocation": "levy"},
}
"""What each variant changes of the paper's options, in the order of their runs."""

ABLATED: Mapping[str, int] = {MEDIUM: 20, WEIGHTS["energy-sensitive"]: 10, LARGEST: 10}
"""Systems that ideas are switched off in, and the training seeds of each."""

LABELS: Mapping[str, str] = {
    name.removeprefix("demonstrations "): name
    for name in (
        *(AS_IT_IS, "signed d", "d a tenth as long", "demonstrations from best gains"),
        *("selection device by device", "selection device by device, from best gains"),
    )
}
"""Demonstrations whose cost and agreement are measured, and the variant that learns by them."""

LABELLED = (*PRESETS, WEIGHTS["energy-sensitive"])
"""Systems in which they are."""

_LABEL_SLOTS, _LABEL_SEED = 16, 66_000_000
"""Slots that each search labels twice, of a seed that training would draw at random only."""

COUNTED = (
    AS_IT_IS,
    "signed d",
    "d a tenth as long",
    "selection device by device",
    "demonstrations by solve",
    "loss of the vote",
    "selection device by device, from best gains, loss of the vote",
)
"""Variants whose devices are counted after imitation, in the systems that ideas are switched in."""

_COUNTS, _BESIDE = ("local", "nrr", "drawn", "even"), ("labels", "untrained")
"""What is counted of decisions, and who else is counted that keeps devices local."""

IN_MAIN: Mapping[str, str] = {
    variant: name
    for variant, changes in ABLATIONS.items()
    for name, arguments in MAIN.items()
    if arguments == options("paper") | changes
}
"""Variants that the main table has, too, and what it calls them."""

SIZED, SIZES = "unequal-200x10", (50, 200, 800)
"""The scenario that models of any size are trained on, and other sizes they are measured on."""

_PRICE_SLOTS = 1000
"""Slots for price-posting agents; the page shows what a tenth of them reaches."""

Record = dict[str, Any]
"""A run's fields with ``nrr`` by stage, ``seconds`` and ``system``, as its file has them."""


@dataclass(frozen=True)
class Run:
    """A training run, of the "main" table or an "ablation"; "labels" of a search; "numbers"."""

    table: str
    preset: str
    variant: str
    seed: int
    slots: int
    arguments: dict[str, Any]

    def __str__(self) -> str:
        words = f"{self.table} {self.preset} {self.variant} {self.slots} seed {self.seed}"
        return "-".join("".join(c if c.isalnum() else " " for c in words).split())

    def file(self, folder: Path) -> Path:
        """Return where what it reached is kept below the folder of all runs."""
        return folder / f"{self}.json"

    def done(self, folder: Path) -> bool:
        """Return whether it is there, was made with these arguments, and says what it ran on."""
        if not self.file(folder).exists():
            return False
        found = read_object(self.file(folder))
        wanted = json.loads(json.dumps(self.arguments))  # as a file shows them
        return bool(found.get("arguments") == wanted and found.get("system"))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the page is about: scenarios and training seeds of its tables, and fewer slots."""

    presets: Sequence[str] = PRESETS
    seeds: int = 5
    ablations: Sequence[str] = tuple(ABLATED)
    ablation_seeds: int = 20
    slots: int | None = None

    def runs(self) -> list[Run]:
        """Return every run, the first seed of all of them first."""
        found = [
            Run("labels", system, one, seed, _LABEL_SLOTS, options("paper") | ABLATIONS[variant])
            for system in LABELLED
            if system in (*self.presets, *self.ablations)
            for one, variant in LABELS.items()
            for seed in range(self.seeds)
        ]
        found += [
            self._training("main", preset, variant, seed, arguments)
            for preset in self.presets
            for variant, arguments in MAIN.items()
            for seed in range(self.seeds)
        ]
        found += [
            self._training("ablation", system, variant, seed, options("paper") | changes)
            for system in self.ablations
            for variant, changes in ABLATIONS.items()
            for seed in range(min(self.ablation_seeds, ABLATED.get(system, self.ablation_seeds)))
            # The first seeds of some are in the main table.
            if not (variant in IN_MAIN and system in self.presets and seed < self.seeds)
        ]
        found += [
            Run("numbers", system, variant, seed, 0, options("paper") | ABLATIONS[variant])
            for system in self.ablations
            for variant in COUNTED
            for seed in range(self.seeds)
        ]
        # Not one table after the other: an interrupted page has something of each.
        return sorted(found, key=lambda run: run.seed)

    def _training(
        self, table: str, system: str, variant: str, seed: int, arguments: dict[str, Any]
    ) -> Run:
        usual = SLOTS[section_of(system)] if system.startswith("paper-") else 5000
        slots = self.slots or (_PRICE_SLOTS if _is_priced(arguments) else usual)
        return Run(table, system, variant, seed, slots, arguments)


def _is_priced(arguments: Mapping[str, Any]) -> bool:
    return bool(arguments["policy"] == "PricePolicy")


def admits(variant: str) -> bool:
    """Return whether servers send devices home after the vote, a second message."""
    policy = MAIN[variant].get("policy_kwargs", {})
    return _is_priced(MAIN[variant]) and bool(policy.get("admission", True))


def read(runs: Iterable[Run], folder: Path) -> list[Record]:
    """Return what the runs reached that are there; ``ValueError`` names a file that is none."""
    files = [run.file(folder) for run in runs]
    found = {file: read_object(file) for file in files if file.exists()}
    for file, record in found.items():
        require_record(file, record, [*Run.__annotations__, "nrr", "seconds"])
    return list(found.values())


# -- doing it --------------------------------------------------------------------------------------


def done(pair: tuple[Run, Path]) -> str:
    """Do one run and keep what it reached; return a line about it."""
    run, folder = pair
    torch.set_num_threads(1)
    record = dataclasses.asdict(run) | measured(run) | {"system": dataclasses.asdict(system())}
    pages.write_json(run.file(folder), record)
    reached = list(record["nrr"].values())[-1]
    return f"{run}: NRR {reached:.4f} in {record['seconds']['all']:.0f} s"


def scenario_named(name: str) -> Scenario:
    """Return a preset, or a variation of one that Section V of the paper has."""
    return scenario_of(name) if name in WEIGHTS.values() else Scenario.preset(name)


def labelled(run: Run) -> Record:
    """Search for demonstrations twice; return how good they are and how often they agree.

    Agreement is the share of devices with the same decision in both, chance that of two decisions
    drawn at random as often as the searches take them.
    """
    scenario = scenario_named(run.preset)
    model = DIRS(env=gym.make(mec_gym.ENV_ID, scenario=scenario), seed=run.seed, **run.arguments)
    observations, slots = demonstration_slots(scenario, run.slots, _LABEL_SEED + run.seed)
    start, search = begun_at(model, observations, slots), demonstration_search(model)
    begun = time.perf_counter()
    one, other = (
        demonstrate(scenario, slots, start, np.random.default_rng([run.seed, k]), search=search)
        for k in range(2)
    )
    seconds = time.perf_counter() - begun
    reached = mec_gym.evaluate(scenario, slots, one).objective
    bound = mec_gym.solve(scenario, slots).lower_bound
    often = np.bincount(np.concatenate([one, other]).ravel()) / (2 * one.size)
    return {
        "nrr": {"labels": float(np.mean(bound / reached))},
        "agreement": float(np.mean(one == other)),
        "chance": float(np.sum(often**2)),
        "seconds": {"all": seconds},
    }


def trained(run: Run) -> Record:
    """Train once; return what the policy reaches untrained, imitating, early, and in the end."""
    scenario = scenario_named(run.preset)
    env = gym.make(mec_gym.ENV_ID, scenario=scenario)
    slots = slot_set_of(scenario)
    first = run.slots // 10
    begun = time.perf_counter()
    model = DIRS(env=env, seed=run.seed, **run.arguments)
    reached, seconds = {"untrained": _mean_nrr(model, slots)}, {}
    # A tenth of the slots, then the rest: how fast it learns.
    for stage, steps in (("imitation", 0), ("tenth", first), ("final", run.slots - first)):
        beginning = time.perf_counter()
        model.learn(steps, reset_num_timesteps=stage == "imitation")
        seconds[stage] = time.perf_counter() - beginning
        reached[stage] = _mean_nrr(model, slots)
    record: Record = {
        "nrr": reached,
        "seconds": {
            "imitation": seconds["imitation"],
            "online": seconds["final"] + seconds["tenth"],
            "all": time.perf_counter() - begun,
        },
    }
    if model.policy.any_size and run.preset == SIZED:
        record["sizes"] = {str(size): _transferred(model, size) for size in SIZES}
    return record


def counted(run: Run) -> Record:
    """Imitate; return how many devices optimum, labels and agents keep local, and what that costs.

    `drawn` is the NRR of as many devices at each server, drawn at random; `even` that of as many
    local ones, drawn at random, with the others spread evenly.
    """
    scenario = scenario_named(run.preset)
    slots, begun = slot_set_of(scenario), time.perf_counter()
    model = DIRS(env=gym.make(mec_gym.ENV_ID, scenario=scenario), seed=run.seed, **run.arguments)
    found = {
        "optimum": _numbers(slots, lambda one, slot, *_: mec_gym.solve(one, slot).assignment),
        "untrained": _numbers(slots, decide_with(model)),
    }
    model.learn(run.slots)
    found["imitation"] = _numbers(slots, decide_with(model))
    record: Record = {
        name: {stage: numbers[name] for stage, numbers in found.items()}
        for name in ("nrr", "drawn", "even", "local")
    }
    record["local"]["labels"] = _local([model.replay_buffer.get_state()["assignments"]])
    return record | {"seconds": {"all": time.perf_counter() - begun}}


def _numbers(slots: SlotSet, decide: Decide) -> dict[str, float]:
    """Return the NRR of decisions, of their numbers of devices alone, and how many stay."""
    made: list[NDArray[np.int64]] = []

    def noted(*given: Any) -> NDArray[np.int64]:
        made.append(decide(*given))
        return made[-1]

    def again(decisions: Iterable[NDArray[np.int64]]) -> float:
        rng = np.random.default_rng(0)
        drawn = (rng.permuted(one, axis=-1) for one in decisions)
        return float(nrr(slots, lambda *_: next(drawn)).mean())

    return {
        "nrr": float(nrr(slots, noted).mean()),
        "drawn": again(made),
        "even": again(evenly(one, slots.scenarios[0].n_servers) for one in made),
        "local": _local(made),
    }


def evenly(decisions: NDArray[np.int64], n_servers: int) -> NDArray[np.int64]:
    """Return decisions, (..., N), that keep as many devices local and spread the others evenly.

    >>> evenly(np.array([[0, 1, 1, 1, 0, 1]]), 3)
    array([[0, 0, 1, 2, 3, 1]])
    """
    beyond = np.arange(decisions.shape[-1]) - (decisions == 0).sum(-1, keepdims=True)
    return np.where(beyond < 0, 0, 1 + beyond % n_servers)


def _local(decisions: Iterable[NDArray[np.int64]]) -> float:
    return pages.mean([float((one == 0).sum(-1).mean()) for one in decisions])


_MEASURES = {"main": trained, "ablation": trained, "labels": labelled, "numbers": counted}


def measured(run: Run) -> Record:
    """Return what is to be known of a run."""
    return _MEASURES[run.table](run)


def _mean_nrr(model: DIRS, slots: SlotSet) -> float:
    return float(nrr(slots, decide_with(model)).mean())


def _transferred(model: DIRS, size: int) -> dict[str, float]:
    """Return the NRR of a model in a system of another number of devices, as it is."""
    scenario = model.scenario.replace(n_devices=size)
    slots = slot_set_of(scenario)
    other = DIRS(
        model.policy_class,  # type: ignore[arg-type]
        gym.make(mec_gym.ENV_ID, scenario=scenario),
        policy_kwargs=model.policy_kwargs,
    )
    untrained = _mean_nrr(other, slots)
    other.policy.load_state_dict(model.policy.state_dict())
    return {"trained": _mean_nrr(other, slots), "untrained": untrained, "gap": slots.gap}


# -- rules beside it -------------------------------------------------------------------------------

EVERYTHING = ("greedy", "optimum")
"""Rules that know all gains."""

POSTED = ("posted prices, no admission", "posted prices")
"""Rules that on one map, as a learner, know that map."""


_TUNED_ON: Mapping[str, Any] = {"layouts": 10, "slots_per_layout": 4, "seed": 1_000}


def rules_reached(scenario: Scenario) -> dict[str, Estimate]:
    """Return the NRR of every rule, tuned on other slots than it is measured on."""
    tuning = slot_set_of(scenario, **_TUNED_ON)
    slots = slot_set_of(scenario)
    table = dict(rules(tuned_quota(tuning), tuned_prices(tuning)))
    if scenario.layout == "fixed":
        table |= {name: _posting(scenario, dropping=name == POSTED[1]) for name in POSTED}
    return {name: estimate(nrr(slots, rule)) for name, rule in table.items()}


def _posting(scenario: Scenario, *, dropping: bool) -> Decide:
    """Return posted prices tuned on slots of one map."""
    slots = frozen_slots(scenario, **_TUNED_ON).slots
    prices = mean_prices(scenario, slots)
    prices = prices * best_discount(scenario, slots, prices, dropping=dropping)
    return lambda one, slot, _layout, _rng: posted_prices(one, slot, prices, dropping=dropping)


# -- ideas on and off ------------------------------------------------------------------------------

STAGES = {"tenth": "after a tenth of the slots", "final": "final"}
"""When the ideas are judged, as records name it: how fast they learn, and how well."""


@dataclass(frozen=True)
class Change:
    """By how much the NRR changes: mean of pairs, half of its 95 % interval, and p."""

    mean: float
    half: float
    p: float

    def __str__(self) -> str:
        return f"{self.mean:+.4f} ± {self.half:.4f}"

    @classmethod
    def of(cls, values: Sequence[float], p: float | None = None) -> Change:
        """Return the change of paired values, by Student's t where p is not given, corrected."""
        p = between(values, -math.inf, 0.0).p if p is None else p
        return cls(pages.mean(values), float(half_interval(values)), p)

    @property
    def verdict(self) -> str:
        """What is shown of what it changes to."""
        if not self.p < 0.05:
            return "undecided"
        return "worse" if self.mean < 0 else "better"


def ablated(records: Sequence[Record], preset: str) -> dict[str, dict[int, Record]]:
    """Return the runs of every variant of the ideas by seed, some of them of the main table."""
    found = {
        name: chosen(records, preset, IN_MAIN.get(name, ""))
        + chosen(records, preset, name, table="ablation")
        for name in ABLATIONS
    }
    return {name: {run["seed"]: run for run in runs} for name, runs in found.items()}


def changes(records: Sequence[Record], preset: str) -> dict[tuple[str, str], Change]:
    """Return the change, paired by seed, that each switch makes, by variant and stage."""
    runs, found = ablated(records, preset), {}
    base = runs.pop(AS_IT_IS)
    for variant, ones in runs.items():
        for stage in STAGES if len(ones.keys() & base.keys()) > 1 else ():
            found[variant, stage] = differences(_at(ones, stage), _at(base, stage))
    p = holm([between(change, -math.inf, 0.0).p for change in found.values()])
    return {
        key: Change.of(change, corrected)
        for (key, change), corrected in zip(found.items(), p, strict=True)
    }


def _at(runs: Mapping[int, Record], stage: str) -> dict[int, float]:
    return {seed: run["nrr"][stage] for seed, run in runs.items()}


def gained(runs: Iterable[Record], before: str, after: str = "final") -> Change:
    """Return by how much training changes the NRR from one stage to another."""
    return Change.of([run["nrr"][after] - run["nrr"][before] for run in runs])


# -- what explains the distance --------------------------------------------------------------------

CAUSES = (
    "demonstrations and labels by solve",
    "loss of the vote",
    "selection device by device, from best gains",
    "selection device by device, from best gains, loss of the vote",
)
"""Variants that change labels, loss or both."""


def closed(records: Sequence[Record], preset: str) -> dict[str, float]:
    """Return by variant how much of the distance from the paper's options to the optimum it closes.

    Means over the seeds that both have; nothing where there are none.
    """
    finals = {name: _at(runs, "final") for name, runs in ablated(records, preset).items()}
    base, found = finals[AS_IT_IS], {}
    for variant in CAUSES:
        if gains := differences(finals[variant], base):
            before = pages.mean([base[seed] for seed in base.keys() & finals[variant].keys()])
            found[variant] = pages.mean(gains) / (1.0 - before)
    return found


def contrary(records: Sequence[Record]) -> list[tuple[str, str, str, Change]]:
    """Return labels better than the usual ones that also repeat more, and yet teach agents worse.

    Each with its system, the variant that imitates them, and how that changes what it reaches.
    """
    found = []
    for preset, (labels, variant) in itertools.product(ABLATED, LABELS.items()):
        better, usual = (of_labels(records, preset, one) for one in (labels, AS_IT_IS))
        runs = ablated(records, preset)
        ones, base = (_at(runs[name], "imitation") for name in (variant, AS_IT_IS))
        change = Change.of(differences(ones, base))
        more = all(better.get(key, 0) > usual.get(key, 1) for key in ("nrr", "agreement"))
        if more and change.verdict == "worse":
            found.append((preset, labels, variant, change))
    return found


# -- the page --------------------------------------------------------------------------------------

FORMAT, VERSION = "mec-gym/dirs-results", 2

Rules = Mapping[str, Mapping[str, Estimate]]
"""What rules reach: by scenario and rule."""

GOAL = 0.99
"""NRR that is asked for on each scenario of the paper."""


def chosen(
    records: Sequence[Record], preset: str, variant: str, *, table: str = "main"
) -> list[Record]:
    """Return the records of a variant on a scenario, one for each seed."""
    wanted = {"table": table, "preset": preset, "variant": variant}.items()
    return [record for record in records if wanted <= record.items()]


def with_kept(records: Sequence[Record], rules: Rules, figures: Path) -> tuple[list[Record], Rules]:
    """Return runs and rules with those that only a file of before has: they lie elsewhere."""
    runs, known = read_page(figures) if figures.exists() else ([], {})
    names = ("table", "preset", "variant", "seed")
    found = {tuple(record[name] for name in names): record for record in (*runs, *records)}
    return list(found.values()), {**known, **rules}


def write_page(records: Sequence[Record], rules: Rules, out: Path | None) -> Path:
    """Write page and raw figures, of the runs there are."""
    folder, results = pages.places(out)
    figures = results / "dirs-results.json"
    plain = {of: {name: vars(one) for name, one in found.items()} for of, found in rules.items()}
    raw = {"format": FORMAT, "version": VERSION, "runs": records, "rules": plain}
    pages.write_json(figures, raw)
    content = page_content(records, rules)
    return pages.write_page(folder / "dirs-results.md", figures, "variants.md.j2", **content)


def read_page(figures: Path) -> tuple[list[Record], Rules]:
    """Return the runs and rules of a file of raw figures."""
    raw = read_figures(figures, FORMAT, VERSION, "reproduction/variants.py")
    require_record(figures, raw, ["runs", "rules"])
    rules = {
        preset: {name: Estimate(**one) for name, one in found.items()}
        for preset, found in raw["rules"].items()
    }
    return raw["runs"], rules


def page_content(records: Sequence[Record], rules: Rules) -> dict[str, Any]:
    """Return what the template shows of runs and of rules, by scenario."""
    main = [record for record in records if record["table"] == "main"]
    switched = {record["preset"] for record in records if record["table"] == "ablation"}
    presets = sorted(rules, key=[*PRESETS, *rules].index)
    names = dict.fromkeys(rule for found in rules.values() for rule in found)
    return {
        "seeds": len({record["seed"] for record in main}),
        "goal": GOAL,
        "presets": presets,
        "variants": list(MAIN),
        "stages": STAGES,
        "chosen": partial(chosen, records),
        "rules": sorted(names, key=lambda name: name in EVERYTHING),
        "everything": EVERYTHING,
        "estimates": {
            of: {name: plus_minus(x.mean, (x.high - x.low) / 2) for name, x in found.items()}
            for of, found in rules.items()
        },
        "goals": goals(main, presets),
        "sizes": SIZES,
        "gained": gained,
        "at_size": lambda runs, size, key: [run["sizes"][str(size)][key] for run in runs],
        "sized": SIZED,
        "ablations": [
            {
                "preset": preset,
                "servers": scenario_named(preset).n_servers,
                "runs": {n: list(by.values()) for n, by in ablated(records, preset).items()},
                "changes": changes(records, preset),
                "closed": closed(records, preset),
            }
            for preset in dict.fromkeys((*ABLATED, *sorted(switched)))
            if preset in switched
        ],
        "as_it_is": AS_IT_IS,
        "labels": {
            variant: {of: found for of in LABELLED if (found := of_labels(records, of, variant))}
            for variant in LABELS
        },
        "labelled": list(LABELLED),
        "label_seeds": len({one["seed"] for one in records if one["table"] == "labels"}),
        "few": pages.few,
        "contrary": contrary(records),
        "numbers": {of: kept for of in ABLATED if (kept := numbers(records, of))},
        "furthest": max(
            (1.0 - one["drawn"]["optimum"] for one in records if one["table"] == "numbers"),
            default=0.0,
        ),
        "imitated": lambda of, name: list(_at(ablated(records, of)[name], "imitation").values()),
        "commits": pages.commits(record.get("system", {}).get("commit") for record in records),
    }


def of_labels(records: Sequence[Record], preset: str, variant: str) -> dict[str, float]:
    """Return NRR, agreement and chance of a search's labels, means over seeds; or nothing."""
    runs = chosen(records, preset, variant, table="labels")
    means = {name: pages.mean([run[name] for run in runs]) for name in ("agreement", "chance")}
    means["nrr"] = pages.mean([run["nrr"]["labels"] for run in runs])
    return means | {"seeds": len(runs)} if runs else {}


def numbers(records: Sequence[Record], preset: str) -> dict[str, dict[str, Any]]:
    """Return by variant what was counted after imitation, means over seeds; the optimum first."""
    runs = {name: chosen(records, preset, name, table="numbers") for name in COUNTED}
    every = [run for ones in runs.values() for run in ones]
    rows = {"optimum": every} | runs if every else {}
    found = {}
    for name, ones in rows.items():
        stage = "optimum" if name == "optimum" else "imitation"
        means = {key: pages.mean([one[key][stage] for one in ones]) for key in _COUNTS}
        local = {who: pages.mean([one["local"][who] for one in ones]) for who in _BESIDE}
        if ones:
            found[name] = means | local | {"seeds": len({one["seed"] for one in ones})}
    return found


def goals(records: Sequence[Record], presets: Sequence[str]) -> dict[str, list[str]]:
    """Return where the goal is reached by the vote alone, or with admission only, or not."""
    found: dict[str, list[str]] = {}
    for preset in presets:
        runs = {name: chosen(records, preset, name) for name in MAIN}
        ways = [
            "with admission only" if admits(name) else "by the vote alone"
            for name, ones in runs.items()
            if pages.mean([run["nrr"]["final"] for run in ones]) >= GOAL
        ]
        # The vote alone comes first, by the alphabet, too.
        found.setdefault(min(ways, default="not"), []).append(preset)
    return found


# -- the command -----------------------------------------------------------------------------------


def main() -> int:
    """Run what is missing, write the page, say what failed."""
    given = _parser().parse_args()
    plan = Plan(**{name: getattr(given, name) for name in Plan.__annotations__})
    with complain(status=2):
        if given.slots and not given.out:
            raise ValueError("--slots is for tests: give them an --out of their own.")
        require_folder(pages.places(given.out)[0])
        require_folder(given.runs, "--runs")
        for preset in (*plan.presets, *plan.ablations):
            scenario_named(preset)
        if given.raw:
            print("wrote", write_page(*read_page(given.raw), given.out))
            return 0
        wanted = plan.runs()
        missing = [run for run in wanted if not run.done(given.runs)]
        print(f"{len(wanted)} runs, {len(missing)} to do", flush=True)
        if given.list:
            return 0
        if given.page or not missing:
            _write(plan, given)
            return 0
    with complain():
        pairs = [(run, given.runs) for run in missing]
        failed = carry_out(done, pairs, given.jobs)
        for text in failed:
            print("failed:", text)
        _write(plan, given)
    return 1 if failed else 0


def _write(plan: Plan, given: argparse.Namespace) -> None:
    records = read(plan.runs(), given.runs)
    if not records:
        raise ValueError(f"{given.runs} holds none of the runs that the page is to show.")
    main = [record["preset"] for record in records if record["table"] == "main"]
    rules = {one: rules_reached(Scenario.preset(one)) for one in plan.presets if one in main}
    figures = pages.places(given.out)[1] / "dirs-results.json"
    print("wrote", write_page(*with_kept(records, rules, figures), given.out))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add, usual = parser.add_argument, Plan()
    add("--seeds", type=count, default=usual.seeds, help="training seeds per variant")
    add("--jobs", type=count, default=2, help="runs side by side")
    add("--presets", nargs="*", default=usual.presets, help="scenarios of the main table")
    add("--ablations", nargs="*", default=usual.ablations, help="their scenarios")
    add("--ablation-seeds", type=count, default=usual.ablation_seeds, help="of each, at most")
    add("--slots", type=count, help="train for so many slots instead (a test)")
    add("--runs", type=Path, default=Path("runs/dirs-results"), help="for runs")
    add("--out", type=Path, help="for page and raw figures (docs, reproduction/results)")
    add("--list", action="store_true", help="say what is missing, and stop")
    add("--page", action="store_true", help="write the page of the runs there are")
    add("--raw", type=Path, help="write the page of a dirs-results.json, and stop")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
