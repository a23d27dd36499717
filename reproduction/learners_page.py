"""Write what every learner reaches on the paper's scenarios: docs/learners.md, .json, README.

Makes its page of result files alone; `make learners` trains what is missing first.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mec_bench import Result, compare, read_results
from mec_bench.cli import complain
from mec_bench.report import warnings
from mec_bench.statistics import Interval, arenas, crossed_mean
from mec_bench.tables import plus_minus
from mec_gym.files import around, require_folder, write_whole

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- learners: written by `make learners` -->\n", "<!-- end of learners -->"

NAMES = {
    "dirs": "DIRS, the paper's options",
    "dirs:ensemble": "DIRS, optimal labels, loss of the vote",
    "dirs:prices": "DIRS, price-posting agents",
    "ac": "AC",
    "ac[learning_rate=0.01, batch_size=64]": "AC, with the settings of the next row",
    "ac:links": "AC, one network for all links, too (`ac:links`)",
    "ac:links[batch_size=32, ent_coef=0.01, policy_kwargs.link_arch=[64]]": (
        "AC, one network for all links, too: settings found first"
    ),
    "ddpg": "DDPG",
    "maddpg": "MADDPG",
    "examples.cross_entropy:CrossEntropy": "cross-entropy, one constant assignment",
    "local": "executing everything locally",
    "random": "random",
    "random:limit": "random, admission limit",
    "nearest:limit": "nearest server, admission limit",
    "keep-what-pays": "no prices, servers keep what pays",
    "posted-prices": "posted prices",
    "greedy": "greedy",
}
"""Labels of runs, and what the table calls them."""

HEADER = """# What every learner reaches

Written by `make learners`; do not edit. NRR is optimum / objective on 200 frozen slots of the
scenario's own map that no training and no tuning has seen; the final policy, after as many slots of
training as the paper has (3,000 at 30 x 2, 5,000 elsewhere); mean and half the width of a 95 %
interval (Student's t) over training seeds and batches of slots, for rules, in italics, over batches
of slots alone; ± 0 is below 5e-7. In brackets the policy before training. All batches are of that
one map: no interval says anything about another, where rules may rank otherwise
([regimes.md](regimes.md) measures over maps, [statistics.md](statistics.md) says more).

The rows do not start from the same place:

- Information. AC, DDPG, MADDPG and cross-entropy get a scalar reward. AC with one network for all
  links beside its own gets no more, and is told which entries of the observation make a link.
  DIRS with optimal labels and with price-posting agents is shown the exact optimum of its training
  slots (`mec_gym.solve`), and price-posting agents also know the closed-form cost of every choice.
  DIRS with the paper's options gets labels of a search that prices decisions by the model, too.
- Tuning. Settings of both forms of AC, of DDPG and of MADDPG were found by hand; then each had
  {tuning},
  those found by hand among them, on other slots than these, and the best by the mean of all three
  was kept ([every trial](../baselines/settings/ddpg.json)). One seed says little of a setting: AC
  with one network for all links had {dropped} more trials before, found by hand. The first of them
  did best on the trials' seed, and on others it left all devices local; it was dropped after its
  results on seeds 0 to 4 of this table had been seen. Both rows of that form, and AC with its
  settings, are therefore of seeds {seeds}; where they scatter, each is shown below. On
  unequal-200x10 the best of each learner's trials reached
  {unequal}.
  The paper's options of DIRS are the paper's where it prints them. The other two sets are those
  that served best here, chosen by hand without a record, and the `markdown` of price-posting
  agents was chosen on six presets, these among them, on other slots
  ([dirs-markdown.md](dirs-markdown.md)). Nobody gave DIRS and the others equal budgets.

How long training takes is measured where nothing else runs:
[benchmarks](../benchmarks/README.md). Raw figures: [learners.json](learners.json).

"""
SCATTER = 0.02
"""Half an interval beyond which the page shows every seed."""
TUNED = ("ac", "ac:links", "ddpg", "maddpg")


def main() -> int:
    """Read, compare, write; say what was left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs/learners"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of the page")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md, too")
    given = parser.parse_args()
    with complain(status=2):
        require_folder(given.out)
        if given.readme:
            around(README, BEGIN, END)
        found = read_results([given.runs])
        for problem in found.problems:
            print(f"left out: {problem.file}: {problem.reason}")
        if not found.results:
            raise ValueError(f"{given.runs} holds no results to show; `make learners` trains.")
        _write(found.results, given.out, readme=given.readme)
    return 1 if found.problems else 0


def _write(results: Sequence[Result], out: Path, *, readme: bool) -> None:
    """Write page, raw figures and, if asked for, the table of README.md."""
    groups = _grouped(results)
    table = _table(groups, "NRR", _reached)
    page = out / "learners.md"
    header = HEADER.format(
        tuning=_tuning(),
        dropped=_dropped(),
        seeds=_seeds(results),
        unequal=_best_trials("unequal-200x10"),
    )
    write_whole(page, f"{header}{table}{_scattered(groups)}{_warned(results)}")
    raw = {
        "format": "mec-gym/learners",
        "version": 1,
        "runs": [_raw(result) for result in results],
    }
    write_whole(page.with_suffix(".json"), json.dumps(raw, indent=1) + "\n")
    print("wrote", page)
    if readme:
        before, after = around(README, BEGIN, END)
        write_whole(README, f"{before}{BEGIN}{table}{END}{after}")


def _tuning() -> str:
    """Say what trials the learners were tuned by, as they are on record."""
    budgets = set()
    for name in TUNED:
        trials = [(one["scenario"], one["slots"]) for one in _trials(name)]
        (count,) = {trials.count(one) for one in trials}
        budgets.add((count, tuple(dict.fromkeys(trials))))
    ((count, places),) = budgets
    *others, last = (f"{slots:,} slots of {scenario}" for scenario, slots in places)
    return f"{count} trials of one seed with {', '.join(others)} and {last}"


def _trials(name: str, kind: str = "trials") -> list[dict[str, Any]]:
    file = ROOT / "baselines" / "settings" / f"{name.replace(':', '-')}.json"
    return list(json.loads(file.read_text(encoding="utf-8"))[kind])


def _dropped() -> int:
    """Return how many trials of AC with one network for all links were dropped."""
    return len({one["trial"] for one in _trials("ac:links", "dropped")})


def _seeds(results: Sequence[Result]) -> str:
    """Return the seeds of the rows that what had been seen before could not choose."""
    seen = {one.seed or 0 for one in results if one.label == "ac:links"}
    return ", ".join(map(str, sorted(seen)))


def _best_trials(scenario: str) -> str:
    """Say what the best trial of each reached on a scenario."""
    reached = {
        name: max(one["nrr"] or 0.0 for one in _trials(name) if one["scenario"] == scenario)
        for name in TUNED
    }
    return ", ".join(f"{nrr:.3f} ({NAMES[name]})" for name, nrr in reached.items())


Groups = dict[tuple[str, str], list[Result]]


def _grouped(results: Sequence[Result]) -> Groups:
    groups: Groups = defaultdict(list)
    for arena in arenas(results):
        for group in arena.groups:
            if group.label not in NAMES:
                raise ValueError(f"{group.label!r} has no line in the table: add it to NAMES.")
            if groups[group.label, arena.name] and group.learns:
                raise ValueError(f"{group.label!r} has two budgets in {arena.name}.")
            groups[group.label, arena.name] = list(group.results)
    return groups


def _table(groups: Groups, head: str, cell: Any) -> str:
    scenarios = list(dict.fromkeys(scenario for _, scenario in sorted(groups, key=_order)))
    lines = [f"| {head} | {' | '.join(scenarios)} |", "|---" * (len(scenarios) + 1) + "|"]
    for label, name in NAMES.items():
        cells = [cell(groups.get((label, scenario), [])) for scenario in scenarios]
        rule = not any(r.learns for (one, _), rs in groups.items() if one == label for r in rs)
        if any(cells):
            lines.append(f"| {f'*{name}*' if rule else name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _order(key: tuple[str, str]) -> tuple[bool, str]:
    return not key[1].startswith("paper-30"), key[1]


def _reached(results: Sequence[Result]) -> str:
    if not results:
        return ""
    mean = _mean(results)
    shown = plus_minus(mean.value, mean.half)
    if not results[0].learns:
        return shown
    before = float(np.mean([result.curve[0].nrr for result in results]))
    several = "seed" if len(results) == 1 else "seeds"
    return f"{shown} ({plus_minus(before, math.nan)}), {len(results)} {several}"


def _mean(results: Sequence[Result]) -> Interval:
    values = np.stack([np.asarray(result.slots.nrr).mean(1) for result in results])
    return crossed_mean(values, learns=results[0].learns)


def _scattered(groups: Groups) -> str:
    """Return every seed of the rows whose mean says little of one of them."""
    found = []
    for (label, scenario), results in sorted(groups.items(), key=lambda one: _order(one[0])):
        if results and results[0].learns and _mean(results).half > SCATTER:
            ends = sorted((float(np.mean(one.slots.nrr)) for one in results), reverse=True)
            shown = ", ".join(f"{nrr:.3f}" for nrr in ends)
            found.append(f"- {scenario}, {NAMES[label]}: {shown}.")
    if not found:
        return ""
    return "\n## Where seeds scatter\n\nNRR of each seed:\n\n" + "\n".join(found) + "\n"


def _warned(results: Sequence[Result]) -> str:
    """Return what a reader should know before comparing rows."""
    found = [
        f"- {table.title}: {one}" for table in compare(results).tables for one in warnings(table)
    ]
    if len({result.system.commit for result in results}) > 1:
        found.append(
            "- Runs of different commits agree in law, not run by run: where code rounds "
            "otherwise, training ends with other weights."
        )
    return "\n## Before you compare\n\n" + "\n".join(found) + "\n" if found else ""


def _raw(result: Result) -> dict[str, Any]:
    return {
        "label": result.label,
        "scenario": result.scenario,
        "seed": result.seed,
        "timesteps": result.timesteps,
        "arguments": dict(result.arguments),
        "nrr": float(np.mean(result.slots.nrr)),
        "nrr_of_layouts": np.asarray(result.slots.nrr).mean(1).round(6).tolist(),
        "untrained": result.curve[0].nrr if result.curve else None,
        "training_s": round(result.seconds.training or 0.0, 1),
        "commit": result.system.commit,
        "versions": dict(result.system.versions),
    }


if __name__ == "__main__":
    raise SystemExit(main())
