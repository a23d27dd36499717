"""The paper's actor-critic (AC): Stable-Baselines3's A2C, fitted to slots that are independent."""

from __future__ import annotations

import math
from typing import Any, ClassVar, TypeVar

import torch
from stable_baselines3 import A2C
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from baselines.learners.categorical import OffloadingActorCriticPolicy, ScaledValue
from baselines.learners.learner import (
    MECLog,
    loading,
    require_arguments,
    require_env,
    require_fitting,
)
from baselines.learners.link_policy import LinkPolicy, fading, world_of_links
from baselines.learners.voting import replacing, require_copies
from mec_gym.envs.sb3 import shown_as, vectorised, world_of
from mec_gym.validation import dict_of, require_policy

Self = TypeVar("Self", bound="ActorCritic")

MEMORY = 0.01
"""Weight of the newest slots in the running mean and spread of returns."""

NETWORKS: dict[str, Any] = {"net_arch": {"pi": [64], "vf": [64]}, "activation_fn": nn.ReLU}
"""What `policy_kwargs` holds where nothing else is said."""

LINKS: dict[str, Any] = {"policy": "LinkPolicy", "ent_coef": 0.002, "max_grad_norm": 1.0}
"""Arguments for :class:`~baselines.learners.link_policy.LinkPolicy`."""

_LEAST_INTEGERS = {"batch_size": 2}  # advantages are compared within a batch

_NUMBERS = {
    "gamma": "[0, 1]",
    "gae_lambda": "[0, 1]",
    "ent_coef": "[0, inf)",
    "vf_coef": "[0, inf)",
    "max_grad_norm": "(0, inf]",
}


class ActorCritic(MECLog, A2C):
    """Actor-critic over assignments: each device's choice has probabilities, learned together.

    The actor maps the observation to N · (M + 1) logits, the critic to the slot's expected reward.
    What a slot's reward exceeds that by, the advantage, makes the choices that were drawn more
    probable, all N by the same amount: which of them were good is found out over many slots.

    What all learners share, see :mod:`baselines.learners`; other arguments are as in
    Stable-Baselines3's A2C.

    Parameters
    ----------
    policy : str or type
        "MlpPolicy"; "LinkPolicy", one network for all links that follows a critic which is a sum
        over links and loads, best with the arguments :data:`LINKS`; or a subclass of
        :class:`OffloadingActorCriticPolicy`.
    env : gymnasium.Env, gymnasium VectorEnv, VecEnv or str
        One that takes assignments.
    batch_size : int
        Slots per gradient step, shared out among the copies of the env; at least 2, since the
        slots of a batch are compared.
    gae_lambda : float
        Of no effect where `gamma` is 0.
    ent_coef, vf_coef : float
        Weights of the entropy of all choices and of the critic's loss. "LinkPolicy" lowers the
        first to a tenth in the course of :meth:`learn` and has no use for the second.
    max_grad_norm : float
        Longest gradient.

    Notes
    -----
    Advantages and the critic's errors are measured in the running spread of returns, and the
    critic's output is scaled to it.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> model = ActorCritic(env=env, batch_size=16, seed=0).learn(32)
    >>> model.predict(env.reset(seed=1)[0], deterministic=True)[0].shape
    (30,)
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": OffloadingActorCriticPolicy,
        "LinkPolicy": LinkPolicy,
    }

    def __init__(
        self,
        policy: str | type[OffloadingActorCriticPolicy] = "MlpPolicy",
        env: Any = None,
        learning_rate: float | Schedule = 3e-3,
        batch_size: int = 128,
        gamma: float = 0.0,
        gae_lambda: float = 1.0,
        ent_coef: float = 0.003,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        stats_window_size: int = 100,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        if _init_setup_model:
            require_env(type(self), env)
        require_policy(policy, self.policy_aliases, OffloadingActorCriticPolicy)
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            gamma=gamma,
            gae_lambda=gae_lambda,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            use_rms_prop=False,
            normalize_advantage=True,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=NETWORKS | dict_of("policy_kwargs", policy_kwargs),
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
        )
        self.batch_size = batch_size
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        require_arguments(self, _LEAST_INTEGERS, _NUMBERS)
        self.n_steps = math.ceil(self.batch_size / self.n_envs)
        self.policy_kwargs = self.policy_kwargs | self._known(self.env)
        super()._setup_model()

    def _known(self, env: VecEnv | None) -> dict[str, Any]:
        """Return what the policy has to know of an env, where there is one."""
        known: dict[str, Any] = {}
        if env is not None:
            scenario, _ = world_of(env, plain=False)
            known["can_execute_locally"] = scenario.can_execute_locally.tolist()
        if issubclass(self.policy_class, LinkPolicy):
            known |= world_of_links(env, self.gamma)
        return known

    def train(self) -> None:
        """Take one gradient step on the slots just gathered."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        if isinstance(self.policy, LinkPolicy):
            self._improve_links(self.policy)
            return
        (batch,) = self.rollout_buffer.get(batch_size=None)
        head = self.policy.value_net
        assert isinstance(head, ScaledValue)
        head.follow(batch.returns, MEMORY)
        values, log_prob, entropy = self.policy.evaluate_actions(batch.observations, batch.actions)
        assert entropy is not None

        advantages = batch.advantages / head.scale
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        actor_loss = -(advantages * log_prob).mean()
        critic_loss = ((batch.returns - values.flatten()) / head.scale).square().mean()
        loss = actor_loss + self.vf_coef * critic_loss
        if self.ent_coef:  # else its gradient would be computed for nothing
            loss = loss - self.ent_coef * entropy.mean()

        self.policy.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if math.isfinite(self.max_grad_norm):
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        self._n_updates += 1
        buffer = self.rollout_buffer
        self._log_training(
            {
                "explained_variance": explained_variance(
                    buffer.values.flatten(), buffer.returns.flatten()
                ),
                "entropy": (entropy.mean() / batch.actions.shape[1]).item(),
                "policy_loss": actor_loss.item(),
                "value_loss": critic_loss.item(),
            }
        )

    def _improve_links(self, policy: LinkPolicy) -> None:
        """Learn costs from the slots just gathered, then follow them."""
        weight = fading(self.ent_coef, self._current_progress_remaining)
        figures = policy.improve(self.rollout_buffer, weight, self.max_grad_norm)
        self._n_updates += 1
        self._log_training(figures)

    def learn(
        self: Self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: Any = 10,  # None means no log
        tb_log_name: str = "ActorCritic",
        *args: Any,
        **kwargs: Any,
    ) -> Self:
        """Train for some slots, in batches of a gradient step; one in `log_interval` is logged."""
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, *args, **kwargs)

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        """Turn any env into a VecEnv, and refuse what is no MultiMEC env that takes assignments."""
        wrapped = A2C._wrap_env(vectorised(env), verbose, monitor_wrapper)
        world_of(wrapped, plain=False)
        return wrapped

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Train in another env of as many devices, servers and copies, unlike :meth:`load`."""
        env = shown_as(self._wrap_env(env, self.verbose), self.observation_space)
        scenario, _ = world_of(env, plain=False)
        require_fitting(_sizes(self.action_space), self.observation_space, scenario, env)
        require_copies(self, env)
        known = self._known(env)
        if isinstance(self.policy, LinkPolicy):
            self.policy.meet(scenario)
        super().set_env(env, force_reset)
        self.policy_kwargs = self.policy_kwargs | known
        assert isinstance(self.policy, OffloadingActorCriticPolicy)
        self.policy.set_legal(known["can_execute_locally"])

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
        """Return a model as ``save`` wrote it, in an env of any number of copies or without one.

        `**kwargs` replace the file's arguments. As all files of Stable-Baselines3's algorithms it
        can hold code: load none from strangers. ``TypeError`` or ``ValueError`` for an env that
        does not fit, an argument that the constructor refuses, or a file of another algorithm.
        """
        if env is not None:
            env = cls._wrap_env(env)
            with loading(path, cls):
                data, _, _ = load_from_zip_file(path, device=device, custom_objects=custom_objects)
                assert data is not None, "No data found in the saved file"
                kind = data["policy_class"]
                require_policy(kind, cls.policy_aliases, OffloadingActorCriticPolicy)
            seen, sizes = data["observation_space"], _sizes(data["action_space"])
            env = shown_as(env, seen)
            scenario, _ = world_of(env, plain=issubclass(kind, LinkPolicy))
            require_fitting(sizes, seen, scenario, env)
            before = data["policy_kwargs"].get("scenario")
        changed = replacing(cls, kwargs)
        with loading(path, cls, kwargs.keys()):
            model = super().load(
                path, env, device, custom_objects, print_system_info, force_reset, **changed
            )
        if env is not None and isinstance(model.policy, LinkPolicy) and scenario != before:
            model.policy.links.critic.unit.zero_()  # costs have another one there
        return model


def _sizes(space: Any) -> tuple[int, int]:
    """Return N and M of a space of assignments."""
    return len(space.nvec), int(space.nvec[0]) - 1
