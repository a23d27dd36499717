"""What one run of the checks works with: the env under test, and bitwise comparison."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from mec_gym.envs.offloading import MultiMECEnv

Env = gym.Env[Any, Any]

OPTIONS = ("reward", "observation", "optimum")
RESOLUTION = 5e-6  # relative, of gains that went through an observation: float32 decibels
SLACK = 1e-9  # relative rounding up to which the optimum may exceed a decision's objective


class ConformanceError(AssertionError):
    """An environment broke a promise.

    Attributes
    ----------
    check : str
        Which check, of :data:`CHECKS`.
    message : str
        What is wrong.
    seed, step : int or None
        Where it showed: the seed of the run, and its step counted from 0.

    Examples
    --------
    >>> print(ConformanceError("info", "the key 'objective' is missing", 3, 0))
    check 'info' failed: the key 'objective' is missing (seed 3, step 0)
    """

    def __init__(
        self, check: str, message: str, seed: int | None = None, step: int | None = None
    ) -> None:
        super().__init__(check, message, seed, step)
        self.check, self.message, self.seed, self.step = check, message, seed, step

    def __str__(self) -> str:
        places = {"seed": self.seed, "step": self.step}
        known = [f"{name} {value}" for name, value in places.items() if value is not None]
        where = f" ({', '.join(known)})" if known else ""
        return f"check {self.check!r} failed: {self.message}{where}"


class Trial:
    """One run of the checks: what they look at, and where they are."""

    def __init__(
        self,
        make: Callable[[], Env],
        options: dict[str, Any],
        seeds: tuple[int, ...],
        episodes: int,
        steps: int,
    ) -> None:
        self.make, self.options, self.scenario = make, options, make().get_wrapper_attr("scenario")
        self.seeds, self.episodes, self.steps, self.taken = seeds, episodes, steps, 0
        self._place: tuple[str, int | None, int | None] = ("", None, None)

    def run(self, name: str, check: Callable[[Trial], str | None]) -> str | None:
        """Run one check; return why it does not apply, if so."""
        self._place = (name, None, None)
        try:
            return check(self)
        except ConformanceError:
            raise
        except Exception as error:
            self.require(False, f"{type(error).__name__}: {error}", error)
            raise

    def env(self) -> MultiMECEnv:
        """Return a new env without wrappers."""
        env = self.make().unwrapped
        assert isinstance(env, MultiMECEnv)
        return env

    def each_seed(self) -> Iterator[int]:
        """Give the seeds, each as the place where a failure shows."""
        for seed in self.seeds:
            self._place = (self._place[0], seed, None)
            yield seed

    def each_step(self) -> Iterator[int]:
        """Give the steps of an episode, each as the place where a failure shows."""
        for index in range(self.steps):
            check, seed, step = self._place
            self._place = (check, seed, 0 if step is None else step + 1)
            self.taken += 1
            yield index

    def each_start(self) -> Iterator[tuple[MultiMECEnv, np.random.Generator]]:
        """Give for each seed a new env, one step into an episode."""
        for seed in self.each_seed():
            env, rng = self.env(), np.random.default_rng(seed)
            env.reset(seed=seed)
            env.step(self.actions(rng))
            yield env, rng

    def actions(self, rng: np.random.Generator, *batch: int) -> NDArray[np.int64]:
        """Return random decisions that eq. (7) allows."""
        least = np.where(self.scenario.can_execute_locally, 0, 1)
        shape = (*batch, self.scenario.n_devices)
        return rng.integers(least, self.scenario.n_servers + 1, shape)

    def rollout(self, env: Env, seed: int, *, spoil: bool = False) -> list[tuple[Any, ...]]:
        """Return copies of all that an env gives over the episodes of a seed."""
        rng, found = np.random.default_rng(seed), []
        for episode in range(self.episodes):
            result: tuple[Any, ...] = env.reset(seed=None if episode else seed)
            found.append(copy.deepcopy(result))
            for _ in self.each_step():
                overwrite(*result if spoil else ())
                result = env.step(self.actions(rng))
                found.append(copy.deepcopy(result))
        return found

    def require(self, holds: Any, message: str, cause: Exception | None = None) -> None:
        """Raise ConformanceError with the present place unless `holds`."""
        if not holds:
            check, seed, step = self._place
            raise ConformanceError(check, message, seed, step) from cause

    def require_same(self, got: Any, wanted: Any, what: str) -> None:
        """Raise ConformanceError unless two results are equal in every bit and type."""
        if differs := difference(got, wanted, "it"):
            self.require(False, f"{what}: {differs}")

    def require_refusal(self, env: Any, action: Any, core: MultiMECEnv, state: Any) -> None:
        """Raise ConformanceError unless `env` refuses an action and its core stays as it was."""
        try:
            env.step(action)
        except (TypeError, ValueError):
            self.require_same(core.get_state(), state, f"refusing {action!r:.60} left a trace")
        else:
            self.require(False, f"an illegal action was accepted: {action!r:.60}")


def difference(got: Any, wanted: Any, path: str) -> str | None:
    """Return where and how two results differ, or None where every bit and type is equal."""
    own, other = described(got), described(wanted)
    if own != other:
        return f"{path} is {own}, not {other}"
    if isinstance(got, dict):
        pairs = [(got[key], wanted[key], f"{path}[{key!r}]") for key in got]
    elif isinstance(got, (tuple, list)) or (isinstance(got, np.ndarray) and got.dtype == object):
        pairs = [(one, wanted[index], f"{path}[{index}]") for index, one in enumerate(got)]
    elif isinstance(got, np.ndarray):
        return None if got.tobytes() == wanted.tobytes() else f"{path} has other values"
    else:
        return None if repr(got) == repr(wanted) else f"{path} is {got!r}, not {wanted!r}"
    return next((found for pair in pairs if (found := difference(*pair))), None)


def described(value: Any) -> str:
    """Return the type of a value, with keys, length, dtype and shape where it has them."""
    if isinstance(value, np.ndarray):
        return f"an array {value.dtype}{value.shape}"
    if isinstance(value, dict):
        return f"a dict of {sorted(value)}"
    size = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
    return f"a {type(value).__name__}{size}"


def overwrite(*results: Any) -> None:
    """Overwrite what a caller got: arrays with zeros, dicts with nothing."""
    for result in results:
        if isinstance(result, np.ndarray) and result.flags.writeable:
            result[...] = 0
        elif isinstance(result, dict):
            overwrite(*result.values())
            result.clear()
        elif isinstance(result, (tuple, list)):
            overwrite(*result)
