"""A base for algorithms of Stable-Baselines3's kind whose files bring training back exactly.

It knows env, files and logs, and nothing of learning: that is the subclasses', in packages that do
not know each other. Files are packed without pickle (:mod:`mec_gym.packing`).
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import os
import sys
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.common.utils import get_system_info, safe_mean
from stable_baselines3.common.vec_env import VecEnv

from mec_gym.envs.observation import ObservationCoder
from mec_gym.envs.offloading import ENV_ID
from mec_gym.envs.sb3 import shown_as, vectorised, world_of
from mec_gym.envs.sb3_state import env_state, set_env_state
from mec_gym.model.arrays import in_shape, plain_array
from mec_gym.packing import Format
from mec_gym.scenario import Scenario
from mec_gym.validation import constructor_parameters, require_known

Self = TypeVar("Self", bound="ResumableAlgorithm")

PARTS = ("training", "env")
"""What :meth:`ResumableAlgorithm.save` may leave out."""

FIGURES = ("latency_s", "energy_j", "objective", "migrations", "nrr")
"""Figures of the env's info that are logged, where it has them; nrr where it knows the optimum."""

_COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates", "_episode_num")


class ResumableAlgorithm(BaseAlgorithm):
    """An algorithm on MultiMEC envs that :meth:`load` brings back to exactly where it was saved.

    A subclass calls :meth:`_set_up` at the end of its constructor, makes what learns besides
    `policy`, `optimizer` and `rng` in :meth:`_begin_anew`, and draws from `rng` alone. It says what
    its files are (`file_format`), which envs a loaded model fits (:meth:`_require_loadable`), and
    what it goes on from besides weights, optimizer, counters, generator and env
    (:meth:`_own_state`).
    Its constructor's arguments are kept as attributes by their names, in every file.
    """

    exact_resume: ClassVar[bool] = True
    """:meth:`load` brings back env and generators: training goes on as if never stopped."""
    logs_env_figures: ClassVar[bool] = True
    """Training logs the figures in the env's infos, as ``mec/...``."""
    file_format: ClassVar[Format]

    scenario: Scenario
    observation_kind: str
    optimizer: torch.optim.Optimizer
    rng: np.random.Generator
    _averages: Averages

    # -- what a subclass brings -----------------------------------------------------------------

    def _own_state(self) -> dict[str, Any]:
        """Return what this algorithm goes on from besides what all do, as files can hold it."""
        return {}

    @abstractmethod
    def _take_own_state(self, state: Mapping[str, Any], *, same_world: bool) -> None:
        """Go back to what :meth:`_own_state` returned, as far as it holds in another scenario."""

    def _require_loadable(self, scenario: Scenario, kind: str) -> None:
        """Raise ``ValueError`` unless the model, once loaded, can decide in a scenario."""
        self._require_same_sizes(scenario, kind)

    def _enter_scenario(self) -> None:
        """Follow ``set_env`` into `scenario`, another one of the same sizes."""

    def _begin_anew(self) -> None:
        """Forget what was found in another scenario, or nothing yet; weights stay."""

    def _optimizer_arguments(self) -> dict[str, Any]:
        """Return what Adam is given besides parameters and rate."""
        return {}

    @property
    def rollout_steps(self) -> int:
        """Slots of each copy of the env that gradient steps wait for, if they do."""
        return 0

    @property
    def unlearned(self) -> bool:
        """Whether all of them are there: to learn no further slot is to learn from them."""
        return False

    # -- construction ---------------------------------------------------------------------------

    @classmethod
    def hyperparameters(cls) -> tuple[str, ...]:
        """Return the names of the constructor's arguments that a model file holds."""
        names = inspect.signature(cls.__init__).parameters
        elsewhere = ("self", "policy", "env", "device", "_init_setup_model")
        return tuple(name for name in names if name not in elsewhere)

    def _set_up(self, env: Any, init_setup_model: bool) -> None:
        """End a constructor; ``ValueError`` without an env, unless the model is being loaded."""
        if self.tensorboard_log is not None:
            self.tensorboard_log = os.fspath(self.tensorboard_log)
        self.stats_window_size = self._stats_window_size  # a file holds it by this name
        self._averages = Averages()
        if env is not None:
            assert self.env is not None
            self.scenario, self.observation_kind = world_of(self.env)
        if init_setup_model:
            if env is None:
                raise ValueError(
                    f"env is needed: gym.make({ENV_ID!r}, scenario=...), its vector form, or "
                    "make_sb3_vec_env(...). A trained model is read by "
                    f"{type(self).__name__}.load(path)."
                )
            self.file_format.require_storable(self._stored_settings())  # not after training
            self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self.rng = np.random.default_rng(self.seed)
        self.policy = self._new_policy()
        self.optimizer = torch.optim.Adam(
            self.policy.parameters(),
            lr=float(self.lr_schedule(1.0)),
            fused=True,
            **self._optimizer_arguments(),
        )
        self._begin_anew()

    def _new_policy(self) -> Any:
        policy_class: Any = self.policy_class
        known, takes_others = constructor_parameters(policy_class)
        # A class from elsewhere may keep some for itself.
        if not takes_others and policy_class in self.policy_aliases.values():
            require_known(f"policy_kwargs of {policy_class.__name__}", self.policy_kwargs, known)
        return policy_class(
            self.observation_space,
            self.action_space,
            self.lr_schedule,
            scenario=self.scenario,
            observation=self.observation_kind,
            **self.policy_kwargs,
        ).to(self.device)

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        return BaseAlgorithm._wrap_env(vectorised(env), verbose, monitor_wrapper)

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Change the env; it must have the scenario's numbers of devices and servers.

        Other kinds of observations are shown to the model as the kind that it knows.
        """
        wrapped = shown_as(self._wrap_env(env, self.verbose), self.observation_space)
        scenario, kind = world_of(wrapped)
        self._require_same_sizes(scenario, kind)
        self._require_loadable(scenario, kind)
        if self.env is None:  # a loaded model knows no number of copies
            self.n_envs = wrapped.num_envs
        super().set_env(wrapped, force_reset)
        if scenario != self.scenario:
            self.scenario = scenario
            self._enter_scenario()

    def _require_same_sizes(self, scenario: Scenario, kind: str) -> None:
        mine, theirs = sizes_of(self.scenario), sizes_of(scenario)
        if mine != theirs or kind != self.observation_kind:
            raise ValueError(
                f"the model is for N={mine[0]} devices, M={mine[1]} servers, further columns "
                f"{list(mine[2])} and observation={self.observation_kind!r}; the env has "
                f"N={theirs[0]}, M={theirs[1]}, {list(theirs[2])} and observation={kind!r}."
            )

    # -- acting ---------------------------------------------------------------------------------

    def _require_env(self) -> None:
        if self.env is None:
            name = type(self).__name__
            raise ValueError(f"learn() needs an env: {name}.load(path, env=env) or set_env(env).")

    def _act(self, decisions: NDArray[np.int64]) -> tuple[Any, Any, list[dict[str, Any]]]:
        """Carry out the decisions of one slot in every copy, and move on."""
        assert self.env is not None
        observations, rewards, dones, infos = self.env.step(decisions)
        self._last_obs = np.asarray(observations)
        self._last_episode_starts = dones
        self.num_timesteps += self.n_envs
        self._update_info_buffer(infos, dones)
        self._averages.note(infos)
        return rewards, dones, infos

    # -- files ----------------------------------------------------------------------------------

    def save(
        self, path: Any, exclude: Iterable[str] | None = None, include: Iterable[str] | None = None
    ) -> None:
        """Write model and training state to a file that runs no code when loaded.

        Weights, optimizer, generators, the env's state and what else this algorithm goes on from:
        enough to continue exactly. The file is complete or, if writing fails, as it was before; it
        stays so, too, where a weight is not finite, which raises ``FloatingPointError``.

        Parameters
        ----------
        path : path or binary file
            ``.zip`` is added where a path has no suffix.
        exclude : iterable of str, optional
            Parts to leave out: "training" (all but the weights) or "env".
        """
        del include
        self.file_format.write(path, self._content(set(exclude or ())))

    def _content(self, left_out: set[str]) -> dict[str, Any]:
        """Return what a file needs to hold, without the parts that are left out."""
        require_known("part to exclude", left_out, PARTS)
        for name, parameter in self.policy.named_parameters():
            if not bool(torch.isfinite(parameter).all()):
                raise FloatingPointError(
                    f"the model is not saved: {name} is not finite at slot {self.num_timesteps}."
                )
        content = {
            "policy": self._policy_name(),
            "hyperparameters": self._stored_settings(),
            "scenario": self.scenario.to_json(),
            "observation": self.observation_kind,
            "weights": dict(self.policy.state_dict()),
        }
        if "training" not in left_out:
            content["training"] = self.training_state(with_env="env" not in left_out)
        return content

    def _stored_settings(self) -> dict[str, Any]:
        settings = {name: getattr(self, name) for name in self.hyperparameters()}
        if callable(settings["learning_rate"]):
            # A function is code: who loads the file gives it again.
            settings["learning_rate"] = None
        return settings

    def _policy_name(self) -> str:
        for name, known in self.policy_aliases.items():
            if known is self.policy_class:
                return str(name)
        return f"{self.policy_class.__module__}:{self.policy_class.__qualname__}"

    def training_state(self, *, with_env: bool) -> dict[str, Any]:
        """Return what training goes on from, weights apart; a copy, but for the optimizer's."""
        optimizer = self.optimizer.state_dict()
        state = {
            "optimizer": {str(key): value for key, value in optimizer["state"].items()},
            "generator": self.rng.bit_generator.state,
            "averages": copy.deepcopy(self._averages.sums),
            "progress_remaining": self._current_progress_remaining,
            "counters": {name: getattr(self, name) for name in _COUNTERS},
            "episodes": [
                {key: float(value) for key, value in info.items()}
                for info in self.ep_info_buffer or ()
            ],
            "own": self._own_state(),
            "env": None,
        }
        if with_env and self.env is not None and self._last_obs is not None:
            starts = self._last_episode_starts
            last = {"observations": self._last_obs, "starts": np.asarray(starts, dtype=bool)}
            state["env"] = last | {"state": env_state(self.env)}
        return state

    def take_training_state(
        self, state: Mapping[str, Any], *, reseed: bool = False, same_world: bool = True
    ) -> None:
        """Go back to what :meth:`training_state` returned, the env apart.

        With `reseed` the generator stays as it is: the caller gave another seed. For another
        scenario than the file's, what was learned of that one alone is left out.
        """
        self.optimizer.load_state_dict(self._optimizer_state(state))
        if not reseed:
            self.rng.bit_generator.state = state["generator"]
        for name in _COUNTERS:
            setattr(self, name, state["counters"][name])
        self.ep_info_buffer = deque(state["episodes"], maxlen=self._stats_window_size)
        self.ep_success_buffer = deque(maxlen=self._stats_window_size)
        if same_world:
            self._averages.sums = copy.deepcopy(state["averages"])
            self._current_progress_remaining = state["progress_remaining"]
        self._take_own_state(state["own"], same_world=same_world)

    def _optimizer_state(self, state: Mapping[str, Any]) -> dict[str, Any]:
        optimizer: dict[str, Any] = self.optimizer.state_dict()
        return optimizer | {"state": {int(key): one for key, one in state["optimizer"].items()}}

    def _take_env_state(self, state: Mapping[str, Any]) -> None:
        """Bring the env to where the file's was; ``ValueError`` for another kind of env."""
        if self.env is None or state["env"] is None:
            return
        set_env_state(self.env, state["env"]["state"])
        self._last_obs = state["env"]["observations"]
        self._last_episode_starts = state["env"]["starts"]

    @classmethod
    def _read(cls, path: Any) -> Any:
        return cls.file_format.read(path, tensor=torch.from_numpy)

    def set_parameters(
        self, load_path_or_dict: Any, exact_match: bool = True, device: Any = "auto"
    ) -> None:
        """Take weights and the optimizer's state from a file or from ``get_parameters()``.

        Counters, replay buffer and env stay as they are. Parameters that do not fit are refused
        as by Stable-Baselines3, and the model then stays as it was.

        Parameters
        ----------
        load_path_or_dict : path, binary file or dict
            What :meth:`save` wrote, or parts by name, "policy" and "optimizer".
        exact_match : bool
            Whether both parts, and in them all entries, must be there; a file that was saved with
            ``exclude={"training"}`` holds no optimizer.
        device : optional
            Not used: tensors go where the model is.
        """
        parameters = load_path_or_dict
        if not isinstance(parameters, dict):
            content = self._read(parameters)
            if "weights" not in content:
                raise ValueError(f"{load_path_or_dict} holds no weights; save() writes models.")
            parameters = {"policy": content["weights"]}
            if "training" in content:
                parameters["optimizer"] = self._optimizer_state(content["training"])
        before: Any = copy.deepcopy(self.get_parameters())
        try:
            super().set_parameters(parameters, exact_match, device)
        except Exception:
            super().set_parameters(before)
            raise

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "optimizer"], []

    @classmethod
    def load(
        cls: type[Self],
        path: Any,
        env: Any = None,
        device: torch.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Read a model that :meth:`save` wrote, at `path` or in a binary file.

        ``FileNotFoundError`` if there is none; ``TypeError`` or ``ValueError`` for a damaged or
        foreign file, or one for another N or M where the policy does not take any.

        Parameters
        ----------
        env : as for the constructor, optional
            To train on or to decide in. If anything of the scenario differs, what was learned of
            the file's alone, such as a replay buffer, is left out.
        custom_objects : dict, optional
            What replaces the file's and no file holds: "policy", the class of a policy of your own;
            "learning_rate", a schedule.
        print_system_info : bool
            Print the versions of what is installed here.
        force_reset : bool
            True begins new episodes. False brings `env` to where it was: with
            ``learn(remaining, reset_num_timesteps=False)`` training then goes on exactly as if it
            had never stopped.
        **kwargs
            Hyper-parameters that replace the file's.
        """
        if print_system_info:
            get_system_info()
        content = cls._read(path)
        settings, policy = cls._settings_of(content, str(path), kwargs, custom_objects or {})
        build: Any = cls
        model: Self = build(policy, device=device, _init_setup_model=False, **settings)
        model.scenario = Scenario.from_json(content["scenario"])
        model.observation_kind = content["observation"]
        same_world = model._take_env(env)
        model._setup_model()
        model._take_weights(content["weights"], str(path))
        if not same_world:
            model._begin_anew()
        if "training" in content:
            state = content["training"]
            with _whole(path):
                model.take_training_state(state, reseed="seed" in kwargs, same_world=same_world)
                if not force_reset:  # refuses another scenario by its fields
                    model._take_env_state(state)
        return model

    @classmethod
    def _settings_of(
        cls, content: Any, path: str, replaced: Mapping[str, Any], objects: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Any]:
        """Return the constructor's arguments and the policy that a file asks for.

        `replaced` are hyper-parameters that replace the file's; `objects` what no file holds, a
        function as "learning_rate" and a class of the user's own as "policy".
        """
        needed = ("policy", "hyperparameters", "scenario", "observation", "weights")
        is_model = isinstance(content, Mapping)
        missing = [part for part in needed if not is_model or part not in content]
        if missing:
            raise ValueError(f"{path} is damaged: it lacks {', '.join(missing)}.")
        require_known("hyper-parameter", replaced, cls.hyperparameters())
        require_known("custom object", objects, ("policy", "learning_rate"))
        with _whole(path):
            require_known("hyper-parameter", content["hyperparameters"], cls.hyperparameters())
            settings = dict(content["hyperparameters"]) | dict(replaced)
            settings["learning_rate"] = objects.get("learning_rate", settings["learning_rate"])
        if settings["learning_rate"] is None:
            raise ValueError(
                "the model was trained with a function as learning_rate, which no file holds: give "
                "custom_objects={'learning_rate': function}."
            )
        policy = objects.get("policy", content["policy"])
        if isinstance(policy, str) and policy not in cls.policy_aliases:
            raise ValueError(
                f"the model has a policy of its own, {policy}: give custom_objects="
                "{'policy': the class}."
            )
        return settings, policy

    def _take_weights(self, weights: Mapping[str, torch.Tensor], path: str) -> None:
        """Put a file's weights into the policy, or raise ``ValueError`` if they do not fit."""
        try:
            self.policy.load_state_dict(weights)
        except (RuntimeError, AttributeError, TypeError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise ValueError(f"{path} does not fit the policy that it names: {reason}") from error

    def _take_env(self, env: Any) -> bool:
        """Take the env of a loaded model; return whether it has the model's scenario."""
        scenario, kind = self.scenario, self.observation_kind
        wrapped = None
        if env is not None:
            known = ObservationCoder(scenario, kind).space()
            wrapped = shown_as(self._wrap_env(env, self.verbose), known)
            scenario, kind = world_of(wrapped)
        self._require_loadable(scenario, kind)
        same = scenario == self.scenario and kind == self.observation_kind
        self.scenario, self.observation_kind = scenario, kind
        spaces: Any = wrapped
        if spaces is None:
            spaces = gym.make(ENV_ID, scenario=scenario, observation=kind).unwrapped
        self.observation_space, self.action_space = spaces.observation_space, spaces.action_space
        self.env = wrapped
        self.n_envs = wrapped.num_envs if wrapped is not None else 1
        return same

    # -- logging --------------------------------------------------------------------------------

    def record_averages(self) -> None:
        """Hand the means since the last time to the logger, to be written with what comes next."""
        for name, value in self._averages.take().items():
            self.logger.record(name, value)

    def dump_logs(self, iteration: int = 0) -> None:
        """Write what has been noted since the last time, in Stable-Baselines3's tags."""
        del iteration
        self.record_averages()
        self.logger.record("train/learning_rate", self.optimizer.param_groups[0]["lr"])
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        dump_progress(self)


def dump_progress(model: BaseAlgorithm) -> None:
    """Write a log's entry: what it has been given, the last episodes' means, slots, their rate."""
    logger = model.logger
    if model.ep_info_buffer:
        for key, name in (("r", "ep_rew_mean"), ("l", "ep_len_mean")):
            mean = safe_mean([info[key] for info in model.ep_info_buffer])
            logger.record(f"rollout/{name}", mean)
    elapsed = max((time.time_ns() - model.start_time) / 1e9, sys.float_info.epsilon)
    steps = model.num_timesteps - model._num_timesteps_at_start
    logger.record("time/fps", int(steps / elapsed))
    logger.record("time/time_elapsed", int(elapsed), exclude="tensorboard")
    logger.record("time/total_timesteps", model.num_timesteps, exclude="tensorboard")
    logger.dump(step=model.num_timesteps)


@contextlib.contextmanager
def _whole(path: Any) -> Iterator[None]:
    """Raise ``ValueError`` that names a file where it lacks something, or holds something else."""
    try:
        yield
    except (AttributeError, KeyError, TypeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} is damaged, or another release wrote it: {reason}") from error


def sizes_of(scenario: Scenario) -> tuple[int, int, tuple[str, ...]]:
    """Return N, M and what the columns beside gains hold."""
    others = [*ObservationCoder(scenario).task_scales]
    others += ["hosts"] * scenario.migrates + ["presence"] * scenario.absences
    return scenario.n_devices, scenario.n_servers, tuple(others)


class AnyArray(BasePolicy):
    """Lets a policy of Stable-Baselines3 take arrays of any layout, byte order and precision.

    Named before that policy among the bases. Slots may come as tables of `n_devices` rows or as
    vectors, whichever the policy was made for.
    """

    n_devices: int

    def obs_to_tensor(self, observation: Any) -> tuple[PyTorchObs, bool]:
        """Return an observation, or a batch, as a tensor, and whether it is a batch."""
        shape = self.observation_space.shape
        if isinstance(observation, dict) or shape is None:
            return super().obs_to_tensor(observation)
        return super().obs_to_tensor(in_shape(plain_array(observation), shape, self.n_devices))


class WorldPolicy(AnyArray):
    """A policy for a scenario, and for observations of a kind, the env's.

    `lr_schedule` is not used: the algorithm owns the optimizer.
    """

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        lr_schedule: Any = None,
        *,
        scenario: Scenario,
        observation: str = "flat",
    ) -> None:
        del lr_schedule
        super().__init__(observation_space, action_space)
        self.observation_kind = observation
        self.meet(scenario)

    def meet(self, scenario: Scenario) -> None:
        """Decide in another scenario from now on, with the same weights."""
        self.scenario, self.n_devices = scenario, scenario.n_devices

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "scenario": self.scenario,
            "observation": self.observation_kind,
        }


class Averages:
    """Means by name since they were last taken; `sums`, [total, count], travel in checkpoints."""

    def __init__(self) -> None:
        self.sums: dict[str, list[float]] = {}

    def add(self, name: str, value: Any) -> None:
        """Note a value."""
        entry = self.sums.setdefault(name, [0.0, 0.0])
        entry[0] += float(value)
        entry[1] += 1.0

    def note(self, infos: Iterable[Mapping[str, Any]]) -> None:
        """Note the figures of an env's infos."""
        for info in infos:
            for name in FIGURES:
                if name in info:
                    self.add(f"mec/{name}", info[name])

    def take(self) -> dict[str, float]:
        """Return the means and begin anew."""
        means = {name: total / count for name, (total, count) in self.sums.items()}
        self.sums = {}
        return means
