"""What Stable-Baselines3 expects of an algorithm, fitted to mec_gym: envs, files and logs."""

from __future__ import annotations

import copy
import sys
import time
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, TypeVar

import gymnasium as gym
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.utils import safe_mean
from stable_baselines3.common.vec_env import VecEnv

from dirs_agents.agent import Agent
from dirs_agents.policies import PricePolicy, VotingPolicy
from dirs_agents.pretraining import Pretraining
from dirs_agents.replay import PrioritisedReplay
from dirs_agents.state import (
    model_content,
    parameters_of,
    read_model,
    settings_of,
    take_env_state,
    take_training_state,
    take_weights,
    write_model,
)
from mec_gym import ENV_ID, Scenario
from mec_gym.envs.observation import ObservationCoder
from mec_gym.envs.sb3 import shown_as, vectorised, world_of
from mec_gym.validation import constructor_parameters, require_known

SelfAlgorithm = TypeVar("SelfAlgorithm", bound="OffloadingAlgorithm")


class OffloadingAlgorithm(BaseAlgorithm):
    """An algorithm with a voting policy on the env of mec_gym; a subclass brings the training."""

    policy: VotingPolicy
    replay_buffer: PrioritisedReplay
    scenario: Scenario
    observation_kind: str
    optimizer: torch.optim.Optimizer
    _averages: Averages
    _pretraining: Pretraining

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        return BaseAlgorithm._wrap_env(vectorised(env), verbose, monitor_wrapper)

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Change the env; it must have the scenario's numbers of devices and servers.

        Other kinds of observations are shown to the model as the kind that it knows.
        If anything else of the scenario differs, the replay buffer begins empty and the next
        ``learn`` imitates demonstrations of the new one.
        """
        wrapped = shown_as(self._wrap_env(env, self.verbose), self.observation_space)
        scenario, kind = world_of(wrapped)
        self._require_same_sizes(scenario, kind)
        super().set_env(wrapped, force_reset)
        if scenario != self.scenario:
            self.scenario = scenario
            self._move_policy()
            self._forget_labels()

    @abstractmethod
    def _forget_labels(self) -> None:
        """Empty the replay buffer: what was best in another scenario need not be so in this one."""

    def _new_policy(self) -> VotingPolicy:
        policy_class: Any = self.policy_class
        known, takes_others = constructor_parameters(policy_class)
        # A class from elsewhere may keep some for itself.
        if not takes_others and policy_class.__module__.startswith("dirs_agents."):
            require_known(f"policy_kwargs of {policy_class.__name__}", self.policy_kwargs, known)
        policy: VotingPolicy = policy_class(
            self.observation_space,
            self.action_space,
            self.lr_schedule,
            scenario=self.scenario,
            observation=self.observation_kind,
            **self.policy_kwargs,
        ).to(self.device)
        return policy

    def _move_policy(self) -> None:
        """Let the policy know the scenario; its parameters, which the optimizer holds, stay."""
        moved = self._new_policy()
        for name, module in moved.named_modules():
            module._parameters = self.policy.get_submodule(name)._parameters
        moved.set_training_mode(False)
        self.policy = moved

    def _require_same_sizes(self, scenario: Scenario, kind: str) -> None:
        mine, theirs = _sizes(self.scenario), _sizes(scenario)
        if mine != theirs or kind != self.observation_kind:
            raise ValueError(
                f"the model is for N={mine[0]} devices, M={mine[1]} servers, further columns "
                f"{list(mine[2])} and observation={self.observation_kind!r}; the env has "
                f"N={theirs[0]}, M={theirs[1]}, {list(theirs[2])} and observation={kind!r}."
            )

    # -- distributed inference ------------------------------------------------------------------

    def agent(self, server: int, *, admission: bool | None = None) -> Agent:
        """Return what one server runs: a copy of its network, which decides on its own gains.

        Parameters
        ----------
        server : int
            j in 1...M, as in an assignment; ``mec_j`` of the PettingZoo env.
        admission : bool, optional
            Whether the vote is followed by the servers' admission; as the policy does by default.
            False where the vote is final, as in the PettingZoo env: scores then use full prices.
        """
        if not 1 <= server <= self.scenario.n_servers:
            raise ValueError(f"server must lie in 1...{self.scenario.n_servers}; got {server!r}.")
        bank = self.policy.bank.single(server - 1)
        admits = getattr(self.policy, "admission", False)
        if admission is not None and admission != admits:
            if not isinstance(self.policy, PricePolicy):
                raise ValueError("admission=True needs a PricePolicy; other agents know no price.")
            admits = admission
            bank.markdown = self.policy.markdown if admits else 1.0
            bank.admission = admits
        ahead = getattr(self.policy, "foresight", None) if self.policy.remembers else None
        if ahead is not None:
            ahead = ahead.single(server - 1)
        coder = self.policy.coder.alone(server - 1)
        return Agent(server, bank, coder, admission=admits, foresight=ahead)

    # -- files ----------------------------------------------------------------------------------

    def save(
        self,
        path: Any,
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
    ) -> None:
        """Write model and training state to a file that runs no code when loaded.

        Weights, optimizer, replay buffer, generators and the env's state: enough to continue
        exactly. The file is complete or, if writing fails, as it was before; it stays so, too,
        where a weight is not finite, which raises ``FloatingPointError``.

        Parameters
        ----------
        path : path or binary file
            ``.zip`` is added where a path has no suffix.
        exclude : iterable of str, optional
            Parts to leave out: "training" (all but the weights) or "env".
        """
        del include
        write_model(path, model_content(self, left_out=set(exclude or ())))

    def save_replay_buffer(self, path: Any) -> None:
        """Write the replay buffer alone; :meth:`save` holds it, too."""
        write_model(path, {"replay": self.replay_buffer.get_state()})

    def load_replay_buffer(self, path: Any) -> None:
        """Read a replay buffer that :meth:`save_replay_buffer` wrote."""
        content = read_model(path)
        if "replay" not in content:
            raise ValueError(f"{path} holds no replay buffer; load() reads models.")
        self.replay_buffer.set_state(content["replay"])
        self._pretraining.keep_labels()

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
            parameters = parameters_of(self, read_model(parameters), str(parameters))
        before: Any = copy.deepcopy(self.get_parameters())
        try:
            super().set_parameters(parameters, exact_match, device)
        except Exception:
            super().set_parameters(before)
            raise

    @classmethod
    def load(
        cls: type[SelfAlgorithm],
        path: Any,
        env: GymEnv | gym.vector.VectorEnv[Any, Any, Any] | None = None,
        device: torch.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ) -> SelfAlgorithm:
        """Read a model that :meth:`save` wrote, at `path` or in a binary file.

        ``FileNotFoundError`` if there is none; ``TypeError`` or ``ValueError`` for a damaged or
        foreign file, or one for another N or M.

        Parameters
        ----------
        env : as for the constructor, optional
            To train on or to decide in. A model of price-posting agents takes any N and M. If
            anything of the scenario differs, the replay buffer begins empty and the next
            ``learn`` imitates demonstrations of the new one.
        custom_objects : dict, optional
            "policy": the class of a policy of your own; "learning_rate": a schedule.
        force_reset : bool
            True begins new episodes. False brings `env` to where it was: with
            ``learn(remaining, reset_num_timesteps=False)`` training then goes on exactly as if it
            had never stopped.
        **kwargs
            Hyper-parameters that replace the file's. Where demonstrations are half-made and one of
            theirs is replaced, ``learn`` drops them and begins anew; complete ones are kept.
        """
        del print_system_info
        content = read_model(path)
        settings, policy = settings_of(content, str(path), kwargs, custom_objects or {}, cls)
        build: Any = cls
        model: SelfAlgorithm = build(policy, device=device, _init_setup_model=False, **settings)
        model.scenario = Scenario.from_json(content["scenario"])
        model.observation_kind = content["observation"]
        same_world = model._take_env(env)
        model._setup_model()
        take_weights(model, content["weights"], str(path))
        if "training" in content:
            state = content["training"]
            take_training_state(model, state, reseed="seed" in kwargs, same_world=same_world)
            if not force_reset:  # refuses another scenario by its fields
                take_env_state(model, state)
        return model

    def _take_env(self, env: Any) -> bool:
        """Take the env of a loaded model; return whether it has the model's scenario."""
        scenario, kind = self.scenario, self.observation_kind
        wrapped = None
        if env is not None:
            known = ObservationCoder(scenario, kind).space()
            wrapped = shown_as(self._wrap_env(env, self.verbose), known)
            scenario, kind = world_of(wrapped)
        policy_class: Any = self.policy_class
        if not policy_class.any_size or _sizes(scenario)[2] != _sizes(self.scenario)[2]:
            self._require_same_sizes(scenario, kind)
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
        logger = self.logger
        if self.ep_info_buffer:
            for key, name in (("r", "ep_rew_mean"), ("l", "ep_len_mean")):
                mean = safe_mean([info[key] for info in self.ep_info_buffer])
                logger.record(f"rollout/{name}", mean)
        with torch.no_grad():
            square = sum(float(weight.square().sum()) for weight in self.policy.parameters())
        logger.record("train/l2", square)
        logger.record("train/learning_rate", self.optimizer.param_groups[0]["lr"])
        logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        if self.replay_buffer.size:
            weights = self.replay_buffer.weights()
            logger.record("replay/size", self.replay_buffer.size)
            logger.record("replay/priority_mean", weights.mean())
            logger.record("replay/priority_max", weights.max())
        elapsed = max((time.time_ns() - self.start_time) / 1e9, sys.float_info.epsilon)
        steps = self.num_timesteps - self._num_timesteps_at_start
        logger.record("time/fps", int(steps / elapsed))
        logger.record("time/time_elapsed", int(elapsed), exclude="tensorboard")
        logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        logger.dump(step=self.num_timesteps)

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "optimizer"], []


def _sizes(scenario: Scenario) -> tuple[int, int, tuple[str, ...]]:
    """Return N, M and what the columns beside gains hold."""
    others = [*ObservationCoder(scenario).task_scales]
    others += ["hosts"] * scenario.migrates + ["presence"] * scenario.absences
    return scenario.n_devices, scenario.n_servers, tuple(others)


class Averages:
    """Means by name since they were last taken; `sums`, [total, count], travel in checkpoints."""

    def __init__(self) -> None:
        self.sums: dict[str, list[float]] = {}

    def add(self, name: str, value: Any) -> None:
        """Note a value."""
        entry = self.sums.setdefault(name, [0.0, 0.0])
        entry[0] += float(value)
        entry[1] += 1.0

    def take(self) -> dict[str, float]:
        """Return the means and begin anew."""
        means = {name: total / count for name, (total, count) in self.sums.items()}
        self.sums = {}
        return means
