"""What an env's future depends on, read from and written to Stable-Baselines3's vector envs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, unwrap_vec_wrapper

from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.envs.sb3 import SB3VecEnv

_COUNTERS = ("_elapsed_steps", "rewards", "needs_reset")
"""What a TimeLimit and a Monitor around a single env remember of the running episode."""

_MONITOR_COUNTERS = ("episode_returns", "episode_lengths", "episode_count")
"""What a VecMonitor remembers."""


def env_state(env: VecEnv) -> dict[str, Any]:
    """Return all that the future of an env depends on."""
    state: dict[str, Any] = {"monitor": None}
    monitor = unwrap_vec_wrapper(env, VecMonitor)
    if monitor is not None:
        state["monitor"] = {name: np.array(getattr(monitor, name)) for name in _MONITOR_COUNTERS}
    native = env.unwrapped
    if isinstance(native, SB3VecEnv):
        venv: Any = native.venv.unwrapped
        return state | {"native": venv.get_state()}
    copies = [{"world": world} for world in env.env_method("get_state")]
    for name in _COUNTERS:
        # Not by trying: a worker process dies of an attribute that is not there.
        if env.has_attr(name):
            for copy, value in zip(copies, env.get_attr(name), strict=True):
                copy[name] = list(value) if isinstance(value, list) else value
    return state | {"copies": copies}


def set_env_state(env: VecEnv, state: Mapping[str, Any]) -> None:
    """Bring an env to where another was, episodes under way included, or refuse it unchanged."""
    _require_fitting(env, state)
    env.reset()
    native = env.unwrapped
    if isinstance(native, SB3VecEnv):
        venv: Any = native.venv.unwrapped
        venv.set_state(state["native"])
    else:
        for index, copy in enumerate(state["copies"]):
            env.env_method("set_state", copy["world"], indices=index)
            for name in _COUNTERS:
                if name in copy and env.has_attr(name):
                    # On the wrapper that has it, not on the outermost one.
                    env.env_method("set_wrapper_attr", name, copy[name], indices=index)
    monitor = unwrap_vec_wrapper(env, VecMonitor)
    if monitor is not None and state["monitor"] is not None:
        for name, value in state["monitor"].items():
            setattr(monitor, name, value.copy() if value.ndim else int(value))


def _require_fitting(env: VecEnv, state: Mapping[str, Any]) -> None:
    native = env.unwrapped
    if isinstance(native, SB3VecEnv) != ("native" in state):
        raise ValueError(
            "the model was trained on the other kind of vector env (native batch or single envs): "
            "give the same kind to continue exactly, or force_reset=True to begin new episodes."
        )
    if isinstance(native, SB3VecEnv):
        venv: Any = native.venv.unwrapped
        venv.set_state(state["native"])  # all of it or nothing; the reset to come undoes it
        return
    copies = state["copies"]
    if len(copies) != env.num_envs:
        raise ValueError(f"the model was trained on {len(copies)} copies; got {env.num_envs}.")
    for scenario, copy in zip(env.get_attr("scenario"), copies, strict=True):
        MultiMECEnv(scenario).set_state(copy["world"])
