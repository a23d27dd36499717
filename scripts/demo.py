"""The demo: the regime table as measured now, and a picture of one slot."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

import mec_gym
from baselines.regimes import measure_regime, regime_table
from mec_gym import Scenario
from mec_gym.envs.offloading import MultiMECEnv

SHOWN = [name for name in Scenario.presets() if not name.startswith("metro")]


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layouts", type=int, default=6, help="layouts per preset")
    parser.add_argument("--slots", type=int, default=3, help="slots per layout")
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="folder to write to")
    options = parser.parse_args()
    begun = time.perf_counter()
    count = options.layouts * options.slots
    print(
        f"mec_gym {mec_gym.__version__}: simple rules against the optimum, mean NRR = optimum / "
        f"objective over {count} slots of each preset (1 is perfect)\n",
        flush=True,
    )
    regimes = [
        measure_regime(
            Scenario.preset(name), n_layouts=options.layouts, slots_per_layout=options.slots
        )
        for name in SHOWN
    ]
    print(_aligned(regime_table(regimes, intervals=False)))
    print(
        "\nquota: devices a server takes, tuned on other slots. admission limit: a server takes "
        "devices, best gains first,\nonly while each would still get at least its own CPU speed. "
        "proven: the bound met the decision in every slot.\n"
        "More slots, intervals and what they say about each preset: docs/regimes.md"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    picture = options.out / "slot.png"
    _draw_slot(picture)
    print(f"\nOne slot of unequal-200x10 under the solver's decision: {picture}")
    print(f"Everything above was measured now, in {time.perf_counter() - begun:.0f} s.")


def _aligned(table: str) -> str:
    """Return a Markdown table with its columns padded for a terminal."""
    plain = [line for line in table.replace("*", "").splitlines() if "---" not in line]
    rows = [line.strip("|").split("|") for line in plain]
    widths = [max(len(row[i].strip()) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.strip().ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _draw_slot(path: Path) -> None:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    env = MultiMECEnv("unequal-200x10", optimum=True, render_mode="rgb_array")
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(30):
        # A few devices stray from the optimum, so that the history shows a gap.
        best = mec_gym.solve(env.scenario, env.slot).assignment
        stray = rng.random(best.shape) < 0.02 * rng.random()
        env.step(np.where(stray, rng.integers(0, 11, best.shape), best))
    env.step(mec_gym.solve(env.scenario, env.slot).assignment)
    frame = np.asarray(env.render())
    pygame.image.save(pygame.surfarray.make_surface(frame.swapaxes(0, 1)), str(path))
    env.close()


if __name__ == "__main__":
    main()
