"""Jobs: the runs and measurements that tables and figures are made of, their plan and their files.

Jobs are done in any order, and each is kept as soon as it ends.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from mec_bench.launching import side_by_side
from mec_bench.registry import algorithm
from mec_bench.results import read_result
from mec_bench.run import RunFolder, Settings
from mec_gym.files import read_object, require_record, write_whole
from reproduction.pages import rounded, short_hash
from reproduction.paper import (
    LARGE,
    LARGEST,
    MEDIUM,
    POSITIONS,
    SLOTS,
    TASKS,
    WEIGHTS,
    by_devices,
    scenario_of,
    section_of,
)

# -- what is spent ---------------------------------------------------------------------------------

VARIANTS = ("dirs", "dirs:ensemble", "dirs:prices")
"""The paper's options; its agents with optimal labels and the loss of the vote; price-posting
agents."""

MAIN_VARIANTS = ("dirs", "dirs:prices")
"""Where Tables III and V have shown what the third one adds."""

_PRICE_SLOTS = 1000


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What is spent on each table and figure."""

    name: str  # "full" or "quick"
    seeds: int  # of each learner, each on a map of its own
    slots: int | None = None  # of training at most
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by algorithm
    demonstrations: tuple[int, ...] = (64, 128, 256, 512)  # Table II
    held_out: int = 256  # demonstrations to test on
    generations: tuple[int, ...] = (10, 1000)  # G_max of Fig. 4's searches
    refined_slots: int = 200  # that they refine
    search_slots: int = 20  # that PSO and DE search, in layouts of five
    evaluations: int = 2000  # decisions that they price in each
    devices: tuple[int, ...] = (
        50,
        100,
        150,
        200,
        250,
    )  # N of Fig. 7, which the text does not print

    def timesteps(self, name: str, slots: int) -> int:
        """Return how many of T_DRL slots an algorithm trains for: price-posting agents 1,000."""
        wanted = min(slots, _PRICE_SLOTS) if name == "dirs:prices" else slots
        return wanted if self.slots is None else min(wanted, self.slots)


FULL = Budget(name="full", seeds=5)

_SMALL = {"n_demonstrations": 32, "pretrain_steps": 40}

QUICK = Budget(
    name="quick",
    seeds=2,
    slots=100,
    arguments={
        "dirs": {**_SMALL, "demonstration_generations": 50},
        "dirs:ensemble": _SMALL,
        "dirs:prices": _SMALL,
    },
    demonstrations=(64, 256),
    held_out=64,
    generations=(10, 100),
    refined_slots=20,
    search_slots=5,
    evaluations=500,
    devices=(50, 200),
)

# -- jobs ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """A run of :func:`mec_bench.training.train`; also of a rule, which does not learn."""

    settings: Settings

    @property
    def seed(self) -> int:
        """Of the run."""
        return self.settings.seed

    def __str__(self) -> str:
        return f"{self.settings.label}, {self.settings.scenario.name}, seed {self.seed}"

    def file(self, runs: Path) -> Path:
        """Return where its result lies below the folder of all runs."""
        return runs / self.settings.place / "result.json"

    def done(self, runs: Path) -> bool:
        """Return whether the result is there and is that of these settings."""
        if not self.file(runs).exists():
            return False
        return RunFolder(runs / self.settings.place).settings() == self.settings

    def do(self, runs: Path) -> None:
        """Train and measure."""
        from mec_bench.training import train  # needs torch, which takes seconds to load

        train(self.settings, runs / self.settings.place)
        # Tens of megabytes each, and nothing here reads them again.
        (runs / self.settings.place / "model.zip").unlink(missing_ok=True)

    def system(self, runs: Path) -> Mapping[str, Any]:
        """Return what it ran on."""
        return asdict(read_result(self.file(runs)).system)

    def record(self, runs: Path) -> dict[str, Any]:
        """Return what the page needs of the result: means over the frozen slots."""
        result = read_result(self.file(runs))
        slots = {key: [*chain(*rows)] for key, rows in vars(result.slots).items()}
        means = {key: rounded(sum(values) / len(values)) for key, values in slots.items()}
        return {
            "system": result.scenario,
            "algorithm": result.label,
            "seed": result.seed,
            "timesteps": result.timesteps,
            **means,
            "decision_ms": rounded(result.decision_ms.single),
            "training_s": rounded(result.seconds.training or 0.0),
            "learns": result.learns,
            "commit": mark(vars(result.system)),
        }


@dataclass(frozen=True)
class Measurement:
    """What no result record holds, e.g. a loss curve: a function of ``measurements``, called."""

    kind: str
    arguments: Mapping[str, Any]

    @property
    def seed(self) -> int:
        """Of the measurement."""
        return int(self.arguments["seed"])

    def __str__(self) -> str:
        return ", ".join([self.kind, *(f"{key}={value}" for key, value in self.arguments.items())])

    def file(self, runs: Path) -> Path:
        """Return where its values lie below the folder of all runs."""
        text = json.dumps(dict(self.arguments), sort_keys=True)
        name = f"{self.kind}-seed-{self.seed}-{short_hash(text)}.json"
        return runs / "measurements" / name

    def done(self, runs: Path) -> bool:
        """Return whether its values are there."""
        return self.file(runs).exists()

    def do(self, runs: Path) -> None:
        """Measure, and keep the values with what they ran on."""
        from mec_bench.system import system
        from reproduction.measurements import KINDS

        values = KINDS[self.kind](**self.arguments)
        content = asdict(self) | {"values": values, "system": asdict(system())}
        write_whole(self.file(runs), json.dumps(content) + "\n")

    def system(self, runs: Path) -> Mapping[str, Any] | None:
        """Return what it ran on; old files do not say."""
        found: Mapping[str, Any] | None = self._content(runs).get("system")
        return found

    def record(self, runs: Path) -> dict[str, Any]:
        """Return the values, with kind, arguments and commit."""
        content = self._content(runs)
        kept = {key: content[key] for key in ("kind", "arguments", "values")}
        return kept | {"commit": mark(content.get("system"))}

    def _content(self, runs: Path) -> dict[str, Any]:
        content = read_object(self.file(runs))
        require_record(self.file(runs), content, ["kind", "arguments", "values"])
        return content


Job = Training | Measurement


def mark(system: Mapping[str, Any] | None) -> str | None:
    """Return a system's commit in short, with a plus where files differed from it; None of none."""
    if system is None or system["commit"] is None:
        return None
    return str(system["commit"])[:7] + "+" * bool(system["modified"])


# -- the plan --------------------------------------------------------------------------------------

PARTS: Mapping[str, Mapping[str, str]] = {
    "without h": {"mutation": "shuffled"},
    "without (22)": {"crossover": "none"},
    "(22) by the step of (20)": {"crossover": "shared"},
    "(22) as a whole": {"crossover": "member"},
}
"""Fig. 4: the proposed search without one of its parts, and by other readings of eq. (22)."""

REWARD_VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "Lévy search, imitation (DIRS)": {},
    "Lévy search, no imitation": {"demonstrations": "none"},
    "ε-greedy, imitation": {"refinement": "epsilon-greedy"},
    "ε-greedy, no imitation": {"refinement": "epsilon-greedy", "demonstrations": "none"},
}
"""Curves of Fig. 5."""

SEARCHES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "PSO": ("pso", {"encoding": "floor", "start": "random"}),
    "DE": ("de", {"encoding": "floor", "start": "random"}),
    "PSO over prices": ("pso", {}),
    "DE over prices": ("de", {}),
}
"""Searches of Table V: one number per device that is rounded to its choice, from random starts, as
a reader of the paper would write it; and this project's own way, over the servers' prices."""

LEARNERS = (*VARIANTS, "ac", "ddpg")
RULES = ("optimal", "greedy", "nearest:limit", "posted-prices")
"""Rows of Table V."""
FIG_7 = (*MAIN_VARIANTS, "maddpg", "nearest", "nearest:limit", "random", "random:limit", "local")
BITS_OF_TABLE_IV = (1.0, 5e4, 1e5, 4e5, 8e5, 1e6, 8e6)
"""D of the systems whose optima Table IV is held against [bit]."""


def plan(budget: Budget) -> dict[str, list[Job]]:
    """Return the jobs of each table and figure, in the order of the page."""
    own = dict(budget.arguments.get("dirs", {}))
    online = {"slots": budget.timesteps("dirs", SLOTS[MEDIUM])}
    trained, searched, measured = (
        partial(make, budget) for make in (_trained, _searched, _measured)
    )
    return {
        "table2": measured(
            "imitation",
            sizes=list(budget.demonstrations),
            held_out=budget.held_out,
            sources=["levy", "optimal"],
            arguments=own,
        ),
        "fig3": measured("losses", **online, arguments=own),
        "fig4": measured(
            "refinement",
            slots=budget.refined_slots,
            generations=list(budget.generations),
            parts=[dict(part) for part in PARTS.values()],
            arguments=own,
        ),
        "fig5": [
            job
            for changes in REWARD_VARIANTS.values()
            for job in measured("rewards", **online, arguments=own | dict(changes))
        ],
        "fig6": trained(WEIGHTS.values(), (*MAIN_VARIANTS, "optimal")),
        "table3": [
            *trained(POSITIONS.values(), (*VARIANTS, "optimal", "nearest:limit")),
            *searched(POSITIONS.values(), ("PSO", "PSO over prices")),
        ],
        "table4": [
            *trained(TASKS.values(), (*MAIN_VARIANTS, "optimal")),
            *searched(TASKS.values(), ("PSO",)),
            *(
                job
                for bits in BITS_OF_TABLE_IV
                for job in measured("optimum", system=LARGE, changes={"data_bits": bits})
            ),
        ],
        "table5": [*trained([LARGEST], (*LEARNERS, *RULES)), *searched([LARGEST], SEARCHES)],
        "fig7": trained(map(by_devices, budget.devices), (*FIG_7, "optimal")),
    }


def _measured(budget: Budget, kind: str, **arguments: Any) -> list[Job]:
    return [Measurement(kind, {"seed": seed, **arguments}) for seed in range(budget.seeds)]


def _searched(budget: Budget, systems: Iterable[str], searches: Iterable[str]) -> list[Job]:
    return [
        job
        for system in systems
        for name in searches
        for job in _measured(
            budget,
            "search",
            system=system,
            name=SEARCHES[name][0],
            slots=budget.search_slots,
            arguments=search_arguments(budget.evaluations, name),
        )
    ]


def search_arguments(evaluations: int, name: str) -> dict[str, Any]:
    """Return the constructor arguments of a search of Table V."""
    return {"max_evaluations": evaluations, **SEARCHES[name][1]}


def _trained(budget: Budget, systems: Iterable[str], wanted: Iterable[str]) -> list[Job]:
    """Return the runs of algorithms in systems, each on its seed's own map."""
    return [
        Training(
            Settings(
                algorithm=name,
                scenario=scenario_of(system, layout_seed=seed),
                timesteps=budget.timesteps(name, SLOTS[section_of(system)]) if learns else 0,
                seed=seed,
                arguments=budget.arguments.get(name, {}),
                label=name,
                measurements=1,
                checkpoints=0,  # a run is short, and its checkpoints are large
            )
        )
        for system in systems
        for name in wanted
        for learns in [algorithm(name).learns]
        for seed in range(budget.seeds)
    ]


# -- doing them ------------------------------------------------------------------------------------


def unique(jobs: Iterable[Job], runs: Path) -> list[Job]:
    """Return jobs without repetition, as tables and figures share runs, in the order given."""
    return list({job.file(runs): job for job in jobs}.values())


Say = Callable[[str], None]

_SAY: Say = partial(print, flush=True)


def work(jobs: Iterable[Job], runs: Path, *, processes: int = 1, say: Say = _SAY) -> list[str]:
    """Do the jobs that are missing, the first seed of all of them first; return what failed."""
    missing = [job for job in unique(jobs, runs) if not job.done(runs)]
    # Not one exhibit after the other: an interrupted reproduction has something of each.
    # Last the learner that takes long and that the paper does not have.
    missing.sort(key=lambda job: ("dirs:ensemble," in str(job), job.seed))
    say(f"{len(missing)} runs and measurements to do")
    return carry_out(_done, [(job, runs) for job in missing], processes, say)


def carry_out(
    call: Callable[[Any], str], items: Sequence[tuple[Any, ...]], processes: int, say: Say = _SAY
) -> list[str]:
    """Call a function on every item, which its first entry names; say how; return what failed."""
    failed = []
    for done, ended in enumerate(side_by_side(call, items, processes), 1):
        text = ended.value or f"{ended.item[0]}: {ended.error}"
        say(f"{done}/{len(items)} {text}")
        if ended.error:
            failed.append(text)
    return failed


def _done(pair: tuple[Job, Path]) -> str:
    import torch

    job, runs = pair
    torch.set_num_threads(1)
    begun = time.perf_counter()
    job.do(runs)
    return f"{job}: {time.perf_counter() - begun:.0f} s"
