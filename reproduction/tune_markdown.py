"""Find the markdown of price-posting agents: what part of their price they should ask for.

Writes docs/dirs-markdown.md. Agents are trained once per preset, on a seed that no result uses,
and measured with each markdown on slots that no result uses, either.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import argparse  # noqa: E402
from pathlib import Path  # noqa: E402

import gymnasium as gym  # noqa: E402
import torch  # noqa: E402

import mec_gym  # noqa: E402
from dirs_agents import DIRS, options  # noqa: E402
from mec_bench.cli import complain, count  # noqa: E402
from mec_gym import Scenario  # noqa: E402
from mec_gym.evaluation import decide_with, nrr, slot_set  # noqa: E402
from mec_gym.files import require_folder, write_whole  # noqa: E402

MARKDOWNS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
PRESETS = (
    "paper-30x2",
    "paper-180x8",
    "paper-200x10",
    "bandlimited-200x10",
    "unequal-200x10",
    "relocating-200x10",
)
SEED = 1_000
HEADER = """# The markdown of price-posting agents

Written by `reproduction/tune_markdown.py`; do not edit. With admission, scores use a part of the
price (`markdown`): NRR by that part, before and after imitation, on {slots} tuning slots, one
training seed ({seed}). The default is the part whose worst preset after imitation is best: {best}.

"""


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layouts", type=count, default=20, help="batches of five slots")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the page")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with complain(status=2):
        require_folder(given.out)
    with complain(stopped="Nothing is kept: the page is written when all is measured."):
        print("wrote", _tuned(given.layouts, given.out))


def _tuned(layouts: int, out: Path) -> Path:
    """Train, measure, write; return the page's place."""
    rows: list[tuple[str, str, list[float]]] = []
    trained = []
    for preset in PRESETS:
        untrained, imitated = _measured(Scenario.preset(preset), layouts)
        rows += [(preset, "untrained", untrained), (preset, "after imitation", imitated)]
        trained.append(imitated)
        print(preset, imitated, flush=True)
    worst = [min(column) for column in zip(*trained, strict=True)]
    best = MARKDOWNS[worst.index(max(worst))]
    lines = ["| NRR | stage | " + " | ".join(map(str, MARKDOWNS)) + " |", "|---" * 8 + "|"]
    for preset, stage, values in rows:
        lines.append(f"| {preset} | {stage} | " + " | ".join(f"{v:.4f}" for v in values) + " |")
    page = out / "dirs-markdown.md"
    header = HEADER.format(slots=5 * layouts, seed=SEED, best=best)
    write_whole(page, header + "\n".join(lines) + "\n")
    return page


def _measured(scenario: Scenario, layouts: int) -> tuple[list[float], list[float]]:
    fixed = scenario.layout == "fixed"
    slots = slot_set(scenario, own_layout=fixed, n_layouts=layouts, slots_per_layout=5, seed=SEED)
    model = DIRS(env=gym.make(mec_gym.ENV_ID, scenario=scenario), **options("prices", seed=SEED))
    found = []
    for _ in range(2):
        values = []
        for markdown in MARKDOWNS:
            model.policy.bank.markdown = markdown
            values.append(float(nrr(slots, decide_with(model)).mean()))
        found.append(values)
        model.learn(0)
    return found[0], found[1]


if __name__ == "__main__":
    main()
