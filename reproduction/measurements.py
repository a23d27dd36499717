"""What Section V measures beside its runs: imitation, curves, the searches of Fig. 4 and Table V.

Functions of keyword arguments that JSON can hold, a seed among them, to values that it can; the
seed is that of the run and of its map.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger

from dirs_agents import DIRS
from dirs_agents.hyperparameters import demonstration_search
from dirs_agents.labels import demonstrate, demonstration_slots
from dirs_agents.levy_search import LevySearch, levy_search
from mec_bench.measuring import SLOTS_PER_LAYOUT, decisions_of, figures, frozen_slots
from mec_bench.registry import algorithm
from mec_bench.run import Settings
from mec_bench.training import make_env
from mec_gym import solve
from reproduction.pages import rounded
from reproduction.paper import MEDIUM, scenario_of

_HELD_OUT_SEED, _REFINED_SEED = 77_000_000, 88_000_000
"""Of slots that agents are tested on, and that Fig. 4 refines; training draws seeds below 2^31 at
random."""

STEP_SCALES = (0.001, 0.01, 0.1)
"""η of eq. (18) that the classic search tries; the paper prints none."""

_KEPT, _POINTS = 40, 60
"""Of a long history; of a curve of rewards."""


def build(seed: int, arguments: Mapping[str, Any], *, timesteps: int = 0) -> DIRS:
    """Return DIRS with the paper's options, and `arguments`, in the medium system, untrained."""
    settings = Settings(
        algorithm="dirs",
        scenario=scenario_of(MEDIUM, layout_seed=seed),
        timesteps=timesteps,
        seed=seed,
        arguments=arguments,
    )
    chosen = algorithm("dirs", arguments)
    model: DIRS = chosen.build(make_env(settings, chosen), seed=seed, device="cpu")
    return model


# -- Table II --------------------------------------------------------------------------------------


def imitation(
    *,
    seed: int,
    sizes: Sequence[int],
    held_out: int,
    sources: Sequence[str],
    arguments: Mapping[str, Any],
) -> dict[str, Any]:
    """Return Table II's accuracies, and how often two searches of the same slot agree."""
    model = build(seed, arguments)
    observations, slots = demonstration_slots(model.scenario, held_out, _HELD_OUT_SEED + seed)
    # Where Algorithm 2's search begins: the untrained ensemble's decision.
    start, _ = model.predict(observations, deterministic=True)

    def labels(source: str, part: int) -> NDArray[np.int64]:
        rng, search = np.random.default_rng([seed, part]), demonstration_search(model)
        return demonstrate(model.scenario, slots, start, rng, source=source, search=search)

    rows = []
    losses = {"L1": model.l2_weight, "LD": 0.0}
    for source in sources:
        wanted = labels(source, 0)
        for size, loss in itertools.product(sizes, losses):
            chosen = {"demonstrations": source, "n_demonstrations": size}
            taught = build(seed, {**arguments, **chosen, "l2_weight": losses[loss]}).learn(0)
            pairs = taught.replay_buffer.get_state()
            seen = pairs["observations"], pairs["assignments"].astype(np.int64)
            reached = {
                "training": accuracies(taught, *seen),
                "testing": accuracies(taught, observations, wanted),
            }
            rows.append({"source": source, "demonstrations": size, "loss": loss, **reached})
    first, second = labels("levy", 0), labels("levy", 1)
    bits = [_bits(one, model.scenario.n_servers) for one in (first, second)]
    agreement = {"bits": _share(bits[0] == bits[1]), "vote": _share(first == second)}
    return {"rows": rows, "agreement": agreement}


def accuracies(
    model: DIRS, observations: NDArray[np.float32], assignments: NDArray[np.int64]
) -> dict[str, float]:
    """Return the shares of bits (score >= 0.5) and of votes that agree with assignments (K, N)."""
    with torch.inference_mode():
        columns = model.policy.columns(torch.as_tensor(observations))
        decisions, scores = model.policy.decide(columns)
    claims = scores.cpu().numpy() >= 0.5
    return {
        "bits": _share(claims == _bits(assignments, claims.shape[1])),
        "vote": _share(decisions.cpu().numpy() == assignments),
    }


def _share(right: NDArray[np.bool_]) -> float:
    return rounded(float(right.mean()))


def _bits(assignments: NDArray[np.int64], n_servers: int) -> NDArray[np.bool_]:
    """Return a_ij, shape (K, M, N)."""
    return np.asarray(assignments[:, None] == np.arange(1, n_servers + 1)[:, None])


# -- Figs. 3 and 5 ---------------------------------------------------------------------------------


def losses(*, seed: int, slots: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return losses per device [nat], without their λ1 term, over gradient steps.

    L_D + λ2 L_A of every agent, and L_D alone, the mean of all agents.
    """
    model = build(seed, arguments, timesteps=slots)
    writer = _Losses(model.scenario.n_devices)
    model.set_logger(Logger(None, [writer]))
    model.learn(0, log_interval=None)
    pretraining = len(writer.points)
    model.learn(slots, log_interval=model.train_interval, reset_num_timesteps=False)
    # mec_10 comes after mec_2.
    names = {name for point in writer.points for name in point} - {_L_D}
    agents = sorted(names, key=lambda name: (len(name), name))
    return {
        "steps": writer.steps,
        "losses": [[rounded(point[name]) for point in writer.points] for name in agents],
        "demonstrations": [rounded(point[_L_D]) for point in writer.points],
        "pretraining": pretraining,
    }


_L_D = "demonstration_loss"


class _Losses(KVWriter):
    """Keeps the losses of agents, and of demonstrations, that a model logs."""

    def __init__(self, n_devices: int) -> None:
        self.points: list[dict[str, float]] = []
        self.steps: list[int] = []
        self._n_devices = n_devices

    def write(
        self,
        key_values: dict[str, Any],
        key_excluded: Mapping[str, tuple[str, ...]],
        step: int = 0,
    ) -> None:
        """Take what is logged at once."""
        del key_excluded
        found = {
            key.split("/")[1]: float(value) / self._n_devices
            for key, value in key_values.items()
            if "/loss_mec_" in key or key.endswith(f"/{_L_D}")
        }
        if found:
            self.points.append(found)
            # In Algorithm 2 the logger's step counts gradient steps, online it counts slots.
            self.steps.append(int(key_values.get("train/n_updates", step)))

    def close(self) -> None:
        """Do nothing: there is no file."""


def rewards(*, seed: int, slots: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return means of the reward 1/ΣΦ over equal parts of training, and the final NRR."""
    model = build(seed, arguments, timesteps=slots)
    watch = _Rewards()
    model.learn(slots, callback=watch, log_interval=None)
    parts = np.array_split(np.array(watch.rewards), min(_POINTS, slots))
    frozen = frozen_slots(model.scenario)
    reached = figures(frozen, decisions_of(model, model.scenario)(frozen.observations("db")))
    return {
        "slots": np.cumsum([len(part) for part in parts]).tolist(),
        "rewards": [rounded(float(part.mean())) for part in parts],
        "nrr": rounded(float(np.mean(reached.nrr))),
    }


class _Rewards(BaseCallback):
    """Keeps the paper's reward of every slot."""

    def __init__(self) -> None:
        super().__init__()
        self.rewards: list[float] = []

    def _on_step(self) -> bool:
        self.rewards += [1.0 / float(info["objective"]) for info in self.locals["infos"]]
        return True


# -- Fig. 4 ----------------------------------------------------------------------------------------


def refinement(
    *,
    seed: int,
    slots: int,
    generations: Sequence[int],
    parts: Sequence[Mapping[str, str]],
    arguments: Mapping[str, Any],
) -> dict[str, Any]:
    """Return mean objectives over the generations of Fig. 4's searches: γ of eq. (21) has G_max."""
    model = build(seed, arguments).learn(0)
    scenario = model.scenario
    observations, drawn = demonstration_slots(scenario, slots, _REFINED_SEED + seed)
    rng = np.random.default_rng([seed, 4])
    starts = {
        "random": rng.integers(scenario.n_servers + 1, size=drawn.gains.shape[:-1]),
        "imitation": model.predict(observations, deterministic=True)[0],
    }
    kinds: list[Mapping[str, Any]] = [{"method": "levy", "step_scale": 0.01}]
    kinds += [{"method": "classic-levy", "step_scale": eta} for eta in STEP_SCALES]
    curves = []
    apart = [{"method": "levy", **part} for part in parts]
    for searches, stream in ((kinds, rng), (apart, np.random.default_rng([seed, 5]))):
        for start, count, kind in itertools.product(starts, generations, searches):
            settings = LevySearch(generations=count, **kind)
            found = levy_search(scenario, drawn, starts[start], stream, settings)
            kept = _kept(count)
            history = [rounded(value) for value in found.history.mean(1)[kept]]
            points = {"limit": count, "generations": kept, "objective": history}
            curves.append({"start": start, **kind, **points})
    optimum = float(np.mean(solve(scenario, drawn).lower_bound))
    return {"optimum": rounded(optimum), "curves": curves}


def _kept(count: int) -> list[int]:
    """Return the generations to keep, evenly on a logarithmic scale."""
    spread = np.geomspace(1, count + 1, min(_KEPT, count + 1))
    return sorted({round(value) - 1 for value in spread.tolist()})


# -- Tables IV and V -------------------------------------------------------------------------------


def search(
    *, seed: int, system: str, name: str, slots: int, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a particle swarm or differential evolution reaches on the first frozen slots."""
    scenario = scenario_of(system, layout_seed=seed)
    frozen = frozen_slots(scenario, layouts=max(slots // SLOTS_PER_LAYOUT, 1))
    chosen = algorithm(name, arguments)
    settings = Settings(algorithm=name, scenario=scenario, timesteps=0, seed=seed)
    model = chosen.build(make_env(settings, chosen), seed=seed)
    begun = time.perf_counter()
    decisions = decisions_of(model, scenario)(frozen.observations("db"))
    seconds = (time.perf_counter() - begun) / len(decisions)
    means = {
        key: rounded(float(np.mean(rows))) for key, rows in vars(figures(frozen, decisions)).items()
    }
    return means | {"decision_s": rounded(seconds)}


def optimum(*, seed: int, system: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mean optimum of a system with other settings, over 20 frozen slots."""
    frozen = frozen_slots(scenario_of(system, layout_seed=seed, **changes), layouts=4)
    return {"lower_bound": rounded(float(frozen.lower_bound.mean()))}


KINDS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "imitation": imitation,
    "losses": losses,
    "optimum": optimum,
    "refinement": refinement,
    "rewards": rewards,
    "search": search,
}
"""By the names that jobs and raw results use."""
