"""What an env's future depends on, read from and written to Stable-Baselines3's vector envs."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, unwrap_vec_wrapper

from mec_gym.envs.sb3 import SB3VecEnv

_COUNTERS = ("_elapsed_steps", "rewards", "needs_reset")
"""What a TimeLimit and a Monitor around a single env remember of the running episode."""

_MONITOR_COUNTERS = ("episode_returns", "episode_lengths", "episode_count")
"""What a VecMonitor remembers."""


def env_state(env: VecEnv) -> dict[str, Any]:
    """Return all that the future of an env depends on.

    Parameters
    ----------
    env : VecEnv
        Copies of a MultiMEC env.

    Returns
    -------
    dict
        Plain numbers, strings and arrays.

    Examples
    --------
    >>> from mec_gym.envs.sb3 import make_sb3_vec_env
    >>> envs = make_sb3_vec_env("paper-30x2", n_envs=2, seed=0)
    >>> _ = envs.reset()
    >>> sorted(env_state(envs))
    ['monitor', 'native']
    """
    state: dict[str, Any] = {"monitor": None}
    monitor = unwrap_vec_wrapper(env, VecMonitor)
    if monitor is not None:
        state["monitor"] = {name: np.array(getattr(monitor, name)) for name in _MONITOR_COUNTERS}
    native = unwrapped(env)
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
    """Bring an env to where another was, episodes under way included.

    Parameters
    ----------
    env : VecEnv
        As many copies of an equal scenario, wrapped alike.
    state : mapping
        From :func:`env_state`.

    Raises
    ------
    ValueError
        If the env differs in kind, number of copies or scenario.

    Examples
    --------
    >>> from mec_gym.envs.sb3 import make_sb3_vec_env
    >>> envs = make_sb3_vec_env("paper-30x2", n_envs=2, seed=0)
    >>> _ = envs.reset()
    >>> set_env_state(envs, env_state(envs))
    """
    env.reset()
    native = unwrapped(env)
    if isinstance(native, SB3VecEnv) != ("native" in state):
        raise ValueError(
            "the model was trained on the other kind of vector env (native batch or single envs): "
            "give the same kind to continue exactly, or force_reset=True to begin new episodes."
        )
    if isinstance(native, SB3VecEnv):
        venv: Any = native.venv.unwrapped
        venv.set_state(state["native"])
    else:
        copies = state["copies"]
        if len(copies) != env.num_envs:
            raise ValueError(f"the model was trained on {len(copies)} copies; got {env.num_envs}.")
        for index, copy in enumerate(copies):
            env.env_method("set_state", copy["world"], indices=index)
            for name in _COUNTERS:
                if name in copy and env.has_attr(name):
                    # On the wrapper that has it, not on the outermost one.
                    env.env_method("set_wrapper_attr", name, copy[name], indices=index)
    monitor = unwrap_vec_wrapper(env, VecMonitor)
    if monitor is not None and state["monitor"] is not None:
        for name, value in state["monitor"].items():
            setattr(monitor, name, value.copy() if value.ndim else int(value))


def unwrapped(env: VecEnv) -> VecEnv:
    """Return the vector env inside its wrappers.

    Parameters
    ----------
    env : VecEnv
        Any.

    Returns
    -------
    VecEnv

    Examples
    --------
    >>> from mec_gym.envs.sb3 import make_sb3_vec_env
    >>> envs = make_sb3_vec_env("paper-30x2")
    >>> unwrapped(VecMonitor(envs)) is envs
    True
    """
    while hasattr(env, "venv") and isinstance(env.venv, VecEnv):
        env = env.venv
    return env


def episode_infos(buffer: deque[Any] | None) -> list[dict[str, float]]:
    """Return the statistics of finished episodes as plain numbers.

    Parameters
    ----------
    buffer : deque or None
        Stable-Baselines3's ``ep_info_buffer``.

    Returns
    -------
    list of dict

    Examples
    --------
    >>> episode_infos(deque([{"r": np.float32(1.0), "l": 3}]))
    [{'r': 1.0, 'l': 3.0}]
    """
    return [{key: float(value) for key, value in info.items()} for info in buffer or ()]
