"""Run the examples of docs/integrations, each in an environment of its own; write what they reach.

An example says what it needs at its head (PEP 723), and ends with "NRR 0.982 after 153600 slots".
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from baselines.regimes import rules
from mec_bench.cli import complain
from mec_gym import Scenario
from mec_gym.evaluation import nrr, slot_set
from mec_gym.files import around, read_figures, write_whole
from mec_gym.validation import require_choice
from reproduction import pages

FORMAT, VERSION = "mec-gym/integrations", 1
EXAMPLES = pages.ROOT / "examples" / "integrations"
ENVIRONMENTS = pages.ROOT / "build" / "integrations"
INDEX = pages.DOCS / "integrations" / "index.md"
FIGURES = pages.RESULTS / "integrations.json"

BEGIN = "<!-- tried: written by make integrations -->"
END = "<!-- end of tried -->"

SHARED = "paper-30x2"
"""The scenario of all examples but those whose page says otherwise."""
RULES = ("random", "nearest server, admission limit", "greedy")
"""What the index compares with."""


def main() -> int:
    """Run, keep the figures, write the pages; fail if an example did."""
    known = {path.stem: path for path in sorted(EXAMPLES.glob("*.py"))}
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="name", help=f"of {', '.join(known)} (all)")
    add("--page", action="store_true", help="write the pages of the figures there are")
    given = parser.parse_args()
    with complain(status=2):
        for name in given.names:
            require_choice("name", name, list(known))
        figures = read()
    wanted = [] if given.page else given.names or list(known)
    for name in wanted:
        print(f"{name}: ", end="", flush=True)
        figures[name] = tried(known[name])
        print(reached(figures[name]), flush=True)
        kept = {one: figures[one] for one in known if one in figures}
        pages.write_json(FIGURES, {"format": FORMAT, "version": VERSION, "examples": kept})
    write(figures)
    return int(any("error" in figures[name] for name in wanted))


def read() -> dict[str, Any]:
    """Return what each example has reached."""
    if not FIGURES.exists():
        return {}
    raw = read_figures(FIGURES, FORMAT, VERSION, "reproduction/integrations.py")
    return dict(raw["examples"])


# -- running --------------------------------------------------------------------------------------


def requirements(example: Path) -> list[str]:
    """Return what an example needs, as its head says."""
    head = re.search(r"^# dependencies = (\[.*\])$", example.read_text("utf-8"), re.M)
    if not head:
        raise ValueError(f'{example} must have a line like # dependencies = ["mec-gym", "torch"].')
    return list(json.loads(head[1]))


def project(requirement: str) -> str:
    """Return the project that a requirement names, without extras and versions."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def outcome(printed: str) -> dict[str, Any]:
    """Return what the last line of an example says."""
    last = printed.rstrip().rpartition("\n")[2]
    found = re.fullmatch(r"NRR (\d\.\d+) after (\d+) slots", last)
    if not found:
        raise ValueError(f"the last line must be like NRR 0.982 after 153600 slots; got {last!r}")
    return {"nrr": float(found[1]), "slots": int(found[2])}


def tried(example: Path) -> dict[str, Any]:
    """Run an example in its environment; return versions, date and its outcome, or the error."""
    needed = requirements(example)
    run: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
    }
    try:
        python = environment(needed)
        run["versions"] = versions(python, [*map(project, needed), "gymnasium"])
        with tempfile.TemporaryDirectory() as folder:  # for what the example writes
            begun = cpu_seconds()
            printed = called(python, str(example), cwd=folder)
            return run | outcome(printed) | {"seconds": round(cpu_seconds() - begun, 1)}
    except subprocess.CalledProcessError as failed:
        print(failed.stderr, file=sys.stderr)
        ended = f"it ended with status {failed.returncode}"
        return run | {"error": failed.stderr.rstrip().rpartition("\n")[2] or ended}
    except ValueError as unreadable:
        return run | {"error": str(unreadable)}


def cpu_seconds() -> float:
    """Return what ended child processes have used: other than a clock, it ignores who else runs."""
    used = os.times()
    return used.children_user + used.children_system


def environment(needed: Sequence[str]) -> str:
    """Return the interpreter of an environment that has this clone and what an example needs.

    Examples that need the same share it.
    """
    folder = ENVIRONMENTS / pages.short_hash(" ".join(sorted(needed)))
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    if not Path(python).exists():
        called(sys.executable, "-m", "venv", str(folder))
    ours = "mec-gym"  # this clone, with the extras named
    wanted = [
        f"{pages.ROOT}{one.removeprefix(ours)}" if project(one) == ours else one for one in needed
    ]
    pins = (pages.ROOT / "constraints.txt").read_text("utf-8").splitlines()
    torch = next(pin for pin in pins if pin.startswith("torch=="))  # others may take gigabytes
    called(python, "-m", "pip", "install", "--quiet", torch, "-e", *wanted)
    return python


def versions(python: str, names: Sequence[str]) -> dict[str, str]:
    """Return the installed versions of projects."""
    ask = "import json, sys; from importlib.metadata import version\n"
    ask += "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    return dict(json.loads(called(python, "-c", ask, *names)))


def called(*command: str, cwd: str | None = None) -> str:
    """Return what a command prints; CalledProcessError if it fails."""
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout


# -- pages ----------------------------------------------------------------------------------------


def reached(run: Mapping[str, Any]) -> str:
    """Return the outcome of an example in words."""
    if "error" in run:
        return f"fails: {run['error']}"
    return f"NRR {run['nrr']:.3f} after {run['slots']:,} slots, {run['seconds']:.0f} s of CPU time"


def tools(run: Mapping[str, Any]) -> str:
    """Return the versions that an example ran with."""
    found = {**run.get("versions", {}), "Python": run["python"]}
    found.pop("mec-gym", None)
    return ", ".join(f"{name} {version}" for name, version in found.items())


def write(figures: Mapping[str, Any]) -> None:
    """Put the table into the index, and what an example reached into the page that shows it."""
    table = []
    for page in sorted(INDEX.parent.glob("*.md")):
        text = page.read_text("utf-8")
        runs = {name: run for name, run in figures.items() if f"integrations/{name}.py" in text}
        if not runs or page == INDEX:
            continue
        title = text.partition("\n")[0].removeprefix("# ")
        for name, run in runs.items():
            link = f"[{title}]({page.name})"
            shown = ["fails", "", ""]
            if "nrr" in run:
                shown = [f"{run['nrr']:.3f}", f"{run['slots']:,}", f"{run['seconds']:.0f}"]
            table.append([link, f"`{name}`", *shown, tools(run), run["date"]])
        said = (
            f"`{name}.py` ({run['date']}; {tools(run)}): {reached(run)}."
            for name, run in runs.items()
        )
        put(page, pages.filled("\n\n".join(said)))
    columns = ["library", "example", "NRR", "slots", "CPU seconds", "with", "tried"]
    put(INDEX, f"{pages.head(columns)}\n{pages.rows(table)}\n\n{comparison()}")


def comparison() -> str:
    """Return a sentence on what rules reach on the slots of most examples."""
    slots, known = slot_set(Scenario.preset(SHARED), own_layout=True), rules(1)
    said = "; ".join(f"{name}: {nrr(slots, known[name]).mean():.3f}" for name in RULES)
    return pages.filled(f"Rules on the same slots of `{SHARED}`: {said}.")


def put(page: Path, text: str) -> None:
    """Put text between the marks of a page."""
    before, after = around(page, BEGIN, END)
    write_whole(page, f"{before}{BEGIN}\n\n{text}\n{END}{after}")


if __name__ == "__main__":
    raise SystemExit(main())
