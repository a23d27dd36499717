"""A policy that needs no gradient: it reads the slot out of each observation and decides it."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm, maybe_make_env
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.utils import safe_mean
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from baselines.policies.requirements import (
    require_same_sizes,
    require_within,
    spaces_of,
)
from baselines.policies.saved import read, write
from mec_gym import Scenario, Slot, slot_from_observation
from mec_gym.envs.sb3 import vectorised, world_of
from mec_gym.validation import plain, plain_seed, require_integer

Self = TypeVar("Self", bound="SlotPolicy")


class SlotPolicy(BaseAlgorithm):
    """Base of the policies that decide a slot by a rule or a search.

    A subclass implements :meth:`decide`, names its constructor's arguments in `settings` and what
    :meth:`tune` finds in `learned`; both have to be numbers, text, None or lists of these.

    Parameters
    ----------
    env : gymnasium.Env, VecEnv or str, optional
        A MultiMEC env, alone or vectorised, whose observations nothing changes on the way.
        Without it, :meth:`set_env` has to come before anything else.
    seed : int, optional
        Of tuning, of what is random in decisions, and of the env.
    verbose, tensorboard_log, stats_window_size
        As everywhere in Stable-Baselines3.

    Attributes
    ----------
    scenario : Scenario or None
        The env's; None before there is an env.
    observation_kind : str
        The env's ``observation``: "db", "raw" or "flat".

    Raises
    ------
    TypeError, ValueError
        For an env that does not show its slots as they are, or takes no assignments; for a seed or
        `stats_window_size` out of its range.

    Notes
    -----
    `predict` refuses observations that no such env gives. A normalised observation from elsewhere,
    say from an evaluation env of its own, can lie within those bounds; it then passes for that of
    another slot.
    """

    settings: ClassVar[tuple[str, ...]] = ()
    learned: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        env: Any = None,
        *,
        seed: int | None = None,
        verbose: int = 0,
        tensorboard_log: str | None = None,
        stats_window_size: int = 100,
    ) -> None:
        require_integer("stats_window_size", stats_window_size, 1)
        super().__init__(
            policy=BasePolicy,
            env=None,
            learning_rate=0.0,
            stats_window_size=int(stats_window_size),
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device="cpu",
            support_multi_env=True,
            seed=plain_seed(seed),
        )
        self.scenario: Scenario | None = None
        self.observation_kind = ""
        if env is not None:
            self.set_env(maybe_make_env(env, verbose))
        self._setup_model()

    @abstractmethod
    def decide(self, slot: Slot, *, deterministic: bool) -> NDArray[np.int64]:
        """Return the assignments for a slot or a batch of slots, shape (..., N)."""

    def tune(self) -> None:
        """Find what `learned` names, on slots drawn for this; most rules have nothing to find."""

    def check_scenario(self, scenario: Scenario) -> None:
        """Raise ``ValueError`` if the policy, as it is set and tuned, cannot decide a scenario."""

    # -- the interface of Stable-Baselines3 -----------------------------------------------------

    def _setup_model(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self.set_random_seed(self.seed)

    def set_random_seed(self, seed: int | None = None) -> None:
        """Restart what is random in decisions, and as all of Stable-Baselines3 the env's seeds.

        Parameters
        ----------
        seed : int, optional
            Without it nothing happens.
        """
        if seed is None:
            return
        self._rng = np.random.default_rng(seed)
        if self.env is not None:
            super().set_random_seed(seed)

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Make an env this policy's own; its scenario is from now on the policy's.

        Parameters
        ----------
        env : gymnasium.Env or VecEnv
            With any number of copies, and as many devices and servers as the env before.
        force_reset : bool
            Whether the next :meth:`learn` begins with a reset.
        """
        env = self._wrap_env(vectorised(env), self.verbose)
        scenario, kind = world_of(env)
        if self.scenario is not None:
            require_same_sizes(self.scenario, scenario)
        self.check_scenario(scenario)
        self.scenario, self.observation_kind = scenario, kind
        self.env: VecEnv | None = env
        self.n_envs = env.num_envs
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self._vec_normalize_env = unwrap_vec_normalize(env)
        if force_reset:
            self._last_obs = None

    def learn(
        self: Self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int | None = 100,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Tune, if there is anything to tune, then act for some steps, so that callbacks measure.

        Parameters
        ----------
        total_timesteps : int
            Steps in the env; 0 for tuning alone.
        callback, tb_log_name, reset_num_timesteps, progress_bar
            As everywhere in Stable-Baselines3.
        log_interval : int, optional
            Episodes between two entries of the log.

        Returns
        -------
        SlotPolicy
            Itself.
        """
        self._require_env("learn")
        assert self.env is not None
        total, callback = self._setup_learn(
            total_timesteps,
            callback,
            reset_num_timesteps,
            tb_log_name or type(self).__name__,
            progress_bar,
        )
        callback.on_training_start(locals(), globals())
        if reset_num_timesteps or any(getattr(self, name) is None for name in self.learned):
            self.tune()
        callback.on_rollout_start()
        while self.num_timesteps < total:
            assert self._last_obs is not None
            actions, _ = self.predict(self._last_obs)
            observations, rewards, dones, infos = self.env.step(actions)
            self._last_obs = observations  # type: ignore[assignment]  # no tuples here
            self.num_timesteps += self.env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                break
            self._update_info_buffer(infos, dones)
            self._update_current_progress_remaining(self.num_timesteps, total)
            for _ in range(int(dones.sum())):
                self._episode_num += 1
                if log_interval and self._episode_num % log_interval == 0:
                    self.dump_logs()
        callback.on_rollout_end()
        callback.on_training_end()
        return self

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], Any]:
        """Return the decisions for one observation or a batch of them.

        Parameters
        ----------
        observation : array_like, shape (...,) + that of one observation
            From a MultiMEC env of the policy's scenario.
        state, episode_start
            Not used; slots are independent of each other.
        deterministic : bool
            Whether equal observations get equal decisions from a policy that draws.

        Returns
        -------
        actions : ndarray, shape (..., N), int64
            0 = local, j = server j.
        state : object
            As given.

        Raises
        ------
        RuntimeError
            Before the policy has met an env, or before `learn` has tuned what needs tuning.
        ValueError
            For an observation of another shape, or with values that the env never shows.
        """
        self._require_env("predict")
        assert self.scenario is not None
        untuned = [name for name in self.learned if getattr(self, name) is None]
        if untuned:
            raise RuntimeError(
                f"{type(self).__name__} must be tuned before it decides: call learn(0), which "
                f"takes no step in the env, or give its value to the constructor."
            )
        try:
            require_within(self.observation_space, observation)
            slot = slot_from_observation(self.scenario, observation, self.observation_kind)
        except ValueError as error:
            raise ValueError(
                f"{error} {type(self).__name__} decides for {self.scenario.n_devices} devices and "
                f"{self.scenario.n_servers} servers seen through "
                f"observation={self.observation_kind!r}; for another env, make another policy."
            ) from error
        if 0 in slot.batch_shape:
            return np.zeros((*slot.batch_shape, self.scenario.n_devices), dtype=np.int64), state
        return np.asarray(self.decide(slot, deterministic=deterministic), dtype=np.int64), state

    def _require_env(self, what: str) -> None:
        missing = self.scenario is None or (what == "learn" and self.env is None)
        if missing:
            raise RuntimeError(
                f"{what} needs an env: give one to {type(self).__name__}(env), load(path, env) or "
                'set_env(env), e.g. gymnasium.make("mec_gym/MultiMEC-v0", scenario=...).'
            )

    def dump_logs(self) -> None:
        """Write the means of the last episodes, the number of steps and their rate to the log."""
        assert self.ep_info_buffer is not None
        seconds = max((time.time_ns() - self.start_time) / 1e9, 1e-9)
        if self.ep_info_buffer:
            for key, name in (("r", "ep_rew_mean"), ("l", "ep_len_mean")):
                mean = safe_mean([episode[key] for episode in self.ep_info_buffer])
                self.logger.record(f"rollout/{name}", mean)
        self.logger.record("time/episodes", self._episode_num, exclude="tensorboard")
        steps = self.num_timesteps - self._num_timesteps_at_start
        self.logger.record("time/fps", int(steps / seconds))
        self.logger.record("time/time_elapsed", int(seconds), exclude="tensorboard")
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(step=self.num_timesteps)

    def save(self, path: Any, exclude: Any = None, include: Any = None) -> None:
        """Write the policy to a zip archive that holds one JSON text, no pickle.

        Parameters
        ----------
        path : str, path or binary file
            ".zip" is added to a name without suffix.
        exclude, include
            Not used; there is nothing to leave out.

        Raises
        ------
        RuntimeError
            Before the policy has met an env.
        """
        self._require_env("save")
        assert self.scenario is not None
        state = {name: plain(getattr(self, name)) for name in (*self.settings, *self.learned)}
        kept = {"seed": self.seed, "num_timesteps": self.num_timesteps}
        write(path, type(self).__name__, self.scenario, self.observation_kind, state | kept)

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
        """Return a policy as :meth:`save` wrote it.

        Parameters
        ----------
        path : str, path or binary file
            ".zip" may be left out.
        env : gymnasium.Env or VecEnv, optional
            As for :meth:`set_env`; without it the policy predicts in the scenario of the file.
        device, custom_objects, print_system_info
            Not used.
        force_reset : bool
            As for :meth:`set_env`.
        **kwargs
            Constructor arguments to change.

        Returns
        -------
        SlotPolicy

        Raises
        ------
        ValueError
            For a file that is damaged, of something else, of another policy, or of other numbers
            of devices or servers than the env's.
        """
        scenario, kind, state = read(path, cls.__name__, {*cls.settings, *cls.learned})
        steps, learned = state.pop("num_timesteps"), {name: state.pop(name) for name in cls.learned}
        try:
            model = cls(**(state | kwargs))
            model.scenario, model.observation_kind = scenario, kind
            model.observation_space, model.action_space = spaces_of(scenario, kind)
            for name, value in learned.items():
                if getattr(model, name) is None:  # else an argument says what it is
                    setattr(model, name, value)
            model.check_scenario(scenario)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} does not hold a usable {cls.__name__}: {error}") from error
        model.num_timesteps = steps
        if env is not None:
            model.set_env(maybe_make_env(env, model.verbose), force_reset)
            model.set_random_seed(model.seed)
        return model

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return [], []
