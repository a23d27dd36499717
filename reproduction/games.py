"""Train MADDPG on two games whose optima are known; write the table of its page.

With a clone of maddpg-pytorch (GitHub, shariqiqbal2810/maddpg-pytorch) the same games are learned
by that implementation, too. A run that is already on disk is not repeated; delete the folder of
runs to begin anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import itertools
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import DummyVecEnv

from baselines.learners import MADDPG
from examples.cooperative_games import Regulator, TeamGame
from mec_bench.cli import complain, count
from mec_bench.system import system
from mec_gym.files import around, read_object, require_folder, write_whole
from reproduction import pages

COPIES, BATCH, NOISE = 4, 64, 0.3
"""Copies of a game, played at once with one gradient step each time; batch size; exploration."""

GAMES: dict[str, Any] = {"team": TeamGame, "regulator": Regulator}
SETTINGS: dict[str, dict[str, Any]] = {
    "team": {"steps": 8_000, "gamma": 0.0, "learning_starts": 100, "tau": 0.01},
    "regulator": {"steps": 12_000, "gamma": Regulator.GAMMA, "learning_starts": 1_000, "tau": 0.05},
}
"""Steps before the first gradient step, and how fast target networks follow, among others."""

OURS, THEIRS = "MADDPG", "maddpg-pytorch"
OWN_NOISE = f"{THEIRS} with its own noise"
NETWORKS = {"pi": [32, 32], "qf": [64, 64]}
OUR_RATE, THEIR_RATES = 0.003, (0.001, 0.01)


def main() -> None:
    """Run what is missing, then write table and figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--public", type=Path, metavar="FOLDER", help="a clone of maddpg-pytorch")
    parser.add_argument("--seeds", type=count, default=3, help="training seeds")
    parser.add_argument("--steps", type=count, help="train for so many steps instead (a test)")
    parser.add_argument("--runs", type=Path, default=Path("runs/maddpg-games"), help="for runs")
    parser.add_argument("--table", action="store_true", help="train nothing, show what there is")
    parser.add_argument("--page", type=Path, default=pages.DOCS / "algorithms/maddpg.md")
    parser.add_argument("--json", type=Path, default=pages.RESULTS / "maddpg-games.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with complain(status=2):
        require_folder(given.runs, "--runs")
        require_folder(given.json.parent, "the folder of --json")
        if given.json.is_dir():
            raise IsADirectoryError(f"--json must be a file; {given.json} is a folder.")
        around(given.page, BEGIN, END)
        commit = None if given.public is None else _commit(given.public)
    with complain():
        records = _records(given, commit)
    if not records:
        parser.error(f"no runs in {given.runs}; leave out --table to train")
    if all(record["who"] == OURS for record in records):
        print(f"no --public and no runs of {THEIRS}: the table leaves it out")
    with complain():
        _write(records, given.page, given.json)
    print(f"wrote the table of {given.page} and {given.json}")


# -- runs -----------------------------------------------------------------------------------------


def _records(given: argparse.Namespace, commit: str | None) -> list[dict[str, Any]]:
    """Return the records of all runs, after training what is missing or ran otherwise."""
    records = []
    for run in _wanted(given.seeds, given.steps, commit):
        words = "{who} {learning_rate} {game} {steps} seed {seed}".format(**run)
        file = given.runs / (words.replace(" ", "-") + ".json")
        record = read_object(file) if file.exists() else {}
        if not (run.items() <= record.items() and "share" in record):
            # Theirs can only be trained where their program is.
            if given.table or (run["who"] != OURS and commit is None):
                continue
            record = _trained(run, given.public)
            pages.write_json(file, record)
            print(f"{file.stem}: {record['share']:.3f}", flush=True)
        records.append(record)
    return records


def _wanted(seeds: int, steps: int | None, commit: str | None) -> Iterable[dict[str, Any]]:
    """Yield every run: who learns, what, how. Ours first, the others seed by seed."""
    ours = itertools.product(range(seeds), [OURS], [OUR_RATE], GAMES)
    theirs = itertools.product(range(seeds), (OWN_NOISE, THEIRS), THEIR_RATES, GAMES)
    for seed, who, rate, game in (*ours, *theirs):
        run = {"who": who, "learning_rate": rate, "game": game, "seed": seed, **SETTINGS[game]}
        run |= {"steps": steps} if steps else {}
        yield run if who == OURS or commit is None else run | {"commit": commit}


def _trained(run: dict[str, Any], public: Path | None) -> dict[str, Any]:
    begun = time.process_time()
    model: Any = ours(run) if public is None or run["who"] == OURS else Public(run, public)
    game = GAMES[run["game"]]

    def decide(observations: NDArray[Any]) -> NDArray[Any]:
        actions: NDArray[Any] = model.predict(observations, deterministic=True)[0]
        return actions

    untrained = game.share_of_optimum(decide)
    model.learn(run["steps"], log_interval=None)
    return run | {
        "untrained": untrained,
        "share": game.share_of_optimum(decide),
        "gradient_steps": model._n_updates,
        "cpu_seconds": round(time.process_time() - begun, 1),
        "system": dataclasses.asdict(system()),
    }


def ours(run: dict[str, Any]) -> MADDPG:
    """Return ours for a game, untrained."""
    game = GAMES[run["game"]]
    names = ("seed", "gamma", "learning_rate", "learning_starts", "tau")
    return MADDPG(
        env=DummyVecEnv([game] * COPIES),
        views=game.VIEWS,
        batch_size=BATCH,
        noise=NOISE,
        level_noise=0.0,
        policy_kwargs={"net_arch": NETWORKS},
        device="cpu",
        **{name: run[name] for name in names},
    )


class Public:
    """maddpg-pytorch on a game, through its public classes and in the order of its main program.

    Exploration is ours, or its own: the same in all copies of a game, correlated in time.
    """

    def __init__(self, run: dict[str, Any], folder: Path) -> None:
        algorithm, buffer = _public_classes(folder)
        set_random_seed(run["seed"])
        game = GAMES[run["game"]]
        self.run, self.views, self._n_updates = run, game.VIEWS, 0
        self.env = DummyVecEnv([game] * COPIES)
        self.env.seed(run["seed"])
        self.rng = np.random.default_rng(run["seed"])
        sizes = [len(view) for view in self.views]
        agents = [
            {"num_in_pol": size, "num_out_pol": 1, "num_in_critic": sum(sizes) + len(sizes)}
            for size in sizes
        ]
        self.model = algorithm(
            agents,
            ["MADDPG"] * len(sizes),
            gamma=run["gamma"],
            tau=run["tau"],
            lr=run["learning_rate"],
        )
        self.model.scale_noise(NOISE)
        self.replay = buffer(run["steps"] + COPIES, len(sizes), sizes, [1] * len(sizes))

    def learn(self, steps: int, log_interval: None = None) -> None:
        """Play and train to the end; a time limit is no end, so that it bootstraps there."""
        seen = np.asarray(self.env.reset())
        for step in range(COPIES, steps + COPIES, COPIES):
            actions = self._explore(seen)
            after, rewards, ended, infos = self.env.step(actions)
            after = np.asarray(after)
            pairs = zip(after, infos, strict=True)  # copies that end have been reset since
            reached = np.stack([info.get("terminal_observation", one) for one, info in pairs])
            cut = np.array([info.get("TimeLimit.truncated", False) for info in infos])
            self._push(seen, actions, rewards, reached, ended & ~cut)
            seen = after
            if step > self.run["learning_starts"]:
                self._improve()

    def _explore(self, seen: NDArray[Any]) -> NDArray[Any]:
        if self.run["who"] == OWN_NOISE:
            return self.predict(seen, deterministic=False)[0]
        noise = self.rng.normal(0.0, NOISE, (COPIES, len(self.views)))
        return np.clip(self.predict(seen)[0] + noise, -1.0, 1.0)

    def _push(self, seen: Any, actions: Any, rewards: Any, following: Any, final: Any) -> None:
        everyone = (1, len(self.views))
        self.replay.push(
            np.stack([seen[:, view] for view in self.views], axis=1),
            [actions[:, [agent]] for agent in range(len(self.views))],
            np.tile(rewards[:, None], everyone),
            np.stack([following[:, view] for view in self.views], axis=1),
            np.tile(final[:, None], everyone),
        )

    def _improve(self) -> None:
        self.model.prep_training(device="cpu")
        for agent in range(len(self.views)):
            self.model.update(self.replay.sample(BATCH), agent)
        self.model.update_all_targets()
        self._n_updates += 1

    def predict(
        self, observations: NDArray[Any], deterministic: bool = True
    ) -> tuple[NDArray[Any], None]:
        """Return the actions of all, and no state, as ours does."""
        self.model.prep_rollouts(device="cpu")
        table = torch.as_tensor(observations, dtype=torch.float32)
        with torch.no_grad():
            seen = [table[:, view] for view in self.views]
            actions = self.model.step(seen, explore=not deterministic)
        return np.asarray(torch.cat(actions, dim=1)), None


def _public_classes(folder: Path) -> tuple[Any, Any]:
    """Import the algorithm and its replay buffer from a clone."""
    # Old names: of Gymnasium, and of a function of PyTorch that has got an underscore.
    sys.modules.setdefault("gym", gymnasium)
    sys.modules.setdefault("gym.spaces", gymnasium.spaces)
    torch.nn.utils.clip_grad_norm = torch.nn.utils.clip_grad_norm_
    if str(folder.resolve()) not in sys.path:
        sys.path.insert(0, str(folder.resolve()))
    algorithm = importlib.import_module("algorithms.maddpg").MADDPG
    return algorithm, importlib.import_module("utils.buffer").ReplayBuffer


def _commit(folder: Path) -> str:
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode or not (folder / "algorithms" / "maddpg.py").is_file():
        raise ValueError(f"--public must be a clone of {THEIRS}; {folder} is none.")
    return done.stdout.strip()


# -- the page -------------------------------------------------------------------------------------

BEGIN, END = "<!-- games: written by `reproduction/games.py` -->\n", "<!-- end of games -->"


def _write(records: list[dict[str, Any]], page: Path, figures: Path) -> None:
    raw = {"format": "mec-gym/maddpg-games", "version": 2, "selfish": selfish(), "runs": records}
    pages.write_json(figures, raw)
    before, after = around(page, BEGIN, END)
    write_whole(page, f"{before}{BEGIN}{table(records)}{END}{after}")


def table(records: Sequence[dict[str, Any]]) -> str:
    """Return the table of runs, with its caption."""
    steps = {record["game"]: record["steps"] for record in records}
    runs: dict[tuple[str, float], dict[str, list[float]]] = {}
    for one in records:
        of = runs.setdefault((one["who"], one["learning_rate"]), {game: [] for game in GAMES})
        of[one["game"]].append(one["share"])
    return pages.render(
        "games.md.j2",
        heads=[f"{game}, {steps.get(game, SETTINGS[game]['steps']):,} steps" for game in GAMES],
        rows=[
            [f"{who}, learning rate {rate:g}", *map(_cell, of.values())]
            for (who, rate), of in runs.items()
        ],
        selfish=_shown(selfish()),
        commits=sorted({record["commit"][:7] for record in records if record["who"] != OURS}),
        games=SETTINGS,
        copies=COPIES,
        batch=BATCH,
        noise=NOISE,
        networks={key: " × ".join(map(str, sizes)) for key, sizes in NETWORKS.items()},
        theirs=THEIRS,
    )


def selfish() -> float:
    """Return what the team gets where every agent plays as if it were alone."""
    return TeamGame.share_of_optimum(lambda signals: signals * TeamGame.selfish_rules())


def _cell(shares: Sequence[float]) -> str:
    every = ", ".join(map(_shown, shares))
    return f"{_shown(float(np.mean(shares)))} ({every})" if shares else ""


def _shown(share: float) -> str:
    return (f"{share:.3f}" if abs(share) < 1.0 else f"{share:.1f}").replace("-", "−")


if __name__ == "__main__":
    main()
