"""What every learner here asks of its arguments, its env and its files, and what it logs.

Whatever env a learner is given passes here, and its arguments are asked before anything is set up.
Networks learn what an observation means: it may be normalised, stacked or flattened on the way.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Space
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.type_aliases import TrainFreq
from stable_baselines3.common.vec_env import VecEnv

from mec_gym import ENV_ID, Scenario
from mec_gym.envs.sb3_model import Averages
from mec_gym.validation import (
    constructor_parameters,
    require_hyperparameters,
    require_integer,
    require_widths,
)

# -- arguments ------------------------------------------------------------------------------------

OFF_POLICY_NETWORKS = ("pi", "qf")
"""What Stable-Baselines3 calls the actor and the critic of DDPG and MADDPG."""

_CLASSES = ("activation_fn", "optimizer_class", "features_extractor_class")
"""Arguments of policies that no command line can name."""


def require_arguments(model: Any, integers: Mapping[str, int], numbers: Mapping[str, str]) -> None:
    """Raise for a number or a class in ``policy_kwargs`` that no training could use."""
    require_hyperparameters(model, integers, numbers)
    for name in _CLASSES:
        given = model.policy_kwargs.get(name)
        if given is not None and not callable(given):
            raise TypeError(f"{name} in policy_kwargs must be a class; got {given!r}.")


def require_networks(
    net_arch: Any, names: Sequence[str], *, least: int = 0, all_of_them: bool = True
) -> Any:
    """Return hidden widths as Stable-Baselines3 takes them, or raise ``ValueError``.

    `net_arch` is one list for all networks, or one for each of `names`; each needs `least` layers.
    Without `all_of_them`, a network that a mapping lacks has no hidden layer.
    """
    if net_arch is None:
        return None
    if not isinstance(net_arch, Mapping):
        return _layers(net_arch, least)
    lacking = [name for name in names if name not in net_arch] if all_of_them else []
    if lacking or any(name not in names for name in net_arch):
        listed = " and ".join(map(repr, names))
        raise ValueError(
            f"net_arch must be a list of hidden widths, or a dict with one such list for {listed}"
            f"{' each' if all_of_them else ''}; got {net_arch!r}."
        )
    return {name: _layers(net_arch[name], least) for name in net_arch}


def _layers(net_arch: Any, least: int) -> list[int]:
    widths = list(require_widths(net_arch))
    if len(widths) < least:
        raise ValueError(f"net_arch must be {least} hidden width or more; got {net_arch!r}.")
    return widths


def require_off_policy(model: Any, numbers: Mapping[str, str], **integers: int) -> None:
    """Raise for an argument that DDPG or MADDPG could not use; as for all learners, and more."""
    least = {"buffer_size": 1, "learning_starts": 0, "batch_size": 1} | integers
    require_arguments(model, least, numbers)
    given = model.train_freq
    pair = given if isinstance(given, tuple) else (given, "step")
    if len(pair) != 2:
        raise ValueError(
            "train_freq must be an integer >= 1, alone or with its unit as in (1, 'episode'); got "
            f"{given!r}."
        )
    require_integer("train_freq", pair[0], 1)
    if not isinstance(given, TrainFreq):
        model.train_freq = (int(pair[0]), pair[1])
    if model.gradient_steps != -1:
        require_integer("gradient_steps (or -1, one for each slot)", model.gradient_steps, 1)
    model.gradient_steps = int(model.gradient_steps)
    if not isinstance(model.action_noise, ActionNoise | None):
        raise TypeError(
            "action_noise must be an ActionNoise of Stable-Baselines3, or None; got "
            f"{model.action_noise!r}."
        )


# -- envs -----------------------------------------------------------------------------------------


def require_env(algorithm: type[Any], env: Any) -> None:
    """Raise ``TypeError`` without an env."""
    if env is None:
        raise TypeError(
            f"{algorithm.__name__} needs an env, whose sizes its networks take, e.g. "
            f'env=gymnasium.make("{ENV_ID}", scenario=...); '
            f"{algorithm.__name__}.load(path) predicts without one."
        )


def require_fitting(
    sizes: tuple[int, int], observations: Space[Any], scenario: Scenario, env: VecEnv
) -> None:
    """Raise ``ValueError`` unless an env has a model's N and M and its observations."""
    theirs = (scenario.n_devices, scenario.n_servers)
    if sizes != theirs or env.observation_space != observations:
        raise ValueError(
            f"the model is for N={sizes[0]} devices, M={sizes[1]} servers and observations "
            f"{_bounds(observations)}; the env has N={theirs[0]}, M={theirs[1]} and "
            f"{_bounds(env.observation_space)}. Make an env of those sizes, with that observation= "
            "and those tasks that vary, or a new model for this one."
        )


def _bounds(space: Space[Any]) -> str:
    if isinstance(space, Box):
        return f"of shape {space.shape} within [{space.low.min():.4g}, {space.high.max():.4g}]"
    return f"{space}"


# -- replay buffers -------------------------------------------------------------------------------

MEMINFO = Path("/proc/meminfo")


def free_memory() -> float:
    """Return how much memory programs can still get, [B]; infinite where only Linux would tell."""
    lines = MEMINFO.read_text(encoding="ascii").splitlines() if MEMINFO.is_file() else []
    # Free pages alone would leave out what the system holds for files and gives up at need.
    kilobytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024.0 * int(kilobytes[0]) if kilobytes else float("inf")


def require_memory(buffer_size: int, each: int) -> None:
    """Raise ``ValueError`` for a buffer of slots, `each` of them [B], that memory cannot hold."""
    needed, free = buffer_size * each, free_memory()
    if needed > free:
        raise ValueError(
            f"buffer_size={buffer_size} needs {needed / 2**30:.1f} GiB, {each} bytes a slot, and "
            f"{free / 2**30:.1f} GiB are free. Use buffer_size={int(free // (2 * each))} or less."
        )


def mean_and_spread(rewards: NDArray[np.float32]) -> tuple[float, float]:
    """Return the mean and the standard deviation of rewards; that is 0 where all are alike."""
    # In double precision: rewards of 0.003 differ in their fifth digit.
    mean, spread = rewards.mean(dtype=np.float64), rewards.std(dtype=np.float64)
    return float(mean), float(spread) if spread > 1e-6 * abs(mean) else 0.0


# -- files ----------------------------------------------------------------------------------------


def attributes(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of ``load()`` under the names that models of Stable-Baselines3 give them."""
    private = {"stats_window_size": "_stats_window_size"}
    return {private.get(name, name): value for name, value in given.items()}


@contextlib.contextmanager
def loading(path: Any, cls: type[Any], given: Collection[str] = ()) -> Iterator[None]:
    """Say whose fault it is that a model cannot be loaded: the file's, or the caller's.

    `given` names what the caller wants in place of the file's arguments.
    """
    try:
        yield
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        # A refusal begins with the name of what is at fault.
        argument, name = re.findall(r"^\w*", str(error))[0], cls.__name__
        if argument in given and argument != "policy":
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"argument of load(): {error}") from error
        told = f"{path} does not hold a usable {name}: {error}"
        if isinstance(error, RuntimeError):  # torch's
            told = f"weights in {path} cannot be loaded as {name}: {error}"
        elif argument == "policy":
            told = f"{path} holds a model of another algorithm than {name}: {error}"
        elif argument in constructor_parameters(cls)[0]:
            told += f" {argument} given to load() replaces the file's."
        elif given:
            changes = ", ".join(given)
            told = f"{path} cannot be loaded as {name} with {changes} given to load(): {error}"
        raise ValueError(told) from error


# -- the log --------------------------------------------------------------------------------------


class MECLog(BaseAlgorithm):
    """Adds the means of the env's figures since the last entry to the log, as ``mec/...``.

    For algorithms of Stable-Baselines3, named before them among the bases.
    """

    _averages: Averages | None = None

    def _update_info_buffer(
        self, infos: list[dict[str, Any]], dones: NDArray[np.bool_] | None = None
    ) -> None:
        super()._update_info_buffer(infos, dones)
        self._averages = self._averages or Averages()
        self._averages.note(infos)

    def _log_training(self, figures: Mapping[str, Any]) -> None:
        """Log the gradient steps taken, and what a round of them shows."""
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        for name, value in figures.items():
            self.logger.record(f"train/{name}", value)

    def dump_logs(self, *args: Any, **kwargs: Any) -> None:
        """Write the figures with all that the algorithm itself logs."""
        for name, value in self._averages.take().items() if self._averages else ():
            self.logger.record(name, value)
        super().dump_logs(*args, **kwargs)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_averages"]
