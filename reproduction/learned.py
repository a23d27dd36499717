"""Train learners and measure them beside rules: docs/learning-pays.md.

python -m reproduction.learned                                  # what is missing, then the page
python -m reproduction.learned --only crowd-30x4 --jobs 1       # a part of it
python -m reproduction.learned --missing                        # runs that the raw figures lack
python -m reproduction.learned --raw reproduction/results/learned.json      # the page alone

Runs that are done are not repeated and one that was stopped goes on: it can be done in parts. Rows
whose runs are not there stay as the raw figures have them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from baselines.headroom import PLACING, HeadRoom, rule_title
from baselines.regimes import CLOSE, FULL_KNOWLEDGE, Regime
from dirs_agents.foresight import SLOTS
from mec_bench import Result, Settings, evaluate_again, read_result, write_result
from mec_bench.cli import complain, count
from mec_bench.launching import Processes
from mec_bench.matrix import Progress, run_matrix, tasks_of
from mec_bench.registry import SCALAR_REWARD, algorithm, knows, title
from mec_bench.statistics import paired_difference
from mec_bench.tables import MINUS, plus_minus
from mec_gym import Scenario
from mec_gym.evaluation import Estimate
from mec_gym.files import read_figures, require_folder
from reproduction import cabs, pages, regimes, tune
from reproduction.jobs import carry_out
from reproduction.records import (
    Record,
    Runs,
    cpu,
    grouped,
    layouts_of,
    learns,
    mean_score,
    measure_of,
    merged,
    record_of,
    run_of,
    scores_of,
    short,
    told,
)

FORMAT, VERSION = "mec-gym/learned", 1
WRITER = "reproduction/learned.py"

# -- what is trained -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Learner:
    """How an algorithm is trained: how many seeds, and what differs from the world's and its own.

    `algorithm` is its name where the row's is another; `any_size` says whether its models decide
    for any number of devices.
    """

    seeds: int = 5
    slots: int | None = None
    algorithm: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    any_size: bool = False


@dataclass(frozen=True)
class Worlds:
    """Worlds of a kind: their presets with slots of training, learners, and rules beside them.

    `simple` are rules of one number at most that know no more than a slot and remember nothing.
    """

    slots: Mapping[str, int]
    learners: Mapping[str, Learner]
    simple: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        """All rules."""
        return self.simple + self.others

    def runs(self, preset: str) -> Iterator[Settings]:
        """Yield the runs of a preset, the first seed of all learners first."""
        scenario = Scenario.preset(preset)
        for seed in range(max((one.seeds for one in self.learners.values()), default=0)):
            for name, one in self.learners.items():
                if seed < one.seeds:
                    yield Settings(
                        algorithm=one.algorithm or name,
                        scenario=scenario,
                        timesteps=one.slots or self.slots[preset],
                        seed=seed,
                        arguments=one.arguments,
                        label=name,
                    )
        for name in self.rules:
            if name.startswith("nearest") and scenario.layout == "redrawn":
                continue  # no observation says where anyone is
            yield Settings(algorithm=name, scenario=scenario, timesteps=0, label=name)


_VELOCITY, _GRU = (f"dirs:hindsight, forecast {forecast}" for forecast in ("velocity", "gru"))


def _looking_ahead(forecast: str) -> Learner:
    """Return DIRS that looks ahead with a forecast of its columns."""
    told = {"policy_kwargs.forecast": forecast}
    return Learner(slots=2000, algorithm="dirs:hindsight", arguments=told, any_size=True)


STILL = Worlds(
    slots={
        "paper-30x2": 3000,
        "paper-200x10": 5000,
        "bandlimited-200x10": 5000,
        "unequal-200x10": 5000,
        "relocating-200x10": 5000,
    },
    learners={
        "mappo": Learner(seeds=10),
        "mappo:learned": Learner(),
        "mappo:team": Learner(seeds=10),
        "dirs": Learner(),
        "dirs:by-device": Learner(),
        "dirs:ensemble": Learner(),
        "dirs:prices": Learner(),
        "ac": Learner(),
        "ac:links": Learner(),
        "ddpg": Learner(),
        "ddpg:links": Learner(),
        "maddpg": Learner(),
        "maddpg:links": Learner(),
        "droo": Learner(),
        "droo:links": Learner(),
        "examples.cross_entropy:CrossEntropy": Learner(),
    },
    simple=("local", "random", "random:limit", "nearest:limit", "keep-what-pays"),
    others=("posted-prices", "greedy"),
)
MOVING = Worlds(
    slots={"crowd-30x4": 24_000, "crowd-200x10": 24_000},
    learners={
        "mappo": Learner(seeds=10, any_size=True),
        "mappo:learned": Learner(any_size=True),
        "mappo:team": Learner(any_size=True),
        "dirs:hindsight": Learner(seeds=10, slots=2000, any_size=True),
        _VELOCITY: _looking_ahead("velocity"),
        _GRU: _looking_ahead("gru"),
        "dirs:prices": Learner(slots=2000, any_size=True),
    },
    simple=("local", "blind", "never-move", "stays"),
    others=("ski-rental", "smoothed", "by-class", "measured-speed", "forecast"),
)
_BLURRED = tuple(rule for rule in MOVING.others if rule != "forecast")  # it refuses stale gains
STALE = replace(MOVING, slots={"stale-200x10": 24_000}, others=_BLURRED)
KINDS = (STILL, MOVING, STALE)
PRESETS: Mapping[str, Worlds] = {preset: kind for kind in KINDS for preset in kind.slots}

_LEARNERS = {name: one for kind in KINDS for name, one in kind.learners.items()}
NAMED = tuple(_LEARNERS | dict.fromkeys(rule for kind in KINDS for rule in kind.rules))
"""All rows, learners first."""

SIZES: Mapping[str, tuple[int, ...]] = {"crowd-200x10": (50, 800)}
"""Numbers of devices that models of a preset are measured with, and have never seen."""

NAMES = {
    "examples.cross_entropy:CrossEntropy": "cross-entropy, one constant assignment",
    _VELOCITY: f"{title('dirs:hindsight')}, forecast by constant velocity",
    _GRU: f"{title('dirs:hindsight')}, forecast by a recurrent network",
}
"""Of rows that are no algorithm of the project."""


def main() -> int:
    """Train what is missing, collect what there is, write; say what failed."""
    given = _parser().parse_args()
    with complain(status=2):
        require_folder(pages.places(given.out)[0])
        require_folder(given.runs, "--runs")
        if given.raw:
            print("wrote", write_page(read(given.raw), given.out))
            return 0
    with complain():
        chosen = given.algos or NAMED
        figures = pages.places(given.out)[1] / "learned.json"
        wanted = [run for run in runs(given.only) if run.label in chosen]
        if given.missing:
            wanted = lacking(wanted, _kept(figures))
            if not wanted:
                print(f"{figures} has all of them")
                return 0
        status = _trained(wanted, given.runs, given.jobs)
        if status == 130:
            return status
        failed = carry_out(_resized, resizings(wanted, given.runs), given.jobs)
        raw = with_kept(collected(given.runs), figures)
        print("wrote", write_page(raw, given.out))
    return 1 if failed else status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="+", choices=PRESETS, default=[*PRESETS], metavar="PRESET", help="these")
    add("--algos", nargs="+", choices=NAMED, metavar="NAME", help="these learners and rules only")
    add("--missing", action="store_true", help="only runs that the raw figures lack")
    add("--jobs", type=count, default=2, help="runs side by side (2)")
    add("--runs", type=Path, default=Path("runs/learned"), help="for runs (runs/learned)")
    add("--out", type=Path, help="for page and raw figures (docs, reproduction/results)")
    add("--raw", type=Path, help="write the page of a learned.json, and stop")
    return parser


def runs(presets: Iterable[str] = PRESETS) -> list[Settings]:
    """Return all runs of some presets."""
    return [run for preset in presets for run in PRESETS[preset].runs(preset)]


def lacking(wanted: Iterable[Settings], raw: Mapping[str, Any]) -> list[Settings]:
    """Return the runs that raw figures do not have, or not with each number of devices."""
    there = {run_of(record) for record in (*raw["runs"], *raw["sizes"])}
    return [
        run
        for run in wanted
        if any(_planned_as(run, devices) not in there for devices in (0, *other_sizes(run)))
    ]


def _trained(wanted: Sequence[Settings], folder: Path, jobs: int) -> int:
    """Carry out runs; return the exit status."""
    progress = Progress(tasks_of(wanted, folder), jobs)
    found = run_matrix(wanted, folder, Processes(jobs, 1), progress)
    for one in found.failures:
        print(f"{one.task}: {one.state}: {one.reason}")
    return found.status


# -- sizes that no training has seen ---------------------------------------------------------------


def resized(scenario: Scenario, n_devices: int) -> Scenario:
    """Return a scenario with another number of devices, and servers as fast for each of them."""
    return scenario.replace(
        n_devices=n_devices,
        server_frequency_hz=cabs.speeds_for(n_devices, scenario),
        name=f"{scenario.name}, {n_devices} devices",
    )


def resizings(wanted: Iterable[Settings], folder: Path) -> list[tuple[str, Settings, int, Path]]:
    """Return what is to be measured and is not: its name, the run, the size, and the folder."""
    return [
        (f"{run.scenario.name}, {run.label}, seed {run.seed}, {size} devices", run, size, folder)
        for run in wanted
        if (folder / run.place / "result.json").exists()
        for size in other_sizes(run)
        if not _is_measured(folder, run, size)
    ]


def other_sizes(run: Settings) -> tuple[int, ...]:
    """Return the other numbers of devices that a run is measured with."""
    preset = str(run.scenario.name)
    learner = PRESETS[preset].learners.get(str(run.label))
    return SIZES.get(preset, ()) if learner is None or learner.any_size else ()


def _file(folder: Path, run: Settings, size: int) -> Path:
    return folder / "sizes" / str(size) / run.place / "result.json"


def _is_measured(folder: Path, run: Settings, size: int) -> bool:
    """Return whether a run has figures of a size, and of the model that is there now."""
    file, trained = _file(folder, run, size), folder / run.place / "result.json"
    there = file.exists() and trained.exists()
    return there and file.stat().st_mtime_ns >= trained.stat().st_mtime_ns


def _resized(item: tuple[str, Settings, int, Path]) -> str:
    """Measure a model, or a rule, with another number of devices."""
    what, run, size, folder = item
    model = folder / run.place if run.timesteps else run.algorithm
    (result,) = evaluate_again([model], scenario=resized(run.scenario, size))
    write_result(_file(folder, run, size), result)
    return f"{what}: {np.mean(result.slots.score):.4f}"


# -- raw figures -----------------------------------------------------------------------------------


def collected(folder: Path) -> dict[str, Any]:
    """Return raw figures of all runs that are done, and what a reader should know first."""
    planned = runs()
    results = list(_read(folder / run.place / "result.json" for run in planned))
    if not results:
        raise ValueError(f"{folder} holds no results to show; `make learned` trains.")
    sizes = [
        record_of(result) | {"label": run.label, "scenario": run.scenario.name, "devices": size}
        for run in planned
        for size in other_sizes(run)
        if _is_measured(folder, run, size)
        for result in _read([_file(folder, run, size)])
    ]
    return {"runs": [record_of(result) for result in results], "sizes": sizes}


def with_kept(raw: Mapping[str, Any], figures: Path) -> dict[str, Any]:
    """Return raw figures with the runs that only a file of before has: they lie elsewhere."""
    kept = _kept(figures)
    # A model that was trained anew is not the one that was measured with other sizes.
    anew = {run_of(record) for record in raw["runs"]}
    sizes = [one for one in kept["sizes"] if run_of(one | {"devices": 0}) not in anew]
    return {"runs": merged(raw["runs"], kept["runs"]), "sizes": merged(raw["sizes"], sizes)}


def _kept(figures: Path) -> dict[str, Any]:
    return read(figures) if figures.exists() else {"runs": [], "sizes": []}


def _planned_as(run: Settings, devices: int = 0) -> tuple[Any, ...]:
    """Return what `run_of` says of a run's record."""
    return (run.scenario.name, run.label, run.timesteps, run.seed, devices)


def _read(files: Iterable[Path]) -> Iterator[Result]:
    return (read_result(file) for file in files if file.exists())


def read(figures: Path) -> dict[str, Any]:
    """Return raw figures."""
    return read_figures(figures, FORMAT, VERSION, WRITER)


def planned(records: Iterable[Record]) -> list[Record]:
    """Return the records that are of a run of the plan, one of each; say what is left out."""
    left = [
        (*_planned_as(run, devices), run.changed)
        for run in runs()
        for devices in (0, *other_sizes(run))
    ]
    found = []
    for record in records:
        one = (*run_of(record), record["arguments"])
        if one in left:
            left.remove(one)
            found.append(record)
        else:
            print("left out, since the plan has no such run, or has it once:", *one)
    return found


# -- the page --------------------------------------------------------------------------------------


def write_page(raw: Mapping[str, Any], out: Path | None) -> Path:
    """Write page and raw figures, of runs that are in the plan."""
    raw = {kind: planned(raw[kind]) for kind in ("runs", "sizes")}
    folder, results = pages.places(out)
    figures = results / "learned.json"
    pages.write_json(figures, {"format": FORMAT, "version": VERSION, **raw})
    return pages.write_page(
        folder / "learning-pays.md", figures, "learning-pays.md.j2", **content(raw)
    )


def content(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template shows: of raw figures, and of what rules reach on presets."""
    found = grouped(raw["runs"])
    still = regimes.read(pages.RESULTS / "regimes.json", regimes.REGIMES)
    moving = regimes.read(pages.RESULTS / "headroom.json", regimes.ROOMS)
    rows = {label: row_title(label, records) for (label, _), records in found.items()}
    shown = {preset for _, preset in found}
    return {
        "close": [one.name for one in still if _own_gains(one).low >= CLOSE],
        "apart": [(one.name, _own_gains(one)) for one in still if _own_gains(one).low < CLOSE],
        "rooms": [_room(one) for one in moving],
        "rewarded": list(_rewarded(found)),
        "still": [_in_short(one, found) for one in still],
        "moving": [_in_short(one, found) for one in moving],
        "worlds": [_world(preset, found) for preset in PRESETS if preset in shown],
        "drawn": {name: drawn_before(name) for name in ("dirs", "dirs:prices", "dirs:hindsight")},
        "told": told(
            (_LEARNERS.get(label, Learner()).algorithm or label, rows[label])
            for label in NAMED
            if label in rows
        ),
        "sizes": _sizes(raw["sizes"]),
        "cabs": _on_cabs(),
        "studies": tune.studies(),
        "trials": tune.TRIALS,
        "missing": len(lacking(runs(), raw)),
        "cautions": [caution for preset in PRESETS for caution in cautions(preset, raw["runs"])],
    }


def _own_gains(one: Regime) -> Estimate:
    """Return what the best rule reaches by which each server decides by its own gains."""
    rules = [result for name, result in one.nrr.items() if name not in FULL_KNOWLEDGE]
    return max(rules, key=lambda result: result.low)


def drawn_before(name: str) -> int:
    """Return how many slots DIRS draws before those of training."""
    one = algorithm(name)
    options = ("demonstrations", "n_demonstrations", "hindsight_episodes", "own_rounds")
    kind, slots, episodes, rounds = (one.arguments.get(o, one.default(o)) for o in options)
    # The first lesson, those that follow, and demonstrations have episodes each.
    return int((2 + rounds) * episodes * SLOTS if kind == "hindsight" else slots)


def _on_cabs() -> dict[str, Any]:
    """Return the best learner and the best rule on recorded movement."""
    shown = cabs.content(pages.RESULTS / "cabs.json")
    return {who: shown[who] for who in ("learner", "rule")}


def cautions(preset: str, records: Iterable[Record]) -> Iterator[str]:
    """Yield what to know before rows of a preset's table are compared."""
    here = [record for record in records if record["scenario"] == preset]
    commits = len({record["commit"] for record in here})
    if commits > 1:
        yield f"{preset}: runs are of {commits} commits."
    changed = dict.fromkeys(name_of(one["label"]) for one in here if one.get("modified"))
    if changed:
        yield f"{preset}: files differed from the commit that is named: {'; '.join(changed)}."


def name_of(label: str) -> str:
    """Return what tables call a row."""
    return NAMES.get(label) or title(label)


def _room(room: HeadRoom) -> dict[str, Any]:
    """Return what there is to gain in a world that moves: the best rules, and what they reach."""
    best = {"simple": room.best_simple, "seeing": room.best_seeing, "knowing": room.best_knowing}
    reached = {kind: (rule_title(rule), room.ratio[rule].mean) for kind, rule in best.items()}
    return {"name": room.name, "discriminates": room.discriminates} | reached


def _rewarded(found: Runs) -> Iterator[tuple[str, str, float]]:
    """Yield the best learner that has nothing but rewards to learn from, by moving preset."""
    for preset in (*MOVING.slots, *STALE.slots):
        here = {
            label: mean_score(records).value
            for (label, name), records in found.items()
            if name == preset and learns(records) and knows(label).endswith(SCALAR_REWARD)
        }
        if here:
            best = max(here, key=lambda label: here[label])
            yield preset, name_of(best), here[best]


def _in_short(one: Regime | HeadRoom, found: Runs) -> list[str]:
    """Return a row of the first table: a world, its best rules, and the best learner there."""
    if isinstance(one, Regime):
        scores = {name: result.mean for name, result in one.nrr.items() if name != "optimum"}
        simple = max(map(title, STILL.simple), key=lambda name: scores[name])
    else:
        seen = [name for name in one.ratio if name not in PLACING]
        scores = {rule_title(name): one.ratio[name].mean for name in seen}
        simple = rule_title(one.best_simple)
    best = max(scores, key=lambda name: scores[name])
    rules = [f"{name}, {short(scores[name])}" for name in (simple, best)]
    return [one.name, *rules, *_learner_cells(one.name, found)]


def _learner_cells(scenario: str, found: Runs) -> list[str]:
    """Return what the best learner of a scenario reaches, and its distance to rules, in words.

    All on the same slots; a dash where there is no learner, or no simple rule.
    """
    here = {label: records for (label, name), records in found.items() if name == scenario}
    means = {label: mean_score(records).value for label, records in here.items()}
    learners = [label for label in here if learns(here[label])]
    rules = [label for label in here if label not in learners]
    simple = [label for label in PRESETS.get(scenario, STILL).simple if label in here]
    if not (learners and simple):
        return [pages.MISSING] * 4
    best, *against = (
        max(some, key=lambda label: means[label]) for some in (learners, simple, rules)
    )
    runs, seconds = here[best], cpu(here[best])
    budget = f"{runs[0]['timesteps']:,} slots" + (f", {seconds} CPU s" if seconds else "")
    reached = f"{name_of(best)}, {short(means[best])}"
    return [reached, budget, *(_against(runs, here[rule]) for rule in against)]


def _against(records: Sequence[Record], rule: Sequence[Record]) -> str:
    """Return by how much a learner is above a rule, with half of the interval."""
    pair = layouts_of(records), layouts_of(rule)
    left = paired_difference(*pair, learns=(True, False)).interval
    shown = f"{'+' if left.value >= 0 else MINUS}{plus_minus(abs(left.value), left.half)}"
    told = " against" if left.low > 0 or left.high < 0 else ", not told apart from"
    return f"{shown}{told} {name_of(rule[0]['label'])}"


def _world(preset: str, found: Runs) -> dict[str, Any]:
    """Return a preset's table."""
    kind = PRESETS[preset]
    labels = [label for label in (*kind.learners, *kind.rules) if (label, preset) in found]
    measure = measure_of(found[labels[0], preset]).title
    return {
        "name": preset,
        "head": ["policy", measure, "before", "seeds", "slots", "CPU s"],
        "rows": [_row(label, found[label, preset]) for label in labels],
    }


def _row(label: str, records: Sequence[Record]) -> list[str]:
    first = [row_title(label, records), _mean(records)]
    if not learns(records):
        return [*first, "", "", "", ""]
    seeds = ", ".join(map(short, sorted(scores_of(records), reverse=True)))
    before = short(float(np.mean([one["untrained"] for one in records])))
    return [*first, before, seeds, f"{records[0]['timesteps']:,}", cpu(records)]


def row_title(label: str, records: Sequence[Record]) -> str:
    """Return what stands before a row: rules are in italics."""
    return name_of(label) if learns(records) else f"*{name_of(label)}*"


def _mean(records: Sequence[Record]) -> str:
    mean = mean_score(records) if records else None
    return plus_minus(mean.value, mean.half) if mean else pages.MISSING


def _sizes(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a table for every preset whose models were measured with other numbers of devices."""
    tables, found = [], grouped(records)
    for preset, sizes in SIZES.items():
        rows = []
        for label in NAMED:
            if runs := found.get((label, preset)):
                own = [[one for one in runs if one["devices"] == size] for size in sizes]
                rows.append([row_title(label, runs), *map(_mean, own)])
        if rows:
            tables.append({"name": preset, "head": ["policy", *map(str, sizes)], "rows": rows})
    return tables


if __name__ == "__main__":
    raise SystemExit(main())
