"""Measure what DROO's network knows and what pricing adds; write the table of its page.

Models are those of reproduction/learned.py, in its folder: what either has trained is not trained
again. Nor is anything measured again; delete the folder to begin anew. Runs that are not asked for
stay as the raw figures have them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from baselines import DROO
from mec_bench import Settings, algorithm, train
from mec_bench.cli import complain, count
from mec_bench.measuring import decisions_of, frozen
from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.files import around, read_figures, require_folder, write_whole
from reproduction import pages

FORMAT, VERSION, WRITER = "mec-gym/droo-results", 1, "reproduction/droo.py"

LEARNERS = {"droo": '"MlpPolicy"', "droo:links": '"LinkPolicy"'}
SCENARIOS = {
    "paper-30x2": 3_000,
    "paper-200x10": 5_000,
    "unequal-200x10": 5_000,
    "bandlimited-200x10": 5_000,
    "relocating-200x10": 5_000,
    "crowd-30x4": 5_000,
}
"""Slots of training: the paper's."""

PAGE = "algorithms/droo.md"
BEGIN = "<!-- droo: written by reproduction/droo.py -->"
END = "<!-- end of droo -->"


def main() -> None:
    """Run what is missing, then write table and figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=count, default=5, help="training seeds")
    parser.add_argument("--slots", type=count, help="train for so many slots instead (a test)")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=[*SCENARIOS])
    parser.add_argument("--runs", type=Path, default=Path("runs/learned"), help="for runs")
    parser.add_argument("--raw", type=Path, help="write the table of a droo.json, and stop")
    parser.add_argument("--out", type=Path, help="folder of page and raw figures")
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder, results = pages.places(given.out)
    figures = given.raw or results / "droo.json"
    with complain(status=2):
        require_folder(given.runs, "--runs")
        around(folder / PAGE, BEGIN, END)
        there = given.raw or figures.exists()
        kept = read_figures(figures, FORMAT, VERSION, WRITER)["runs"] if there else ()
    with complain():
        anew = () if given.raw else _records(given)
        found = {(one["scenario"], one["algorithm"], one["seed"]): one for one in (*kept, *anew)}
        write([*found.values()], folder, results)


def _records(given: argparse.Namespace) -> Iterable[dict[str, Any]]:
    """Yield the records of all runs, after training what is missing or ran otherwise."""
    for scenario in given.only:
        for seed in range(given.seeds):
            for name in LEARNERS:
                slots = given.slots or SCENARIOS[scenario]
                run = {"algorithm": name, "scenario": scenario, "seed": seed, "slots": slots}
                one = Settings(
                    algorithm=name,
                    scenario=Scenario.preset(scenario),
                    timesteps=slots,
                    seed=seed,
                    label=name,
                )
                file = given.runs / "candidates" / one.place / "record.json"
                record = pages.kept(file, run, partial(_measured, one, given.runs / one.place))
                print(f"{one.place}: {record['trained']:.4f}", flush=True)
                yield record


def _measured(one: Settings, place: Path) -> dict[str, Any]:
    """Train, and return what is reached with and without the network, and with and without K."""
    result, scenario = train(one, place), one.scenario
    held, file = frozen(scenario), place / "model.zip"

    def score(model: DROO) -> float:
        return round(held.means(decisions_of(model, scenario), "flat")[0], 6)

    trained = DROO.load(file, device="cpu")
    env = make_sb3_vec_env(scenario)
    return {
        "candidates": int(trained.policy.candidates),
        "trained": score(trained),
        "network_alone": score(DROO.load(file, device="cpu", n_candidates=1)),
        "with_n": score(DROO.load(file, device="cpu", n_candidates=scenario.n_devices)),
        "pricing_alone": score(algorithm(one.algorithm).build(env, seed=one.seed, device="cpu")),
        "training_s": round(result.seconds.training or 0.0, 1),
        "commit": result.system.commit,
    }


def write(records: Sequence[Mapping[str, Any]], folder: Path, results: Path) -> None:
    """Write raw figures, and the table into the page."""
    page = folder / PAGE
    before, after = around(page, f"{BEGIN}\n", END)
    content = {"format": FORMAT, "version": VERSION, "runs": records}
    pages.write_json(results / "droo.json", content)
    write_whole(page, f"{before}{BEGIN}\n{table(records)}{END}{after}")
    print("wrote", page)


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table: a row for each network in each scenario."""
    cells = []
    for scenario in SCENARIOS:
        for name, policy in LEARNERS.items():
            runs = [r for r in records if (r["algorithm"], r["scenario"]) == (name, scenario)]
            if runs:
                kept = sorted(run["candidates"] for run in runs)
                figures = ("pricing_alone", "network_alone", "with_n", "trained")
                means = [pages.nrr_cell([run[figure] for run in runs]) for figure in figures]
                each = ", ".join(f"{run['trained']:.4f}" for run in runs)
                cells.append([scenario, policy, len(runs), *means, f"{kept[0]}–{kept[-1]}", each])
    whose = ["untrained, all candidates", "trained, K = 1", "K = N", "K as left by training"]
    head = ["scenario", "network", "seeds", *whose, "that K", "each seed"]
    return f"{pages.head(head)}\n{pages.rows(cells)}\n"


if __name__ == "__main__":
    main()
