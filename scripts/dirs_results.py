"""Train DIRS in all its variants and write what each reaches: docs/dirs-results.md and .json.

Every figure there comes from here. A run that is already on disk is not repeated, so the script
can be interrupted; delete the folder of runs to begin anew.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import argparse  # noqa: E402
import dataclasses  # noqa: E402
import json  # noqa: E402
import math  # noqa: E402
import time  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Iterable, Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gymnasium as gym  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from scipy import stats  # noqa: E402

import mec_gym  # noqa: E402
from baselines import best_discount, mean_prices, posted_prices  # noqa: E402
from baselines.rules import rules, tuned_prices, tuned_quota  # noqa: E402
from dirs_agents import DIRS, options  # noqa: E402
from experiments.pool import side_by_side  # noqa: E402
from experiments.report.cells import p_value, plus_minus  # noqa: E402
from experiments.running.measuring import slot_set_of  # noqa: E402
from experiments.running.system import system  # noqa: E402
from experiments.statistics.intervals import half_interval  # noqa: E402
from experiments.statistics.pairing import holm  # noqa: E402
from mec_gym import Scenario, Slot  # noqa: E402
from mec_gym.evaluation import (  # noqa: E402
    Decide,
    Estimate,
    SlotSet,
    decide_with,
    estimate,
    nrr,
    slot_set,
)

SLOTS = {"paper-30x2": 3000, "paper-180x8": 4000}
"""T_DRL of Sections V-B and V-C; 5,000, that of V-D, elsewhere."""

PRESETS = (
    "paper-30x2",
    "paper-180x8",
    "paper-200x10",
    "bandlimited-200x10",
    "unequal-200x10",
    "relocating-200x10",
)
NO_ADMISSION = {"policy_kwargs": {"admission": False}}
MAIN = {
    "the paper's options": options("paper"),
    "the paper's agents, optimal labels, loss of the vote": options("ensemble"),
    "price-posting agents": options("prices"),
    "price-posting agents, no admission": options("prices", **NO_ADMISSION),
}
ABLATIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "no imitation": {"demonstrations": "none"},
    "one central network": {"policy": "CentralPolicy"},
    "classic Lévy search": {"refinement": "classic-levy"},
    "epsilon-greedy": {"refinement": "epsilon-greedy"},
    "no refinement": {"refinement": "none"},
    "f and p searched": {"allocation": "levy"},
    "demonstrations by solve": {"demonstrations": "optimal"},
    "labels by solve": {"refinement": "optimal"},
    "loss of the vote": {"loss": "vote"},
}
SIZES = (50, 200, 800)
PRICE_SLOTS = 1000
"""Slots for price-posting agents; the page shows what a tenth of them reaches."""


def main() -> None:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="training seeds per variant")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--presets", nargs="*", default=PRESETS, help="scenarios of the main table")
    parser.add_argument("--ablations", nargs="*", default=["paper-30x2"], help="their scenarios")
    parser.add_argument("--ablation-seeds", type=int, default=20, help="training seeds of each")
    parser.add_argument("--slots", type=int, help="train for so many slots instead (a test)")
    parser.add_argument("--runs", type=Path, default=Path("runs/dirs-results"), help="for runs")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the page")
    parser.add_argument("--readme", action="store_true", help="put a table into README.md, too")
    parser.add_argument("--list", action="store_true", help="say what is missing, and stop")
    parser.add_argument("--page", action="store_true", help="write the page of the runs there are")
    given = parser.parse_args()
    wanted = list(_wanted(given))
    missing = [run for run in wanted if not _is_done(given.runs, run)]
    print(f"{len(wanted)} runs, {len(missing)} to do", flush=True)
    if given.list:
        return
    if given.page:
        print("wrote", _write(_records(wanted, given.runs), given))
        return
    given.runs.mkdir(parents=True, exist_ok=True)
    jobs = [(run, given.runs) for run in missing]
    for done, ended in enumerate(side_by_side(_run_and_keep, jobs, given.jobs), 1):
        text = ended.value or f"{_file(given.runs, ended.item[0]).stem}: {ended.error}"
        print(f"{done}/{len(missing)} {text}", flush=True)
    print("wrote", _write(_records(wanted, given.runs), given))


def _records(wanted: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Read the runs that there are."""
    files = [_file(folder, run) for run in wanted]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]


# -- runs -----------------------------------------------------------------------------------------


def _wanted(given: argparse.Namespace) -> Iterable[dict[str, Any]]:
    """Yield every run: the quick ones first, then the paper's scenarios, ablations, the others."""
    priced = [name for name in MAIN if MAIN[name]["policy"] == "PricePolicy"]
    slow = [name for name in MAIN if name not in priced]
    papers = [preset for preset in given.presets if preset in PAPERS]
    others = [preset for preset in given.presets if preset not in PAPERS]
    off = [name for name in ABLATIONS if name != "as it is"]
    seeds = range(given.seeds)
    for table, presets, variants, wanted in (
        ("main", given.presets, priced, seeds),
        ("main", papers, slow, seeds),
        ("ablation", given.ablations, off, range(given.ablation_seeds)),
        # The first are in the main table.
        ("ablation", given.ablations, ["as it is"], range(given.seeds, given.ablation_seeds)),
        ("main", others, slow, seeds),
    ):
        for seed in wanted:
            for preset in presets:
                for variant in variants:
                    yield _described(table, preset, variant, seed, given.slots)


PAPERS = ("paper-30x2", "paper-180x8", "paper-200x10")


def _described(
    table: str, preset: str, variant: str, seed: int, slots: int | None
) -> dict[str, Any]:
    arguments = MAIN[variant] if table == "main" else options("paper") | ABLATIONS[variant]
    priced = arguments["policy"] == "PricePolicy"
    timesteps = slots or (PRICE_SLOTS if priced else SLOTS.get(preset, 5000))
    return {
        "table": table,
        "preset": preset,
        "variant": variant,
        "seed": seed,
        "slots": timesteps,
        "arguments": arguments,
    }


def _file(folder: Path, run: dict[str, Any]) -> Path:
    words = f"{run['table']} {run['preset']} {run['variant']} {run['slots']} seed {run['seed']}"
    return folder / ("-".join("".join(c if c.isalnum() else " " for c in words).split()) + ".json")


def _is_done(folder: Path, run: dict[str, Any]) -> bool:
    """Return whether a run is there, was made with these arguments, and says by which code."""
    file = _file(folder, run)
    if not file.exists():
        return False
    found = json.loads(file.read_text(encoding="utf-8"))
    wanted = json.loads(json.dumps(run["arguments"]))  # as a file shows them
    return bool(found["arguments"] == wanted and _commit_of(found))


def _commit_of(record: dict[str, Any]) -> str | None:
    """Return the commit that a run says it comes from."""
    commit: str | None = record.get("system", {}).get("commit")
    return commit


def _run_and_keep(job: tuple[dict[str, Any], Path]) -> str:
    run, folder = job
    torch.set_num_threads(1)
    record = run | _measured(run) | {"system": dataclasses.asdict(system())}
    target = _file(folder, run)
    partial = target.with_suffix(".part")
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    partial.replace(target)
    return f"{target.stem}: NRR {record['nrr']['final']:.4f} in {record['seconds']['all']:.0f} s"


def _measured(run: dict[str, Any]) -> dict[str, Any]:
    """Train once; return what the policy reaches untrained, imitating, and in the end."""
    scenario = Scenario.preset(run["preset"])
    env = gym.make(mec_gym.ENV_ID, scenario=scenario)
    slots = slot_set_of(scenario)
    begun = time.perf_counter()
    model = DIRS(env=env, seed=run["seed"], **run["arguments"])
    reached = {"untrained": _mean_nrr(model, slots)}
    building = time.perf_counter()
    model.learn(0)
    imitated = time.perf_counter()
    reached["imitation"] = _mean_nrr(model, slots)
    continuing = time.perf_counter()
    # A tenth of the slots, then the rest: how fast it learns.
    first = run["slots"] // 10
    model.learn(first, reset_num_timesteps=False)
    early = time.perf_counter()
    reached["tenth"] = _mean_nrr(model, slots)
    late = time.perf_counter()
    model.learn(run["slots"] - first, reset_num_timesteps=False)
    ended = time.perf_counter()
    reached["final"] = _mean_nrr(model, slots)
    record: dict[str, Any] = {
        "nrr": reached,
        "seconds": {
            "imitation": imitated - building,
            "online": (ended - late) + (early - continuing),
            "all": time.perf_counter() - begun,
        },
    }
    if model.policy.any_size and run["preset"] == "unequal-200x10":
        record["sizes"] = {str(size): _transferred(model, size) for size in SIZES}
    return record


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


# -- the page -------------------------------------------------------------------------------------

EVERYTHING = ("greedy", "optimum")
"""Rules that know all gains."""

HEADER = """# What DIRS reaches

Written by `make dirs-results` (`scripts/dirs_results.py`); do not edit. {seeds} training seeds a
variant, fewer where a cell says so. NRR is optimum / objective on 200 frozen slots that no
training has seen, the same for all (where the optimum is only bounded, the bound takes its place);
the final policy, not the best; mean and half the width of a 95 % interval (Student's t; of learners
over training seeds, of rules over the 40 batches of slots; ± 0 is below 5e-7). All presets but
relocating-200x10 are one map, which no interval here goes beyond: other maps can rank rules
otherwise ([regimes.md](regimes.md) measures over maps, [statistics.md](statistics.md) says more).
Seconds are those of a busy machine, two runs side by side. Raw figures:
[dirs-results.json](dirs-results.json).

"""


def _write(records: list[dict[str, Any]], given: argparse.Namespace) -> Path:
    main = [record for record in records if record["table"] == "main"]
    presets = [preset for preset in given.presets if any(r["preset"] == preset for r in main)]
    local = {preset: _rules_reached(Scenario.preset(preset)) for preset in presets}
    parts = [HEADER.format(seeds=given.seeds)]
    table = _main_table(main, presets, local, given.seeds)
    parts.append("## Final NRR\n\n" + table)
    goals = _goals(main, presets)
    if given.readme:
        kept = [line for line in table.splitlines(keepends=True) if _is_shown(line)]
        before, rest = README.read_text(encoding="utf-8").split(BEGIN)
        text = f"{before}{BEGIN}{''.join(kept)}{goals[0]}{END}{rest.split(END)[1]}"
        README.write_text(text, encoding="utf-8")
    parts.append(
        "\nRules in italics know what one server knows; greedy and optimum know everything.\n"
        + "".join(goals)
        + "\n## Before and after training\n\n"
        + _stages_table(main, presets)
    )
    parts.append("\n## Numbers of devices never trained on\n\n" + _sizes_table(main))
    for preset in given.ablations:
        parts.append(f"\n## Each idea on and off, {preset}\n\n{_ablation_note(preset)}")
        parts.append(_ablation_table(records, preset) + _verdicts(records, preset))
    parts.append("\n## What it ran on\n\n" + _origins(records))
    given.out.mkdir(parents=True, exist_ok=True)
    page: Path = given.out / "dirs-results.md"
    page.write_text("".join(parts), encoding="utf-8")
    raw = {"format": "mec-gym/dirs-results", "version": 2, "runs": records}
    raw["rules"] = {
        preset: {name: dataclasses.asdict(one) for name, one in reached.items()}
        for preset, reached in local.items()
    }
    page.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    return page


README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- dirs: written by `make dirs-results` -->\n", "<!-- end of dirs -->"


def _is_shown(line: str) -> bool:
    """Return whether README's table has a line: the heads, the learners, the best local rules."""
    name = line.split("|")[1].strip()
    shown = ("NRR", "---", *MAIN, *(f"*{rule}*" for rule in POSTED), "*all local*")
    return name in shown or name.startswith("*no prices")


def _rules_reached(scenario: Scenario) -> dict[str, Estimate]:
    fixed = scenario.layout == "fixed"
    tuning = slot_set(scenario, own_layout=fixed, n_layouts=10, slots_per_layout=4, seed=1_000)
    slots = slot_set_of(scenario)
    table = dict(rules(tuned_quota(tuning), tuned_prices(tuning)))
    if fixed:
        # A learner knows its own map, so a rule may: prices of each server there.
        table |= {name: _posting(tuning, dropping=name == POSTED[1]) for name in POSTED}
    return {name: estimate(nrr(slots, rule)) for name, rule in table.items()}


POSTED = ("posted prices, no admission", "posted prices")


def _posting(tuning: SlotSet, *, dropping: bool) -> Decide:
    """Return posted prices tuned on slots of one map."""
    scenario = tuning.scenarios[0]
    slots = Slot(
        *(
            np.concatenate([getattr(one, name) for one in tuning.slots])
            for name in ("gains", "data_bits", "cycles")
        )
    )
    prices = mean_prices(scenario, slots)
    prices = prices * best_discount(scenario, slots, prices, dropping=dropping)
    return lambda one, slot, _layout, _rng: posted_prices(one, slot, prices, dropping=dropping)


def _cell(values: Sequence[float]) -> str:
    return plus_minus(float(np.mean(values)), half_interval(values))


def _seeds_cell(values: Sequence[float], seeds: int) -> str:
    """Return a cell of a learner, which says so if it rests on fewer seeds than the others."""
    if not values:
        return "–"
    few = f" ({len(values)} seeds)" if len(values) < seeds else ""
    return _cell(values) + few


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _of(
    records: list[dict[str, Any]], preset: str, variant: str, *, table: str = "main"
) -> list[dict[str, Any]]:
    return [
        r for r in records if (r["table"], r["preset"], r["variant"]) == (table, preset, variant)
    ]


def _finals(records: list[dict[str, Any]], preset: str, variant: str) -> list[float]:
    return [run["nrr"]["final"] for run in _of(records, preset, variant)]


def _main_table(
    records: list[dict[str, Any]],
    presets: Sequence[str],
    local: dict[str, dict[str, Estimate]],
    seeds: int,
) -> str:
    rows = [
        [
            variant,
            *(_seeds_cell(_finals(records, preset, variant), seeds) for preset in presets),
        ]
        for variant in MAIN
    ]
    names = list(dict.fromkeys(rule for preset in presets for rule in local[preset]))
    for rule in sorted(names, key=lambda name: name in EVERYTHING):
        name = rule if rule in EVERYTHING else f"*{rule}*"
        found = [local[preset].get(rule) for preset in presets]
        cells = [plus_minus(one.mean, (one.high - one.low) / 2) if one else "" for one in found]
        rows.append([name, *cells])
    return _table(["NRR", *presets], rows)


GOAL = 0.99
"""NRR that is asked for on each scenario of the paper."""


def _goals(records: list[dict[str, Any]], presets: Sequence[str]) -> list[str]:
    """Say where the goal is reached by the vote alone and where with admission only, then how."""
    reached: dict[str, list[str]] = {"by the vote alone": [], "with admission only": [], "not": []}
    lines = ["\n"]
    for preset in presets:
        best = {}
        for admits in (False, True):
            found = [
                (float(np.mean(finals)), f"{_cell(finals)} ({variant})")
                for variant in MAIN
                if _admits(variant) == admits and (finals := _finals(records, preset, variant))
            ]
            best[admits] = max(found, default=(math.nan, "nothing that was measured"))
        how = "with admission only" if best[True][0] >= GOAL else "not"
        reached["by the vote alone" if best[False][0] >= GOAL else how].append(preset)
        lines.append(
            f"- {preset}: the vote alone reaches {best[False][1]}, "
            f"with admission after it {best[True][1]}.\n"
        )
    parts = [f"{how} on {', '.join(names)}" for how, names in reached.items() if names]
    return [f"\nAn NRR of {GOAL} is reached {'; '.join(parts)}.\n", *lines]


def _admits(variant: str) -> bool:
    """Return whether servers send devices home after the vote, a second message."""
    arguments = MAIN[variant]
    admission = arguments.get("policy_kwargs", {}).get("admission", True)
    return bool(arguments["policy"] == "PricePolicy" and admission)


def _stages_table(records: list[dict[str, Any]], presets: Sequence[str]) -> str:
    rows = []
    for preset in presets:
        for variant in MAIN:
            runs = _of(records, preset, variant)
            if not runs:
                continue
            stages = [_cell([r["nrr"][s] for r in runs]) for s in ("untrained", "imitation")]
            stages += [_cell([r["nrr"][s] for r in runs]) for s in ("tenth", "final")]
            seconds = f"{np.mean([r['seconds']['imitation'] for r in runs]):.0f}"
            seconds += f" + {np.mean([r['seconds']['online'] for r in runs]):.0f}"
            rows.append([preset, variant, *stages, str(runs[0]["slots"]), seconds])
    head = ["scenario", "variant", "untrained", "after imitation", "after a tenth of the slots"]
    return _table([*head, "final", "slots", "seconds: imitation + online"], rows)


def _sizes_table(records: list[dict[str, Any]]) -> str:
    rows = []
    for variant in MAIN:
        runs = [r for r in _of(records, "unequal-200x10", variant) if "sizes" in r]
        if not runs:
            continue
        for stage in ("untrained", "trained"):
            cells = [_cell([r["sizes"][str(size)][stage] for r in runs]) for size in SIZES]
            rows.append([f"{variant}, {stage}", *cells])
        gaps = [f"{max(r['sizes'][str(size)]['gap'] for r in runs):.1e}" for size in SIZES]
    if not rows:
        return "Not measured.\n"
    rows.append(["*largest gap of the bound that stands for the optimum*", *gaps])
    return (
        "Trained on `unequal-200x10`, decided with as they are on the same scenario with N devices"
        " (and a map of its own).\n\n" + _table(["NRR", *(f"N = {n}" for n in SIZES)], rows)
    )


def _ablation_note(preset: str) -> str:
    n_servers = Scenario.preset(preset).n_servers
    return (
        f"One map, with {n_servers} servers: the fewer servers, the less an ensemble has to show. "
        "Differences are paired by seed; p is that of Student's t, two-sided, corrected by Holm "
        "for all comparisons of the table. [Fig. 5](reproduction.md) asks some of this with fewer "
        "seeds, each on a map of its own, which leaves more undecided, Lévy against epsilon-greedy "
        "search for one.\n\n"
    )


def _ablation_table(records: list[dict[str, Any]], preset: str) -> str:
    changes = _all_changes(records, preset)
    rows = []
    for variant in ABLATIONS:
        runs = list(_as_it_is(records, preset).values())
        if variant != "as it is":
            runs = _of(records, preset, variant, table="ablation")
        if not runs:
            continue
        cells = [_cell([r["nrr"][s] for r in runs]) for s in ("imitation", *STAGES)]
        found = [changes.get((variant, stage)) for stage in STAGES]
        shown = [text for one in found for text in ((str(one), one.p_text) if one else ("", ""))]
        rows.append([variant, str(len(runs)), *cells, *shown])
    head = ["the paper's options, but", "seeds", "after imitation", *STAGES.values()]
    for name in STAGES.values():
        head += [f"{name}, paired difference", "p, Holm"]
    return _table(head, rows)


STAGES = {"tenth": "after a tenth of the slots", "final": "final"}
"""When the ideas are judged, as records name it: how fast they learn, and how well."""


def _as_it_is(records: list[dict[str, Any]], preset: str) -> dict[int, dict[str, Any]]:
    """Return the runs with the paper's options, by seed."""
    runs = _of(records, preset, "the paper's options")
    runs += _of(records, preset, "as it is", table="ablation")
    return {run["seed"]: run for run in runs}


@dataclasses.dataclass(frozen=True)
class Change:
    """By how much a switch changes the NRR, over seeds, and its p among all comparisons."""

    mean: float
    half: float
    p: float
    n_seeds: int

    def __str__(self) -> str:
        return f"{self.mean:+.4f} ± {self.half:.4f}"

    @property
    def p_text(self) -> str:
        """As tables show it."""
        return p_value(self.p).text


def _all_changes(records: list[dict[str, Any]], preset: str) -> dict[tuple[str, str], Change]:
    """Return the change that each switch makes at each stage, by variant and stage."""
    base = _as_it_is(records, preset)
    changes = {}
    for variant in ABLATIONS:
        runs = _of(records, preset, variant, table="ablation")
        pairs = [(run["nrr"], base[run["seed"]]["nrr"]) for run in runs if run["seed"] in base]
        if variant != "as it is" and len(pairs) > 1:
            for stage in STAGES:
                changes[variant, stage] = [one[stage] - other[stage] for one, other in pairs]
    p = holm([float(stats.ttest_1samp(change, 0.0).pvalue) for change in changes.values()])
    return {
        key: Change(float(np.mean(change)), float(half_interval(change)), corrected, len(change))
        for (key, change), corrected in zip(changes.items(), p, strict=True)
    }


IDEAS = {
    "Imitation acceleration": "no imitation",
    "The ensemble with its vote": "one central network",
    "The Lévy search of actions": "no refinement",
}
"""The paper's three ideas, and what stands in the place of each."""


def _verdicts(records: list[dict[str, Any]], preset: str) -> str:
    """Say of each of the paper's ideas whether it is shown to help, early and in the end."""
    changes, lines = _all_changes(records, preset), []
    for idea, variant in IDEAS.items():
        runs = _of(records, preset, variant, table="ablation")
        base = list(_as_it_is(records, preset).values())
        for stage, name in STAGES.items():
            change = changes.get((variant, stage))
            if change is None:
                continue
            with_it, without = (_deviation(one, stage) for one in (base, runs))
            lines.append(
                f"- {idea}, {name}: {_verdict(change)}. {variant.capitalize()} in its place "
                f"changes the NRR by {change} (p {_compared(change)}, {change.n_seeds} seeds). "
                f"Standard deviation over seeds: {with_it:.4f} with the idea, {without:.4f} "
                "without.\n"
            )
    return "\n" + "".join(lines) if lines else ""


def _verdict(change: Change) -> str:
    if not change.p < 0.05:
        return "shown neither to help nor to cost"
    return "helps" if change.mean < 0 else "costs"


def _compared(change: Change) -> str:
    return change.p_text if change.p_text.startswith("<") else f"= {change.p_text}"


def _deviation(runs: Sequence[dict[str, Any]], stage: str) -> float:
    return float(np.std([run["nrr"][stage] for run in runs], ddof=1))


def _origins(records: list[dict[str, Any]]) -> str:
    """Say how many runs come from which commit."""
    counts = Counter(_commit_of(record) for record in records)
    traced = [f"{n} from commit {commit[:7]}" for commit, n in counts.items() if commit]
    missing = [f"{counts[None]} from code that they do not name"] if counts[None] else []
    several = (
        " Those of different commits agree in law, not run by run: where code rounds otherwise, "
        "training ends with other weights."
    )
    where = f"{len(records)} runs: {', '.join([*sorted(traced), *missing])}."
    return where + (several if len(counts) > 1 else "") + "\n"


if __name__ == "__main__":
    main()
