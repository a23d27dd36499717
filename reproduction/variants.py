"""Train DIRS in all its variants and write what each reaches: docs/dirs-results.md.

Every figure there comes from here. A run that is already on disk is not repeated, so the script
can be interrupted; delete the folder of runs to begin anew.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from baselines import best_discount, mean_prices, posted_prices
from baselines.regimes import rules, tuned_prices, tuned_quota
from mec_bench.cli import complain, count
from mec_bench.measuring import frozen_slots, slot_set_of
from mec_bench.statistics import half_interval, holm
from mec_bench.tables import plus_minus
from mec_gym import Scenario
from mec_gym.evaluation import Decide, Estimate, estimate, nrr
from mec_gym.files import read_figures, require_folder, require_record
from reproduction import pages
from reproduction.claims import between, differences
from reproduction.jobs import carry_out
from reproduction.variant_runs import (
    ABLATED,
    ABLATIONS,
    AS_IT_IS,
    BESIDE,
    COUNTED,
    COUNTS,
    IN_MAIN,
    LABELLED,
    LABELS,
    MAIN,
    PRESETS,
    SIZED,
    SIZES,
    Plan,
    Record,
    admits,
    done,
    read,
    scenario_named,
)

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
        means = {key: pages.mean([one[key][stage] for one in ones]) for key in COUNTS}
        local = {who: pages.mean([one["local"][who] for one in ones]) for who in BESIDE}
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
