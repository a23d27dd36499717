"""Measure the simple rules on every preset and write docs/regimes.md and docs/regimes.json."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from baselines.regimes import Regime, measure_regime, regime_table, verdict
from mec_bench.cli import complain, count
from mec_bench.system import system
from mec_gym import Scenario
from mec_gym.evaluation import Estimate
from mec_gym.files import around, read_figures, require_folder, write_whole

HEADER = """# Regimes: what simple rules reach on every preset

Written by `make regimes`; do not edit. NRR is the optimum over a rule's objective in the same
slot (1 is perfect), the mean over {slots} slots: {layouts} layouts, each a map of its own, with
{per} slots each (metro: {metro} with {per}), ± half of the 95 % interval over layouts (Student's
t). Pages that measure learners stay on the one map of a preset, where rules may rank otherwise. The
quota and the posted prices are chosen on other slots of other layouts. With all rules but greedy
and the optimum a server looks at its own gains only; posted prices put what coordination there is
into one constant per server.
Each slot shows a rule one layout, so relocating-200x10 equals bandlimited-200x10 here: it is
harder for learners only, which cannot learn one map by heart. "Proven" says that the solver's
bound met its decision in every slot measured.

The paper's Table III implies a mean optimum of 281.6 for 180 devices and 8 servers (295.27 times
0.9536). The mean optimal objective of paper-180x8 below is 1 % higher or less, and no policy can
undercut it with the parameters as printed: the paper's transmissions must have cost less than
8e5 bit over 1 MHz do.

"""
FORMAT, VERSION = "mec-gym/regimes", 2
METRO_LAYOUTS = 3
README = Path(__file__).resolve().parents[1] / "README.md"
LEFT_OUT = ("metro", "relocating")
"""The start of names of presets without a column in README.md: too large, or nothing new there."""
UNSHOWN = ("| optimum", "| *quota*", "| *mean optimal objective*", "| *optimum*")
"""Starts of rows that separate no policies."""
BEGIN, END = "<!-- regimes: written by `make regimes` -->\n", "<!-- end of regimes -->"


def main() -> None:
    """Measure, write, say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layouts", type=count, default=20, help="layouts per preset")
    parser.add_argument("--slots", type=count, default=5, help="slots per layout")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder to write to")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md, too")
    parser.add_argument(
        "--page", action="store_true", help="write the page of --out's regimes.json"
    )
    options = parser.parse_args()
    figures = options.out / "regimes.json"
    with complain(status=2):
        require_folder(options.out)
        if options.readme:
            around(README, BEGIN, END)
        if options.page:
            _write(_read(figures), options)
            return
    with complain(stopped="Nothing is kept: figures are written when all presets are measured."):
        raw = {
            "format": FORMAT,
            "version": VERSION,
            "system": dataclasses.asdict(system()),
            "regimes": [dataclasses.asdict(regime) for regime in _measured(options)],
        }
        write_whole(figures, json.dumps(raw, indent=1) + "\n")
        _write(_read(figures), options)


def _write(regimes: Sequence[Regime], options: argparse.Namespace) -> None:
    """Write the page and, if asked for, the table of README.md."""
    page = options.out / "regimes.md"
    write_whole(page, _page(regimes))
    print(f"wrote {page}")
    if options.readme:
        before, after = around(README, BEGIN, END)
        write_whole(README, f"{before}{BEGIN}{_readme_table(regimes)}\n{END}{after}")
        print(f"put the table into {README.name}")


def _measured(options: argparse.Namespace) -> Iterator[Regime]:
    for name in Scenario.presets():
        begun = time.perf_counter()
        layouts = min(METRO_LAYOUTS, options.layouts) if "metro" in name else options.layouts
        yield measure_regime(
            Scenario.preset(name), n_layouts=layouts, slots_per_layout=options.slots
        )
        print(f"{name}: {time.perf_counter() - begun:.1f} s", flush=True)


def _read(figures: Path) -> list[Regime]:
    """Return the regimes that a file of raw figures holds."""
    if not figures.exists():
        raise FileNotFoundError(f"there is no {figures}: leave out --page to measure.")
    content = read_figures(figures, FORMAT, VERSION, "reproduction/regimes.py")
    try:
        regimes = [_regime(one) for one in content["regimes"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{figures} is damaged ({error!r}): leave out --page to measure."
        ) from error
    if not regimes:
        raise ValueError(f"{figures} holds no regimes: leave out --page to measure.")
    return regimes


def _regime(raw: dict[str, Any]) -> Regime:
    """Return a regime from its figures."""
    nrr = {rule: Estimate(**found) for rule, found in raw["nrr"].items()}
    return Regime(**raw | {"nrr": nrr, "optimum": Estimate(**raw["optimum"])})


def _page(regimes: Sequence[Regime]) -> str:
    header = HEADER.format(
        slots=regimes[0].n_layouts * regimes[0].slots_per_layout,
        layouts=regimes[0].n_layouts,
        per=regimes[0].slots_per_layout,
        metro=METRO_LAYOUTS,
    )
    verdicts = "\n".join(f"- {verdict(regime)}" for regime in regimes)
    return f"{header}{regime_table(regimes)}\n\n{verdicts}\n"


def _readme_table(regimes: Sequence[Regime]) -> str:
    """Return the table of README.md: each scenario once, and what separates its policies."""
    table = regime_table([one for one in regimes if not one.name.startswith(LEFT_OUT)])
    return "\n".join(line for line in table.splitlines() if line.split(" | ")[0] not in UNSHOWN)


if __name__ == "__main__":
    main()
