"""Train the models that come with the package, and write their weights and cards.

python -m reproduction.pretrained                             # all of them
python -m reproduction.pretrained dirs-prices-paper-30x2      # one
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mec_bench import Result, RunFolder, Settings, algorithm, train
from mec_bench.cards import FORMAT, MODELS, VERSION
from mec_bench.cli import complain
from mec_bench.launching import limit_threads
from mec_gym import Scenario
from mec_gym.evaluation import estimate
from mec_gym.files import replacing, require_folder
from reproduction import pages
from reproduction.pages import rounded

SHIPPED: Mapping[str, Mapping[str, Any]] = {
    "dirs-prices-paper-30x2": {
        "algorithm": "dirs:prices", "scenario": "paper-30x2", "timesteps": 1000
    },
    "dirs-prices-unequal-200x10": {
        "algorithm": "dirs:prices", "scenario": "unequal-200x10", "timesteps": 1000
    },
    "mappo-unequal-200x10": {
        "algorithm": "mappo", "scenario": "unequal-200x10", "timesteps": 5000
    },
    "mappo-crowd-30x4": {
        "algorithm": "mappo", "scenario": "crowd-30x4", "timesteps": 24_000
    },
}  # fmt: skip
"""By name, fields of :class:`mec_bench.Settings`; the seed is 0, which nobody has chosen."""


def settings_of(name: str) -> Settings:
    """Return the settings that a model is trained by."""
    fields = dict(SHIPPED[name])
    return Settings(**fields | {"scenario": Scenario.preset(fields["scenario"])})


def main() -> int:
    """Train what is asked for, and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SHIPPED)}")
    parser.add_argument("--runs", type=Path, default=Path("runs/pretrained"), help="for training")
    parser.add_argument("--out", type=Path, default=MODELS, help="folder to write to")
    given = parser.parse_args()
    if unknown := set(given.names) - set(SHIPPED):
        parser.error(f"NAME must be one of {', '.join(SHIPPED)}; got {', '.join(unknown)}")
    limit_threads(1)
    with complain(status=2):
        require_folder(given.out)
        require_folder(given.runs, "--runs")
    with complain():
        for name in given.names or SHIPPED:
            print("wrote", *made(name, given.runs, given.out), flush=True)
    return 0


def made(name: str, runs: Path, out: Path) -> tuple[Path, Path]:
    """Train a model, going on with its run; write weights and card; return their files."""
    settings = settings_of(name)
    folder = RunFolder(runs / settings.place)
    result = train(settings, folder.path)
    chosen = algorithm(settings.algorithm, settings.arguments)
    weights, card = out / f"{name}.zip", out / f"{name}.json"
    model = chosen.load(folder.model, device=settings.device)
    with replacing(weights) as partial:
        model.save(partial, exclude={"training"})
    pages.write_json(card, card_of(name, settings, result))
    return weights, card


def card_of(name: str, settings: Settings, result: Result) -> dict[str, Any]:
    """Return a model's card, as :class:`mec_bench.Card` reads it."""
    score = np.asarray(result.slots.score)
    by_layout = score.reshape(len(score), -1)
    reached = estimate(by_layout)
    return {
        "format": FORMAT,
        "version": VERSION,
        "settings": settings.to_mapping(),
        "figure": {
            "measure": result.measure.key,
            "mean": rounded(reached.mean),
            "low": rounded(reached.low),
            "high": rounded(reached.high),
            "by_layout": [rounded(float(value)) for value in by_layout.mean(axis=1)],
        },
        "evaluation": dataclasses.asdict(result.evaluation),
        "system": dataclasses.asdict(result.system),
        "regenerate": f"python -m reproduction.pretrained {name}",
    }


if __name__ == "__main__":
    raise SystemExit(main())
