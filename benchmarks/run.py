"""Run all benchmarks and write benchmarks/README.md, results.json and solve_scaling.png."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import platform
import time
from pathlib import Path
from typing import Any

from benchmarks import (
    actor_critic,
    environments,
    harness,
    learning,
    maddpg,
    mappo,
    moving,
    scaling,
    solvers,
)
from mec_bench.system import system
from mec_gym.files import in_lines

SUITES = {
    "single step": environments.single_step,
    "vector env": environments.vector_step,
    "steps with the optimum": environments.step_with_optimum,
    "memory": environments.memory,
    "moving worlds": moving.steps,
    "hindsight": moving.bounds,
    "sizes of hindsight": moving.sizes,
    "allocation": solvers.allocation,
    "optimum": solvers.optimum,
    "batched optimum": solvers.batches,
    "gaps": scaling.presets,
    "training": learning.training,
    "gradient step": learning.gradient_step,
    "inference": learning.inference,
    "search": learning.search,
    "actor-critic": actor_critic.actor_critic,
    "maddpg": maddpg.gradient_step,
    "mappo": mappo.mappo,
    "harness": harness.overhead,
    "matrix": harness.jobs,
}
NOTES = {
    "training": """DDPG is Stable-Baselines3's with its own defaults: it takes a gradient step in
every slot, DIRS in every tenth. The goal is against this DDPG. The project's own, built for this
problem, is far faster; its time stands beside DIRS's in Table V of
[reproduction.md](../docs/reproduction.md).""",
    "search": """The goal is against a loop that prices every candidate by `evaluate`. The row below
each has a loop that prices as the search itself does: what is left there comes from working on many
candidates at once, and from drawing comparisons with thresholds in place of steps.""",
}
"""What a reader needs to know of a suite's reference."""
PACKAGES: tuple[str, ...] = ("numpy", "scipy", "gymnasium", "cvxpy", "clarabel", "pymoo")
PACKAGES += ("torch", "stable-baselines3")


def _page(raw: dict[str, Any]) -> str:
    machines: dict[str, str] = {}
    letters: dict[str, str] = {}
    for suite, one in raw["systems"].items():
        versions = ", ".join(f"{name} {version}" for name, version in one["versions"].items())
        words = f"{one['machine']}; Python {one['python']}, {versions}"
        machines.setdefault(words, chr(ord("A") + len(machines)))
        letters[suite] = machines[words]
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; do not edit. Each row compares two things that were measured in",
        "turns in one process, with one thread where nothing else is said; the best of many turns",
        "counts. Ratios are what to compare: times are those of one machine.",
        "",
        *(f"- Machine {letter}: {words}." for words, letter in machines.items()),
    ]
    for suite, rows in raw["results"].items():
        lines += ["", f"## {suite[0].upper()}{suite[1:]}", ""]
        lines += [f"Commit {raw['systems'][suite]['commit']}, machine {letters[suite]}.", ""]
        if suite in NOTES:
            lines += [NOTES[suite], ""]
        lines += ["| what | ours | reference | ratio | goal | met |", "|---|---|---|---|---|---|"]
        for one in rows:
            met = {None: "", True: "yes", False: "**no**"}[one["met"]]
            ratio = f"{one['ratio']:.4g}"
            cells = (one["name"], one["ours"], one["reference"], ratio, one["goal"], met)
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "## The solver's cost against N and M",
        "",
        "![Time and gap of solve against devices and servers](solve_scaling.png)",
        "",
        "Median time and largest gap over three slots; servers hold half of the devices' speed.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write, say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: a test, not a measure")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="folder to write to")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[*SUITES, "scaling"],
        metavar="SUITE",
        help=f"measure these, and keep what --out has of the others: {', '.join(SUITES)}, scaling",
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    raw: dict[str, Any] = {
        "format": "mec-gym/benchmarks",
        "version": 2,
        "quick": options.quick,
    }
    kept = _kept(options.out / "results.json", raw) if options.only else {}
    wanted = options.only or [*SUITES, "scaling"]
    results, systems = dict(kept.get("results", {})), dict(kept.get("systems", {}))
    for name in SUITES:
        if name in wanted:
            results[name] = _measured(name, quick=options.quick)
            systems[name] = _system()
    curves = kept.get("scaling")
    if "scaling" in wanted:
        curves = scaling.plot(options.out / "solve_scaling.png", quick=options.quick)
    # In the order of SUITES, whatever was measured when.
    raw |= {"systems": {name: systems[name] for name in SUITES if name in systems}}
    raw |= {"results": {n: results[n] for n in SUITES if n in results}, "scaling": curves}
    (options.out / "README.md").write_text(_page(raw), encoding="utf-8")
    (options.out / "results.json").write_text(in_lines(raw), encoding="utf-8")
    print(f"wrote {options.out}/README.md and results.json")


def _kept(file: Path, now: dict[str, Any]) -> dict[str, Any]:
    """Return what was measured before, in sizes of the same kind."""
    if not file.exists():
        return {}
    before: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    differing = [key for key, value in now.items() if before[key] != value]
    if differing:
        raise SystemExit(
            f"error: --only adds to {file}, whose {', '.join(differing)} differ: "
            "measure all suites in one run."
        )
    return before


def _system() -> dict[str, Any]:
    """Return what is measured, and on what; a word says where files differ from the commit."""
    found = system()
    return {
        "commit": f"{(found.commit or 'unknown')[:7]}{', modified' if found.modified else ''}",
        "machine": f"{found.processor}, {found.cores} cores",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _measured(name: str, *, quick: bool) -> list[dict[str, Any]]:
    begun = time.perf_counter()
    rows = SUITES[name](quick=quick)
    print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
    for one in rows:
        verdict = {None: "", True: "met", False: "NOT MET"}[one.met]
        print(f"  {one.name}: {one.ratio:.4g} {one.goal and f'({one.goal})'} {verdict}", flush=True)
    return [dataclasses.asdict(one) for one in rows]


if __name__ == "__main__":
    main()
