"""The runs of DIRS in all its variants: what is trained, searched and counted, and how."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

import mec_gym
from dirs_agents import DIRS, demonstrate, options
from dirs_agents.hyperparameters import demonstration_search
from dirs_agents.labels import demonstration_slots
from dirs_agents.pretraining import begun_at
from mec_bench.measuring import slot_set_of
from mec_bench.system import system
from mec_gym import Scenario
from mec_gym.evaluation import Decide, SlotSet, decide_with, nrr
from mec_gym.files import read_object, require_record
from reproduction import pages
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

COUNTS, BESIDE = ("local", "nrr", "drawn", "even"), ("labels", "untrained")
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
