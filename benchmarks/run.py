"""Run all benchmarks and write benchmarks/README.md, results.json and solve_scaling.png."""

from __future__ import annotations

import os

# Before NumPy loads its libraries.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse  # noqa: E402
import dataclasses  # noqa: E402
import importlib.metadata  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

from benchmarks import (  # noqa: E402
    actor_critic,
    environments,
    harness,
    learning,
    maddpg,
    scaling,
    solvers,
)
from benchmarks.measure import Row  # noqa: E402

SUITES = {
    "single step": environments.single_step,
    "vector env": environments.vector_step,
    "memory": environments.memory,
    "allocation": solvers.allocation,
    "optimum": solvers.optimum,
    "gaps": scaling.presets,
    "training": learning.training,
    "gradient step": learning.gradient_step,
    "inference": learning.inference,
    "search": learning.search,
    "actor-critic": actor_critic.actor_critic,
    "maddpg": maddpg.gradient_step,
    "harness": harness.overhead,
    "matrix": harness.jobs,
}
PACKAGES = (
    "numpy",
    "scipy",
    "gymnasium",
    "cvxpy",
    "clarabel",
    "pymoo",
    "torch",
    "stable-baselines3",
)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _page(results: dict[str, list[Row]], machine: str, versions: dict[str, str]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; do not edit. Each row compares two things that were measured in",
        "turns in one process, with one thread where nothing else is said; the best of many turns",
        "counts. Ratios are what to compare: times are those of one machine.",
        "",
        f"Machine: {machine}. Python {platform.python_version()}, "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ".",
    ]
    for suite, rows in results.items():
        lines += ["", f"## {suite[0].upper()}{suite[1:]}", ""]
        lines += ["| what | ours | reference | ratio | goal | met |", "|---|---|---|---|---|---|"]
        for one in rows:
            met = {None: "", True: "yes", False: "**no**"}[one.met]
            cells = (one.name, one.ours, one.reference, f"{one.ratio:.4g}", one.goal, met)
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
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    results = {}
    for name, suite in SUITES.items():
        begun = time.perf_counter()
        results[name] = suite(quick=options.quick)
        print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
        for one in results[name]:
            verdict = {None: "", True: "met", False: "NOT MET"}[one.met]
            print(f"  {one.name}: {one.ratio:.4g} {one.goal and f'({one.goal})'} {verdict}")
    curves = scaling.plot(options.out / "solve_scaling.png", quick=options.quick)
    machine = f"{_processor()}, {os.cpu_count()} cores"
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    page = _page(results, machine, versions)
    (options.out / "README.md").write_text(page, encoding="utf-8")
    raw = {
        "format": "mec-gym/benchmarks",
        "version": 1,
        "quick": options.quick,
        "machine": machine,
        "python": platform.python_version(),
        "versions": versions,
        "results": {name: [dataclasses.asdict(r) for r in rows] for name, rows in results.items()},
        "scaling": curves,
    }
    (options.out / "results.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {options.out}/README.md, results.json and solve_scaling.png")


if __name__ == "__main__":
    main()
