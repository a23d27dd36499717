"""Off-policy learners that score and let the vote decide: scores inside, assignments outside.

DDPG and its kin need continuous actions. The env is given as it is, with assignments; inside it
gets :class:`~mec_gym.envs.sb3.ScoreVecEnv` around it, so that training, the replay buffer and the
networks know scores only. ``predict`` votes, so that whoever asks from outside
(``evaluate_policy``, an ``EvalCallback``, a script) gets what the env takes.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm, maybe_make_env
from stable_baselines3.common.noise import VectorizedActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from baselines.learners.hyperparameters import attributes, loading
from mec_gym import ENV_ID, Scenario, vote
from mec_gym.envs.sb3 import ScoreVecEnv, vectorised

Self = TypeVar("Self", bound="VotingAlgorithm")


class VotedVecEnv(ScoreVecEnv):
    """The wrapper that an algorithm put there by itself, around an env that takes assignments.

    Examples
    --------
    >>> from mec_gym.envs.sb3 import make_sb3_vec_env
    >>> VotedVecEnv(make_sb3_vec_env("paper-30x2")).action_space.shape
    (60,)
    """


class VotingAlgorithm(OffPolicyAlgorithm):
    """What an off-policy algorithm on continuous actions needs on the env of mec_gym.

    Put it before the algorithm: ``class DDPG(VotingAlgorithm, stable_baselines3.DDPG)``.

    An env that already takes scores (``ScoreAction``, ``scores=True``, ``ScoreVecEnv``) is left as
    it is, and `predict` then returns scores.

    Attributes
    ----------
    scenario : Scenario
        The env's, which the vote needs.
    votes : bool
        Whether the env was given with assignments, so that `predict` returns assignments.

    Examples
    --------
    >>> import stable_baselines3
    >>> class Voting(VotingAlgorithm, stable_baselines3.DDPG):
    ...     pass
    >>> from mec_gym.envs.sb3 import make_sb3_vec_env
    >>> envs = make_sb3_vec_env("paper-30x2", n_envs=2)
    >>> Voting("MlpPolicy", envs, buffer_size=9).predict(envs.reset())[0].shape
    (2, 30)
    """

    scenario: Scenario
    votes: bool

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        return scored(BaseAlgorithm._wrap_env(vectorised(env), verbose, monitor_wrapper))

    def _setup_model(self) -> None:
        self._remember_world()
        super()._setup_model()

    def _remember_world(self) -> None:
        # Without an env, load() has put back what was known when the model was saved.
        if self.env is not None:
            self.scenario = self.env.get_attr("scenario")[0]
            self.votes = isinstance(self.env, VotedVecEnv)

    def get_env(self) -> VecEnv | None:
        """Return the env as it was given: it takes what :meth:`predict` returns.

        Returns
        -------
        VecEnv or None
        """
        return self.env.venv if isinstance(self.env, VotedVecEnv) else self.env

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Change the env.

        Parameters
        ----------
        env : as for the constructor
            With as many copies, devices and servers, and observations of the same shape. It may
            take assignments or scores; `predict` then returns the like.
        force_reset : bool
            Begin new episodes when training goes on.

        Raises
        ------
        TypeError, ValueError
            For an env that does not fit.
        """
        wrapped = self._wrap_env(maybe_make_env(env, self.verbose), self.verbose)
        self._require_fitting(wrapped)
        super().set_env(wrapped, force_reset)
        self._remember_world()

    def _require_fitting(self, env: VecEnv) -> None:
        theirs: Scenario = env.get_attr("scenario")[0]
        sizes = [(one.n_devices, one.n_servers) for one in (self.scenario, theirs)]
        if sizes[0] != sizes[1] or env.observation_space != self.observation_space:
            raise ValueError(
                f"the model is for N={sizes[0][0]} devices, M={sizes[0][1]} servers and "
                f"observations {self.observation_space}; the env has N={sizes[1][0]}, "
                f"M={sizes[1][1]} and {env.observation_space}. Make an env of those sizes and that "
                f"`observation`, or train a new {type(self).__name__} on this one."
            )
        if env.num_envs != self.n_envs:
            raise ValueError(
                f"the model was set up for {self.n_envs} copies of the env; got {env.num_envs}. "
                f"Use {type(self).__name__}.load(path, env), which takes any number."
            )

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        """Return decisions for one observation or a batch of them.

        Parameters
        ----------
        observation : array_like, shape (..., shape of one observation)
            Of the env.
        state, episode_start, deterministic
            Not used: the policy is deterministic and slots are independent of each other.

        Returns
        -------
        actions : ndarray, shape (..., N), int64
            0 = local, j = server j. Where the env takes scores: scores, shape (..., M · N).
        state : object
            As given.
        """
        scores, state = self.policy.predict(observation, state, episode_start, deterministic)
        return (self.voted(scores) if self.votes else scores), state

    def voted(self, scores: NDArray[Any]) -> NDArray[np.int64]:
        """Return the assignments that scores lead to.

        Parameters
        ----------
        scores : ndarray, shape (..., M · N), [1]
            Entry j·N + i is what server j + 1 gives device i.

        Returns
        -------
        ndarray, shape (..., N), int64
        """
        shape = (*scores.shape[:-1], self.scenario.n_servers, self.scenario.n_devices)
        decision = vote(scores.reshape(shape), self.scenario.can_execute_locally)
        return np.asarray(decision, dtype=np.int64)

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return scores to act with and, scaled to [-1, 1], to remember.

        The base class asks :meth:`predict`, which votes; the policy itself does not.
        """
        if self.num_timesteps < learning_starts:
            scores = np.stack([self.action_space.sample() for _ in range(n_envs)])
        else:
            scores, _ = self.policy.predict(self._last_obs, deterministic=False)  # type: ignore[arg-type]
        scaled = self.policy.scale_action(scores)
        if action_noise is not None:
            scaled = np.clip(scaled + action_noise(), -1.0, 1.0)
        return self.policy.unscale_action(scaled), scaled

    def _setup_learn(self, *args: Any, **kwargs: Any) -> Any:
        noise = self.action_noise
        if isinstance(noise, VectorizedActionNoise) and noise.n_envs != self.n_envs:
            # A model loaded for another number of copies: the base class makes one for them.
            self.action_noise = noise.base_noise
        return super()._setup_learn(*args, **kwargs)

    @classmethod
    def load(
        cls: type[Self],
        path: Any,
        env: Any = None,
        device: Any = "auto",
        custom_objects: Any = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Return a model as ``save`` wrote it, without its replay buffer.

        Parameters
        ----------
        path : str, path or binary file
            ".zip" may be left out.
        env : as for the constructor, optional
            To go on learning: any number of copies, and as many devices and servers.
        device, custom_objects, print_system_info, force_reset, **kwargs
            As everywhere in Stable-Baselines3.

        Returns
        -------
        VotingAlgorithm

        Raises
        ------
        TypeError, ValueError
            For an env that does not fit; for arguments here or in the file that the constructor
            refuses; for a file of another algorithm.
        """
        changed = cls._changed(kwargs)
        if env is not None:
            env = cls._wrap_env(maybe_make_env(env, 0))
            # The replay buffer is made for the copies of this env, not of the one before.
            changed["n_envs"] = env.num_envs
        with loading(path, cls, kwargs.keys()):
            model = super().load(
                path, None, device, custom_objects, print_system_info, force_reset, **changed
            )
        if env is not None:
            model.set_env(env, force_reset)
            model.set_random_seed(model.seed)
        return model

    @classmethod
    def _changed(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes that arguments of `load` stand for."""
        return attributes(given)


def scored(env: VecEnv) -> VecEnv:
    """Return an env with scores as actions: as it is, or wrapped.

    Parameters
    ----------
    env : VecEnv
        Of MultiMEC envs, in any wrappers.

    Returns
    -------
    VecEnv

    Raises
    ------
    TypeError
        If it is not a MultiMEC env, or takes neither assignments nor scores.
    ValueError
        If the copies differ in their scenarios.

    Examples
    --------
    >>> from mec_gym.envs.sb3 import make_sb3_vec_env
    >>> scored(make_sb3_vec_env("paper-30x2", scores=True)).action_space.shape
    (60,)
    """
    if isinstance(env.action_space, Box) and env.has_attr("scenario"):
        scenario: Scenario = env.get_attr("scenario")[0]
        size = scenario.n_servers * scenario.n_devices
        if env.action_space == Box(0.0, 1.0, (size,), np.float32):
            return env
        raise TypeError(
            f"env must take assignments, or scores in Box(0, 1, ({size},), float32); got "
            f'{env.action_space}. Use gymnasium.make("{ENV_ID}", scenario=...) as it is.'
        )
    # Refuses whatever else it is.
    return VotedVecEnv(env)
