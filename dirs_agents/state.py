"""Model files: what they hold of a DIRS model, the way back into one, and how they are packed.

A file is a zip of JSON and tensors; nothing in it runs when it is loaded.
"""

from __future__ import annotations

import copy
import io
import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mec_gym.envs.sb3_state import env_state, set_env_state
from mec_gym.files import read_zip, write_zip
from mec_gym.validation import require_known

PARTS = ("training", "env")
"""What :meth:`~dirs_agents.DIRS.save` may leave out."""

FORMAT = "mec-gym/dirs"
VERSION = 1
_DOCUMENT, _TENSORS = _MEMBERS = "model.json", "tensors.pt"
_COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates", "_episode_num", "pretrained")

# -- a model's content --------------------------------------------------------------------------


def model_content(model: Any, *, left_out: set[str]) -> dict[str, Any]:
    """Return what a file needs to hold of a model, without the parts that are left out."""
    require_known("part to exclude", left_out, PARTS)
    for name, parameter in model.policy.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise FloatingPointError(
                f"the model is not saved: {name} is not finite at slot {model.num_timesteps}."
            )
    settings = {name: getattr(model, name) for name in model.hyperparameters()}
    if callable(settings["learning_rate"]):
        # A function is code: who loads the file gives it again.
        settings["learning_rate"] = None
    content = {
        "policy": _policy_name(model),
        "hyperparameters": settings,
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
    """Return what training goes on from, the weights apart; a copy, but for the optimizer's."""
    optimizer = model.optimizer.state_dict()
    state = {
        "optimizer": {str(key): value for key, value in optimizer["state"].items()},
        "replay": model.replay_buffer.get_state(),
        "generator": model.rng.bit_generator.state,
        "averages": copy.deepcopy(model._averages.sums),
        "pretraining": model._pretraining.get_state(),
        "progress_remaining": model._current_progress_remaining,
        "counters": {name: getattr(model, name) for name in _COUNTERS},
        "episodes": [
            {key: float(value) for key, value in info.items()}
            for info in model.ep_info_buffer or ()
        ],
        "env": None,
    }
    if with_env and model.env is not None and model._last_obs is not None:
        state["env"] = {
            "last": model._last_obs,
            "state": env_state(model.env),
            "memory": model.current_memory(),
        }
    return state


# -- the way back -------------------------------------------------------------------------------


def settings_of(
    content: Any,
    path: str,
    replaced: Mapping[str, Any],
    objects: Mapping[str, Any],
    model_class: Any,
) -> tuple[dict[str, Any], Any]:
    """Return the constructor's arguments and the policy that a file asks for.

    `replaced` are hyper-parameters that replace the file's; `objects` what no file holds, a
    function as "learning_rate" and a class of the user's own as "policy".
    """
    needed = ("policy", "hyperparameters", "scenario", "observation", "weights")
    missing = [part for part in needed if not isinstance(content, Mapping) or part not in content]
    if missing:
        raise ValueError(f"{path} is damaged: it lacks {', '.join(missing)}.")
    require_known("hyper-parameter", replaced, model_class.hyperparameters())
    settings = dict(content["hyperparameters"]) | dict(replaced)
    if settings["learning_rate"] is None:
        settings["learning_rate"] = objects.get("learning_rate")
    if settings["learning_rate"] is None:
        raise ValueError(
            "the model was trained with a function as learning_rate, which no file holds: give "
            "custom_objects={'learning_rate': function}."
        )
    policy = objects.get("policy", content["policy"])
    if isinstance(policy, str) and policy not in model_class.policy_aliases:
        raise ValueError(
            f"the model has a policy of its own, {policy}: give custom_objects="
            "{'policy': the class}."
        )
    return settings, policy


def parameters_of(model: Any, content: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return what a file holds of a model's parameters, as ``get_parameters()`` has them."""
    if "weights" not in content:
        raise ValueError(f"{path} holds no weights; save() writes models.")
    parameters = {"policy": content["weights"]}
    if "training" in content:
        parameters["optimizer"] = _optimizer_state(model, content["training"])
    return parameters


def _optimizer_state(model: Any, state: Mapping[str, Any]) -> dict[str, Any]:
    optimizer: dict[str, Any] = model.optimizer.state_dict()
    return optimizer | {"state": {int(key): one for key, one in state["optimizer"].items()}}


def take_weights(model: Any, weights: Mapping[str, Tensor], path: str) -> None:
    """Put a file's weights into a model's policy, or raise ``ValueError`` if they do not fit."""
    try:
        model.policy.load_state_dict(weights)
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ValueError(f"{path} does not fit the policy that it names: {reason}") from error


def take_training_state(
    model: Any, state: Mapping[str, Any], *, reseed: bool = False, same_world: bool = True
) -> None:
    """Put optimizer, counters, generator and replay buffer of a file into a model.

    With `reseed` the generator stays as it is: the caller gave another seed. For another scenario
    than the file's, what was best there is left out.
    """
    model.optimizer.load_state_dict(_optimizer_state(model, state))
    if not reseed:
        model.rng.bit_generator.state = state["generator"]
    for name in _COUNTERS:
        setattr(model, name, state["counters"][name])
    model.ep_info_buffer = deque(state["episodes"], maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    if same_world:
        model.replay_buffer.set_state(state["replay"])
        model._averages.sums = copy.deepcopy(state["averages"])
        if "pretraining" in state:  # older files hold none that is under way
            model._pretraining.set_state(state["pretraining"])
            model._current_progress_remaining = state["progress_remaining"]
    else:
        model.pretrained = False


def take_env_state(model: Any, state: Mapping[str, Any]) -> None:
    """Bring a model's env to where the file's was; ``ValueError`` for another kind of env."""
    if model.env is None or state["env"] is None:
        return
    set_env_state(model.env, state["env"]["state"])
    model._last_obs = state["env"]["last"]
    model._memory = state["env"].get("memory")  # older files hold none
    model._last_episode_starts = np.zeros(model.n_envs, dtype=bool)


# -- packing ------------------------------------------------------------------------------------


def write_model(path: Any, content: Mapping[str, Any]) -> None:
    """Write a nested mapping of numbers, strings, arrays and tensors, whole or not at all.

    To a path, ``.zip`` being added where it has no suffix, or to an open binary file.
    """
    tensors: dict[str, Tensor] = {}
    document = {"format": FORMAT, "version": VERSION, "content": _split(content, "", tensors)}
    packed = io.BytesIO()
    torch.save(tensors, packed)
    members = {_DOCUMENT: json.dumps(document).encode(), _TENSORS: packed.getvalue()}
    # Weights hardly shrink, and checkpoints should take no time.
    write_zip(path, members, compressed=False)


def read_model(path: Any) -> dict[str, Any]:
    """Read what :func:`write_model` wrote, with or without ``.zip``; tensors come to the CPU.

    ``ValueError`` for a damaged or foreign file, or one of a later version.
    """
    source = path
    if not hasattr(path, "read"):
        source = Path(path)
        if not source.is_file():
            source = source.with_name(source.name + ".zip")
        if not source.is_file():
            raise FileNotFoundError(f"there is no model file {path} or {source}.")
    members = read_zip(source)
    if not all(name in members for name in _MEMBERS):
        raise ValueError(
            f"{source} is not a DIRS model: it holds {', '.join(sorted(members)[:4]) or '-'} where "
            f"{' and '.join(_MEMBERS)} are needed. Files of other algorithms are loaded by their "
            "own classes."
        )
    try:
        document = json.loads(members[_DOCUMENT])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source} is damaged: its {_DOCUMENT} is no JSON ({error}).") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"{source} is not a DIRS model: its format is not {FORMAT!r}.")
    if document.get("version") != VERSION:
        raise ValueError(
            f"{source} has version {document.get('version')!r} of the format; this release reads "
            f"version {VERSION}. Load it with the release that wrote it."
        )
    try:
        tensors = torch.load(io.BytesIO(members[_TENSORS]), map_location="cpu", weights_only=True)
        content: dict[str, Any] = _join(document["content"], tensors)
    except Exception as error:  # whatever torch's reader meets in a damaged file
        raise ValueError(f"{source} is damaged: its tensors cannot be read ({error}).") from error
    return content


def _split(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """Replace arrays and tensors by references, in a copy that JSON takes."""
    if isinstance(value, Mapping):
        return {str(key): _split(entry, f"{place}/{key}", tensors) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_split(entry, f"{place}/{i}", tensors) for i, entry in enumerate(value)]
    if isinstance(value, (Tensor, np.ndarray)):
        is_array = isinstance(value, np.ndarray)
        # A tensor of its own, not a view that would drag its whole storage into the file, and
        # not of an array's memory, which may be read-only.
        own = np.array(value) if is_array else value
        tensors[place] = torch.as_tensor(own).detach().cpu().clone()
        return {"$array" if is_array else "$tensor": place}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{place or 'content'} cannot be stored: {type(value).__name__}.")


def _join(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$array"}:
            return tensors[value["$array"]].numpy()
        if set(value) == {"$tensor"}:
            return tensors[value["$tensor"]]
        return {key: _join(entry, tensors) for key, entry in value.items()}
    if isinstance(value, list):
        return [_join(entry, tensors) for entry in value]
    return value
