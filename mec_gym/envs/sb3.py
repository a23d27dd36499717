"""The native vector env as a Stable-Baselines3 VecEnv."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from mec_gym.model.arrays import in_shape
from mec_gym.model.slot import Slot
from mec_gym.scenario import Scenario
from mec_gym.validation import plain

try:
    from stable_baselines3.common.vec_env import (
        VecEnv,
        VecEnvWrapper,
        VecMonitor,
        unwrap_vec_normalize,
    )
    from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn
except ModuleNotFoundError as error:
    raise gym.error.DependencyNotInstalled(
        "learners, policies and their envs need PyTorch and Stable-Baselines3: "
        'pip install "mec-gym[sb3]", or in a clone pip install ".[sb3]".'
    ) from error

from mec_gym.envs.observation import OBSERVATIONS, ObservationCoder
from mec_gym.envs.offloading import ENV_ID, assignment_space
from mec_gym.envs.scores import VectorScoreAction, score_space, voted
from mec_gym.envs.vector import MultiMECVectorEnv


class SB3VecEnv(VecEnv):
    """Adapts a Gymnasium vector env, fast batch and all, to what Stable-Baselines3 trains on.

    Stable-Baselines3 does not take Gymnasium's vector envs. Put ``VecMonitor`` around this one
    where episode returns are to be logged.

    Parameters
    ----------
    venv : gymnasium.vector.VectorEnv
        With SAME_STEP autoreset, the mode that Stable-Baselines3 implies, or the native vector
        env in any mode: an ended copy is then reset at once.

    Raises
    ------
    ValueError
        For another autoreset mode of an env that is not native.

    Examples
    --------
    >>> envs = make_sb3_vec_env("paper-30x2", n_envs=4, seed=0)
    >>> envs.reset().shape
    (4, 60)
    """

    def __init__(self, venv: VectorEnv[Any, Any, Any]) -> None:
        mode = venv.metadata.get("autoreset_mode")
        self._resets_itself = mode is AutoresetMode.SAME_STEP
        if not self._resets_itself and not isinstance(venv.unwrapped, MultiMECVectorEnv):
            raise ValueError(
                f"venv must have autoreset_mode=SAME_STEP; got {getattr(mode, 'name', mode)}. "
                "Use make_sb3_vec_env, or gym.make_vec(..., autoreset_mode='SameStep')."
            )
        self.venv = venv
        self._actions: Any = None
        super().__init__(venv.num_envs, venv.single_observation_space, venv.single_action_space)

    def reset(self) -> NDArray[Any]:
        """Begin an episode in every copy; the infos are in ``reset_infos``."""
        seeded = any(seed is not None for seed in self._seeds)
        # Gymnasium's annotation forgets the lists that its vector envs take.
        seeds: Any = list(self._seeds) if seeded else None
        observations, infos = self.venv.reset(seed=seeds, options=self._options_of_all())
        self.reset_infos = self._rows(infos)
        self._reset_seeds()
        self._reset_options()
        return np.asarray(observations)

    def _options_of_all(self) -> dict[str, Any] | None:
        """Return what ``set_options`` was given, as Gymnasium's vector envs take it."""
        first: dict[str, Any] = self._options[0]
        if all(one is first for one in self._options):  # one dict for all copies
            return first or None
        if not any(self._options):
            return None
        if not all(set(one) == {"episode"} for one in self._options):
            raise ValueError(
                "options must be one dict for all copies, or a list with the episode of each, "
                f"{{'episode': ...}}; got {self._options!r:.60}."
            )
        return {"episode": [one["episode"] for one in self._options]}

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step every copy; copies at their time limit begin anew.

        Rewards are float32, as of Stable-Baselines3's own envs. An ended copy's info has
        ``terminal_observation`` and ``TimeLimit.truncated``.
        """
        observations, rewards, terminated, truncated, infos = self.venv.step(self._actions)
        dones = np.asarray(terminated | truncated)
        final = rows = self._rows(infos)
        last = observations
        if dones.any() and self._resets_itself:
            final, last = self._rows(infos["final_info"]), infos["final_obs"]
        elif dones.any():
            observations, infos = self.venv.reset(options={"reset_mask": dones})
            begun = self._rows(infos)
            rows = [begun[i] if done else rows[i] for i, done in enumerate(dones)]
        for index, row in enumerate(rows):
            if dones[index]:
                self.reset_infos[index] = row
                rows[index] = row = final[index]
                row["terminal_observation"] = last[index]
            row["TimeLimit.truncated"] = bool(truncated[index] and not terminated[index])
        return observations, np.asarray(rewards, dtype=np.float32), dones, rows

    def _rows(self, infos: dict[str, Any]) -> list[dict[str, Any]]:
        """Turn Gymnasium's batched info into one dict per copy."""
        rows: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for key, values in infos.items():
            if key.startswith(("_", "final_")):
                continue
            for row, entry in zip(rows, values.copy(), strict=True):
                row[key] = entry
        return rows

    def close(self) -> None:
        """Close the vector env."""
        self.venv.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Return one picture per copy."""
        frames: Any = self.venv.render()
        return [None] * self.num_envs if frames is None else list(frames)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the vector env, which the copies share."""
        value = getattr(self.venv.unwrapped, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the vector env, for all copies at once."""
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise ValueError("the copies share their attributes; set_attr needs indices=None.")
        setattr(self.venv.unwrapped, attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Call a method of the vector env, such as "action_masks", and return each copy's row.

        ``TypeError`` if the method does not give one row per copy.
        """
        result = getattr(self.venv.unwrapped, method_name)(*method_args, **method_kwargs)
        if not isinstance(result, (np.ndarray, tuple, list)) or len(result) != self.num_envs:
            raise TypeError(
                f"{method_name}() gives no row per copy; call it on venv.unwrapped instead."
            )
        return [result[index] for index in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Return False for every copy: a native batch has no wrappers around single copies."""
        return [False for _ in self._get_indices(indices)]

    def _get_indices(self, indices: VecEnvIndices) -> Iterable[int]:
        if isinstance(indices, (int, np.integer)):
            return [int(indices)]
        return range(self.num_envs) if indices is None else indices


def make_sb3_vec_env(
    scenario: Any = "paper-200x10",
    *,
    n_envs: int = 1,
    seed: int | None = None,
    scores: bool = False,
    **kwargs: Any,
) -> SB3VecEnv:
    """Return the vector env, ready for a Stable-Baselines3 algorithm.

    Parameters
    ----------
    scenario : str, path, mapping or Scenario
        As for ``gym.make``.
    n_envs : int
        Number of copies.
    seed : int, optional
        Copy *i* is seeded ``seed + i`` at the first reset.
    scores : bool
        Continuous actions: scores that are voted into an assignment, for DDPG, TD3, SAC.
    **kwargs
        As for ``gym.make_vec``.

    Examples
    --------
    >>> make_sb3_vec_env("paper-30x2", n_envs=2, scores=True).action_space.shape
    (60,)
    """
    venv: VectorEnv[Any, Any, Any] = gym.make_vec(
        ENV_ID,
        num_envs=n_envs,
        scenario=scenario,
        autoreset_mode=AutoresetMode.SAME_STEP.value,
        **kwargs,
    )
    adapted = SB3VecEnv(VectorScoreAction(venv) if scores else venv)
    if seed is not None:
        adapted.seed(plain(seed))
    return adapted


class ScoreVecEnv(VecEnvWrapper):
    """:class:`~mec_gym.ScoreAction` for any VecEnv: Box [0, 1]^(M·N), voted into assignments.

    Parameters
    ----------
    venv : VecEnv
        Of MultiMEC envs of one scenario that take assignments, in any wrappers.

    Raises
    ------
    TypeError, ValueError
        For another env; in ``step``, for actions that are not floats, of another shape or outside
        [0, 1]: the env stays as it was.

    Examples
    --------
    >>> envs = ScoreVecEnv(make_sb3_vec_env("paper-30x2", n_envs=2, seed=0))
    >>> envs.action_space.shape, envs.reset().shape
    ((60,), (2, 60))
    """

    def __init__(self, venv: VecEnv) -> None:
        self.scenario, _ = world_of(venv, plain=False)
        size = (self.scenario.n_servers, self.scenario.n_devices)
        super().__init__(venv, action_space=score_space(*size))

    def reset(self) -> NDArray[Any]:
        """Begin an episode in every copy."""
        return np.asarray(self.venv.reset())

    def step_async(self, actions: NDArray[Any]) -> None:
        """Vote, and keep the assignments for :meth:`step_wait`."""
        self.venv.step_async(voted(actions, self.scenario, (self.num_envs,)))

    def step_wait(self) -> VecEnvStepReturn:
        """Step every copy."""
        return self.venv.step_wait()


class ShownVecEnv(VecEnvWrapper):
    """Shows the slots of a plain VecEnv of MultiMEC envs as another kind of observation."""

    def __init__(self, venv: VecEnv, kind: str) -> None:
        self._shows = venv.get_attr("coder")[0]
        self._coder = ObservationCoder(self._shows.scenario, kind)
        super().__init__(venv, observation_space=self._coder.space())

    def _shown(self, observations: Any) -> NDArray[np.float32]:
        if "raw" in (self._shows.kind, self._coder.kind):
            return self._coder.encode(self._shows.decode(observations))
        return in_shape(observations, self._coder.shape, self._coder.scenario.n_devices)

    def reset(self) -> NDArray[np.float32]:
        """Begin an episode in every copy."""
        return self._shown(self.venv.reset())

    def step_wait(self) -> VecEnvStepReturn:
        """Step every copy."""
        observations, rewards, dones, infos = self.venv.step_wait()
        for index in np.flatnonzero(dones):
            infos[index]["terminal_observation"] = self._shown(infos[index]["terminal_observation"])
        return self._shown(observations), rewards, dones, infos

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the copies, or as "coder" what their observations mean here."""
        found = super().get_attr(attr_name, indices)
        return [self._coder for _ in found] if attr_name == "coder" else found


def shown_as(env: VecEnv, space: Any) -> VecEnv:
    """Return an env with a model's observation space: itself, or its slots shown as another kind.

    An env that cannot be shown so is returned as it is: other sizes, or changed observations.
    """
    if env.observation_space == space or not env.has_attr("coder"):
        return env
    shows = env.get_attr("coder")[0]
    if env.observation_space != shows.space() or unwrap_vec_normalize(env) is not None:
        return env
    kinds = [one for one in OBSERVATIONS if ObservationCoder(shows.scenario, one).space() == space]
    return ShownVecEnv(env, kinds[0]) if kinds else env


_HOW = f'gymnasium.make("{ENV_ID}", scenario=...) or mec_gym.envs.sb3.make_sb3_vec_env(...)'


def vectorised(env: Any) -> Any:
    """Return a vector env of Gymnasium's as what Stable-Baselines3 takes, other envs as they are.

    Around a vector env is ``VecMonitor``, which logs episode returns. ``TypeError`` for no env.
    """
    if isinstance(env, VectorEnv):
        return VecMonitor(SB3VecEnv(env))
    if not isinstance(env, (gym.Env, VecEnv)):
        raise TypeError(f"env must be an env, such as {_HOW}; got {env!r}.")
    return env


def world_of(env: VecEnv, *, plain: bool = True, assignments: bool = True) -> tuple[Scenario, str]:
    """Return the scenario of an env and the kind of its observations, or refuse the env.

    `plain` refuses wrappers that change observations: for algorithms that read slots out of them;
    `assignments` other actions than assignments. ``TypeError`` for another env or other actions;
    ``ValueError`` for changed observations, or copies whose scenarios differ.
    """
    # Not by trying: a worker process dies of an attribute that is not there.
    if not env.has_attr("coder"):
        raise TypeError(
            f"env must be a MultiMEC env, which says what its observations mean: {_HOW}; "
            f"got one with observations {env.observation_space} and actions {env.action_space}."
        )
    coders = env.get_attr("coder")
    _require_one_world(coders)
    if plain:
        _require_plain_observations(env, coders[0])
    scenario: Scenario = coders[0].scenario
    if assignments:
        _require_assignments(env, scenario)
    return scenario, coders[0].kind


def slots_of(env: VecEnv) -> Slot:
    """Return the current slots of an env's copies as they are priced, batch shape (B,)."""
    found = env.get_attr("slot")
    if isinstance(env.unwrapped, SB3VecEnv):
        first: Slot = found[0]  # of all copies
        return first
    fields = ("gains", "data_bits", "cycles", "hosts")
    columns = [[getattr(one, name) for one in found] for name in fields]
    return Slot.trusted(*(None if rows[0] is None else np.stack(rows) for rows in columns))


def _require_assignments(env: VecEnv, scenario: Scenario) -> None:
    if env.action_space != assignment_space(scenario):
        raise TypeError(
            f"env must take assignments, MultiDiscrete([{scenario.n_servers + 1}] * "
            f"{scenario.n_devices}); got {env.action_space}. Leave out ScoreAction, scores=True or "
            "whatever else changes its actions."
        )


def _require_one_world(coders: list[Any]) -> None:
    first = coders[0]
    for copy, coder in enumerate(coders):
        same = coder is first or (coder.scenario, coder.kind) == (first.scenario, first.kind)
        if not same:
            raise ValueError(
                "the copies of env must share one scenario and one kind of observations; copy "
                f"{copy} differs from copy 0. Use one model for each."
            )


def _require_plain_observations(env: VecEnv, coder: Any) -> None:
    normalised = unwrap_vec_normalize(env)
    if normalised is not None and normalised.norm_obs:
        raise ValueError(
            "env must show observations as they are; VecNormalize changes them. Use "
            "VecNormalize(..., norm_obs=False), or leave it out."
        )
    expected, got = coder.space(), ""
    # Around a native batch there are none: Gymnasium keeps them out of its autoreset mode.
    if any(env.env_is_wrapped(gym.ObservationWrapper)):
        got = "a gymnasium.ObservationWrapper"
    elif env.observation_space != expected:
        got = f"space {env.observation_space} instead of {expected}"
    if got:
        raise ValueError(
            f"env must show observations as they are, observation={coder.kind!r}; got {got}. "
            "Leave out wrappers that change observations (normalisation, frame stacks, "
            'flattening: observation="flat" is flat by itself).'
        )
