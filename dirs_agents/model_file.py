"""What a DIRS model file holds, and the way back into a model."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dirs_agents.continuation import env_state, episode_infos, set_env_state
from dirs_agents.hyperparameters import HYPERPARAMETERS
from mec_gym.validation import require_known

PARTS = ("training", "env")
"""What :meth:`~dirs_agents.DIRS.save` may leave out."""

_COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates", "_episode_num", "pretrained")


def model_content(model: Any, *, left_out: set[str]) -> dict[str, Any]:
    """Return what a file needs to hold of a model.

    Parameters
    ----------
    model : DIRS
        Set up.
    left_out : set of str
        "training": all but the weights; "env": the env's state.

    Returns
    -------
    dict
        For :func:`dirs_agents.storage.write_model`.

    Raises
    ------
    FloatingPointError
        If a weight is not finite.
    TypeError
        For an unknown part.
    """
    require_known("part to exclude", left_out, PARTS)
    for name, parameter in model.policy.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise FloatingPointError(
                f"the model is not saved: {name} is not finite at slot {model.num_timesteps}."
            )
    hyperparameters = {name: getattr(model, name) for name in HYPERPARAMETERS}
    if callable(hyperparameters["learning_rate"]):
        # A function is code: who loads the file gives it again.
        hyperparameters["learning_rate"] = None
    content = {
        "policy": _policy_name(model),
        "hyperparameters": hyperparameters,
        "scenario": model.scenario.to_json(),
        "observation": model.observation_kind,
        "weights": dict(model.policy.state_dict()),
    }
    if "training" not in left_out:
        content["training"] = training_state(model, with_env="env" not in left_out)
    return content


def _policy_name(model: Any) -> str:
    for name, known in model.policy_aliases.items():
        if known is model.policy_class:
            return str(name)
    return f"{model.policy_class.__module__}:{model.policy_class.__qualname__}"


def training_state(model: Any, *, with_env: bool) -> dict[str, Any]:
    """Return what training goes on from, the weights apart.

    Parameters
    ----------
    model : DIRS
        Set up.
    with_env : bool
        Whether the env's state belongs to it.

    Returns
    -------
    dict
        A copy, but for the optimizer's tensors.
    """
    optimizer = model.optimizer.state_dict()
    state = {
        "optimizer": {str(key): value for key, value in optimizer["state"].items()},
        "replay": model.replay_buffer.get_state(),
        "generator": model.rng.bit_generator.state,
        "averages": model._averages.get_state(),
        "pretraining": model._pretraining.get_state(),
        "progress_remaining": model._current_progress_remaining,
        "counters": {name: getattr(model, name) for name in _COUNTERS},
        "episodes": episode_infos(model.ep_info_buffer),
        "env": None,
    }
    if with_env and model.env is not None and model._last_obs is not None:
        state["env"] = {"last": model._last_obs, "state": env_state(model.env)}
    return state


def require_content(content: Any, path: str) -> None:
    """Raise ``ValueError`` unless a file holds what :func:`model_content` puts into it.

    Parameters
    ----------
    content : object
        From :func:`dirs_agents.storage.read_model`.
    path : str
        For messages.

    Raises
    ------
    ValueError
        Names what is missing.

    Examples
    --------
    >>> require_content({"policy": "PricePolicy"}, "x.zip")
    Traceback (most recent call last):
    ...
    ValueError: x.zip is damaged: it lacks hyperparameters, scenario, observation, weights.
    """
    needed = ("policy", "hyperparameters", "scenario", "observation", "weights")
    missing = [part for part in needed if not isinstance(content, Mapping) or part not in content]
    if missing:
        raise ValueError(f"{path} is damaged: it lacks {', '.join(missing)}.")


def settings_of(
    content: Mapping[str, Any],
    replaced: Mapping[str, Any],
    objects: Mapping[str, Any],
    aliases: Mapping[str, Any],
) -> tuple[dict[str, Any], Any]:
    """Return the constructor's arguments and the policy that a file asks for.

    Parameters
    ----------
    content : mapping
        From :func:`dirs_agents.storage.read_model`.
    replaced : mapping
        Hyper-parameters that replace the file's.
    objects : mapping
        What no file holds: "learning_rate" where it is a function, "policy" where it is a class
        of the user's own.
    aliases : mapping
        Policies by name.

    Returns
    -------
    settings : dict
    policy : str or class

    Raises
    ------
    TypeError
        For an unknown hyper-parameter.
    ValueError
        If something that no file holds is missing.
    """
    require_known("hyper-parameter", replaced, HYPERPARAMETERS)
    settings = dict(content["hyperparameters"]) | dict(replaced)
    if settings["learning_rate"] is None:
        settings["learning_rate"] = objects.get("learning_rate")
    if settings["learning_rate"] is None:
        raise ValueError(
            "the model was trained with a function as learning_rate, which no file holds: give "
            "custom_objects={'learning_rate': function}."
        )
    policy = objects.get("policy", content["policy"])
    if isinstance(policy, str) and policy not in aliases:
        raise ValueError(
            f"the model has a policy of its own, {policy}: give custom_objects="
            "{'policy': the class}."
        )
    return settings, policy


def take_weights(model: Any, weights: Mapping[str, Tensor], path: str) -> None:
    """Put a file's weights into a model's policy.

    Parameters
    ----------
    model : DIRS
        Set up.
    weights : mapping
        By parameter.
    path : str
        For messages.

    Raises
    ------
    ValueError
        If they do not fit.
    """
    try:
        model.policy.load_state_dict(weights)
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ValueError(f"{path} does not fit the policy that it names: {reason}") from error


def take_training_state(
    model: Any, state: Mapping[str, Any], *, reseed: bool, same_world: bool
) -> None:
    """Put optimizer, counters, generator and replay buffer of a file into a model.

    Parameters
    ----------
    model : DIRS
        Set up.
    state : mapping
        The file's part "training".
    reseed : bool
        Leave the generator as it is: the caller gave another seed.
    same_world : bool
        Whether the model is for the file's scenario; otherwise what was best there is left out.
    """
    optimizer = model.optimizer.state_dict()
    optimizer["state"] = {int(key): value for key, value in state["optimizer"].items()}
    model.optimizer.load_state_dict(optimizer)
    if not reseed:
        model.rng.bit_generator.state = state["generator"]
    for name in _COUNTERS:
        setattr(model, name, state["counters"][name])
    model.ep_info_buffer = deque(state["episodes"], maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    if same_world:
        model.replay_buffer.set_state(state["replay"])
        model._averages.set_state(state["averages"])
        if "pretraining" in state:  # older files hold none that is under way
            model._pretraining.set_state(state["pretraining"])
            model._current_progress_remaining = state["progress_remaining"]
    else:
        model.pretrained = False


def take_env_state(model: Any, state: Mapping[str, Any]) -> None:
    """Bring a model's env to where the file's was.

    Parameters
    ----------
    model : DIRS
        Set up, with an env where it has one.
    state : mapping
        The file's part "training".

    Raises
    ------
    ValueError
        If the env is of another scenario, or wrapped otherwise.
    """
    if model.env is None or state["env"] is None:
        return
    set_env_state(model.env, state["env"]["state"])
    model._last_obs = state["env"]["last"]
    model._last_episode_starts = np.zeros(model.n_envs, dtype=bool)
