"""The base of policies that need no gradient: they read each slot out of its observation.

Their files are zip archives, as Stable-Baselines3's, with one JSON text in them and no pickle.
"""

from __future__ import annotations

import json
import zlib
from abc import abstractmethod
from collections.abc import Set
from typing import Any, ClassVar, TypeVar

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

try:
    from stable_baselines3.common.base_class import BaseAlgorithm, maybe_make_env
    from stable_baselines3.common.policies import BasePolicy
    from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize
except ModuleNotFoundError as error:
    raise gym.error.DependencyNotInstalled(
        "the policies of baselines need Stable-Baselines3: "
        'pip install "mec-gym[sb3]", or in a clone pip install ".[sb3]". '
        "Their functions, e.g. baselines.greedy, do without it."
    ) from error

from mec_gym import ENV_ID, Scenario, Slot, slot_from_observation
from mec_gym.envs.sb3 import vectorised, world_of
from mec_gym.envs.sb3_model import dump_progress
from mec_gym.files import read_zip, write_zip
from mec_gym.model.arrays import in_shape
from mec_gym.validation import plain, plain_seed, real_array, require_integer

Self = TypeVar("Self", bound="SlotPolicy")
Assignment = NDArray[np.int64]

FORMAT, VERSION, MEMBER = "mec-gym/policy", 1, "policy.json"
FIELDS = {"format", "version", "algorithm", "scenario", "observation", "state"}
LARGEST = 2**28
"""Bytes of JSON that are read at most: a file may come from anywhere."""


class SlotPolicy(BaseAlgorithm):
    """Base of the policies that read the slot out of each observation and decide it by a function.

    A subclass implements :meth:`decide`, names its constructor's arguments in `settings` and what
    :meth:`tune` finds in `learned`; both have to be numbers, text, None or lists of these.

    `env` is a MultiMEC env, alone or vectorised, that takes assignments and whose observations
    nothing changes on the way; without it, :meth:`set_env` has to come first. `seed` is that of
    tuning, of what is random in decisions, and of the env. All else is as everywhere in
    Stable-Baselines3. The env's `scenario` and `observation_kind`, "db", "raw" or "flat", are the
    policy's.

    `predict` refuses observations that no such env gives. A normalised observation from elsewhere
    can lie within those bounds; it then passes for that of another slot.

    Examples
    --------
    >>> class BestGain(SlotPolicy):
    ...     def decide(self, scenario, slot, *, deterministic):
    ...         return 1 + slot.gains.argmax(axis=-1)
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> BestGain(env).predict(env.reset(seed=0)[0])[0].shape
    (30,)
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
        self._state: Any = None
        if env is not None:
            self.set_env(maybe_make_env(env, verbose))
        self._setup_model()

    @abstractmethod
    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return the assignments, shape (..., N), for a slot or a batch; see :meth:`predict`."""

    def tune(self, scenario: Scenario) -> None:
        """Find what `learned` names, on slots drawn for this; most rules have nothing to find."""

    def check_scenario(self, scenario: Scenario) -> None:
        """Raise ``ValueError`` if the policy, as it is set and tuned, cannot decide a scenario."""

    def rng_of(self, slot: Slot) -> np.random.Generator:
        """Return a generator for one slot, from the seed and its gains alone, in any batch."""
        return np.random.default_rng([self.seed or 0, zlib.crc32(slot.gains.tobytes())])

    # -- the interface of Stable-Baselines3 -----------------------------------------------------

    def _setup_model(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self.set_random_seed(self.seed)

    def set_random_seed(self, seed: int | None = None) -> None:
        """Restart what is random in decisions, and as all of Stable-Baselines3 the env's seeds."""
        if seed is None:
            return
        self._rng = np.random.default_rng(seed)
        if self.env is not None:
            super().set_random_seed(seed)

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Decide in another env from now on, of any number of copies, and as many N and M."""
        env = self._wrap_env(vectorised(env), self.verbose)
        scenario, kind = world_of(env)
        if self.scenario is not None:
            _require_same_sizes(self.scenario, scenario)
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

        With ``total_timesteps=0`` it takes no step. One episode in `log_interval` is logged.
        """
        scenario = self._require_env("learn")
        assert self.env is not None
        if reset_num_timesteps or self._last_obs is None:  # else the episodes go on
            self._state = None
        total, callback = self._setup_learn(
            total_timesteps,
            callback,
            reset_num_timesteps,
            tb_log_name or type(self).__name__,
            progress_bar,
        )
        callback.on_training_start(locals(), globals())
        if reset_num_timesteps or self._untuned():
            self.tune(scenario)
        callback.on_rollout_start()
        while self.num_timesteps < total:
            assert self._last_obs is not None
            starts = self._last_episode_starts
            actions, self._state = self.predict(self._last_obs, self._state, starts)
            observations, rewards, dones, infos = self.env.step(actions)
            self._last_obs = observations  # type: ignore[assignment]  # no tuples here
            self._last_episode_starts = dones
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
    ) -> tuple[Assignment, Any]:
        """Return decisions, shape (..., N), for one observation or a batch of them, and `state`.

        Only a policy with a memory reads `state`, what the call before gave back, and
        `episode_start`, which says in which copies an episode begins. `deterministic` asks a policy
        that draws for equal decisions for equal observations. ``RuntimeError`` before the policy
        has met an env or is tuned, ``ValueError`` for an observation of another shape, or with
        values that the env never shows.
        """
        scenario = self._require_env("predict")
        if self._untuned():
            raise RuntimeError(
                f"{type(self).__name__} must be tuned before it decides: call learn(0), which "
                f"takes no step in the env, or give its value to the constructor."
            )
        try:
            _require_within(self.observation_space, observation, scenario.n_devices)
            slot = slot_from_observation(scenario, observation, self.observation_kind)
        except ValueError as error:
            raise ValueError(
                f"{error} {type(self).__name__} decides for {scenario.n_devices} devices and "
                f"{scenario.n_servers} servers seen through "
                f"observation={self.observation_kind!r}; for another env, make another policy."
            ) from error
        if 0 in slot.batch_shape:
            return np.zeros((*slot.batch_shape, scenario.n_devices), dtype=np.int64), state
        decisions, state = self.respond(scenario, slot, state, episode_start, deterministic)
        return np.asarray(decisions, dtype=np.int64), state

    def respond(
        self, scenario: Scenario, slot: Slot, state: Any, _episode_start: Any, deterministic: bool
    ) -> tuple[Assignment, Any]:
        """Return what :meth:`decide` says, and the state; a policy with a memory changes it."""
        return self.decide(scenario, slot, deterministic=deterministic), state

    def _untuned(self) -> bool:
        return any(getattr(self, name) is None for name in self.learned)

    def _require_env(self, what: str) -> Scenario:
        if self.scenario is None or (what == "learn" and self.env is None):
            raise RuntimeError(
                f"{what} needs an env: give one to {type(self).__name__}(env), load(path, env) or "
                'set_env(env), e.g. gymnasium.make("mec_gym/MultiMEC-v0", scenario=...).'
            )
        return self.scenario

    def dump_logs(self) -> None:
        """Write the means of the last episodes, the number of steps and their rate to the log."""
        self.logger.record("time/episodes", self._episode_num, exclude="tensorboard")
        dump_progress(self)

    # -- files ------------------------------------------------------------------------------------

    def save(self, path: Any, exclude: Any = None, include: Any = None) -> None:
        """Write the policy to a path, with or without ".zip", or to a file; all else is unused."""
        scenario = self._require_env("save")
        state = {name: plain(getattr(self, name)) for name in (*self.settings, *self.learned)}
        content = {
            "format": FORMAT,
            "version": VERSION,
            "algorithm": type(self).__name__,
            "scenario": json.loads(scenario.to_json()),
            "observation": self.observation_kind,
            "state": state | {"seed": self.seed, "num_timesteps": self.num_timesteps},
        }
        text = json.dumps(content, indent=1, allow_nan=False)
        write_zip(path, {MEMBER: text.encode("utf-8")})

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
        """Return a policy as :meth:`save` wrote it; without an env it predicts in its scenario.

        `**kwargs` are constructor arguments to change; `device`, `custom_objects` and
        `print_system_info` are not used. ``ValueError`` for a file that is damaged, of something
        else, of another policy, or of other numbers of devices or servers than the env's.
        """
        scenario, kind, state = _read(path, cls.__name__, {*cls.settings, *cls.learned})
        steps, learned = state.pop("num_timesteps"), {name: state.pop(name) for name in cls.learned}
        try:
            model = cls(**(state | kwargs))
            model.scenario, model.observation_kind = scenario, kind
            spaces = gym.make(ENV_ID, scenario=scenario, observation=kind)
            model.observation_space = spaces.observation_space
            model.action_space = spaces.action_space
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

    def get_parameters(self) -> dict[str, Any]:
        """Return what :meth:`tune` found, by name; {} for a rule that finds nothing."""
        return {name: getattr(self, name) for name in self.learned}

    def set_parameters(
        self, load_path_or_dict: Any, exact_match: bool = True, device: Any = "auto"
    ) -> None:
        """Take what another policy of this class found, from its file or ``get_parameters()``.

        With `exact_match` all names must be there; `device` is not used. ``ValueError`` for what
        does not fit: the policy stays as it was.
        """
        given = load_path_or_dict
        if not isinstance(given, dict):
            _, _, state = _read(given, type(self).__name__, {*self.settings, *self.learned})
            given = {name: state[name] for name in self.learned}
        if not set(given) <= set(self.learned) or (exact_match and len(given) < len(self.learned)):
            raise ValueError(
                f"parameters of {type(self).__name__} must be {sorted(self.learned)}; got "
                f"{sorted(given)}."
            )
        before = self.get_parameters()
        vars(self).update(given)
        try:
            if self.scenario is not None:
                self.check_scenario(self.scenario)
        except (TypeError, ValueError):
            vars(self).update(before)
            raise

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return [], []


def _read(path: Any, algorithm: str, names: Set[str]) -> tuple[Scenario, str, dict[str, Any]]:
    """Return scenario, kind of observations and state, with `names`, of a saved policy."""
    members = read_zip(path, largest=LARGEST)
    try:
        content = json.loads(members[MEMBER].decode("utf-8"))
    except (KeyError, RecursionError, ValueError) as error:
        raise ValueError(f"{path} is not a saved policy, or damaged: {error}") from error
    if not isinstance(content, dict) or set(content) != FIELDS or content["format"] != FORMAT:
        raise ValueError(f"{path} is not a saved policy: it lacks {FORMAT!r} and its fields.")
    if content["version"] != VERSION:
        raise ValueError(
            f"{path} has version {content['version']!r} of the format; this is for {VERSION}."
        )
    if content["algorithm"] != algorithm:
        raise ValueError(
            f"{path} holds a {content['algorithm']!r}, not a {algorithm}: load it with its own "
            "class."
        )
    state, kind = content["state"], content["observation"]
    expected = {"seed", "num_timesteps", *names}
    if not isinstance(state, dict) or set(state) != expected:
        raise ValueError(f"{path} must hold the state {sorted(expected)} of a {algorithm}.")
    if not isinstance(state["num_timesteps"], int) or kind not in ("db", "raw", "flat"):
        raise ValueError(f"{path} is damaged: its steps or its observations are none.")
    try:
        scenario = Scenario.from_json(json.dumps(content["scenario"]))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: its scenario is refused: {error}") from error
    return scenario, kind, state


def _require_within(space: Any, observation: Any, n_devices: int) -> None:
    """Refuse observations beyond the bounds of their space, if they can have its shape."""
    values = in_shape(real_array("observation", observation), space.shape, n_devices)
    if values.shape[values.ndim - len(space.shape) :] != space.shape:
        return
    outside = ~((values >= space.low) & (values <= space.high))
    if outside.any():
        first = tuple(int(index) for index in np.argwhere(outside)[0])
        raise ValueError(
            f"observation must be finite and within the env's space; got {values[first]!s} at "
            f"index {first}. Leave out wrappers that change observations, VecNormalize among them."
        )


def _require_same_sizes(known: Scenario, other: Scenario) -> None:
    sizes = [(one.n_devices, one.n_servers) for one in (known, other)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"env must have {sizes[0][0]} devices and {sizes[0][1]} servers, as this policy's "
            f"scenario {known.name!r}; got {sizes[1][0]} and {sizes[1][1]}. Make another policy "
            "for it."
        )
