"""DDPG, the paper's comparison: Stable-Baselines3's, fitted to slots and to the vote."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import stable_baselines3
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import BaseBuffer, ReplayBuffer
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.utils import update_learning_rate
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.td3.policies import TD3Policy

from baselines.learners.learner import (
    OFF_POLICY_NETWORKS,
    mean_and_spread,
    require_env,
    require_memory,
    require_networks,
    require_off_policy,
)
from baselines.learners.link_policy import STRAYS, LinkScorePolicy, StrayNoise, world_of_links
from baselines.learners.voting import VotePolicy, VotingAlgorithm, saturated
from mec_gym.validation import dict_of, require_policy

LINKS: dict[str, Any] = {
    "policy": "LinkPolicy",
    "learning_rate": 3e-3,
    "actor_rate": 1.0,
    "noise": STRAYS,
}
"""Arguments for :class:`~baselines.learners.link_policy.LinkScorePolicy`."""

_NUMBERS = {"actor_rate": "[0, inf)", "noise": "[0, inf)", "tau": "(0, 1]", "gamma": "[0, 1]"}


class DDPG(VotingAlgorithm, stable_baselines3.DDPG):
    """Deep deterministic policy gradient over scores, voted into assignments.

    The actor maps the observation to M · N scores, the critic values them; the actor follows the
    critic's gradient. Training is Stable-Baselines3's, step by step. Its own are the critic's
    view of scores (:class:`~baselines.learners.voting.VoteCritic`), exploration
    (:class:`SharedNoise`), the replay buffer (:class:`SlotReplay`) and defaults for this problem.

    What all learners share, see :mod:`baselines.learners`; other arguments are as in
    Stable-Baselines3's DDPG.

    Parameters
    ----------
    policy : str or type
        "MlpPolicy", a :class:`~baselines.learners.voting.VotePolicy`; "LinkPolicy", a
        :class:`~baselines.learners.link_policy.LinkScorePolicy`, best with the arguments
        :data:`LINKS`; or a policy class of Stable-Baselines3's TD3.
    env : gymnasium.Env, gymnasium VectorEnv, VecEnv or str
        Where it takes assignments, `predict` returns assignments; where scores, scores.
    learning_rate : float or callable
        Of the critic's Adam.
    actor_rate : float
        The actor's learning rate in shares of the critic's, which it should not outrun.
    learning_starts : int
        Slots before the first gradient step. They explore like all others: scores drawn evenly,
        as Stable-Baselines3 would, send every device somewhere where there are many servers.
    gradient_steps : int, optional
        Of a round of training; by default one for each copy of the env, so that how many copies
        there are does not change the number per slot. A file keeps any other number.
    noise : float
        Standard deviation of :class:`SharedNoise`, where no `action_noise` is given; with
        "LinkPolicy" the share of :class:`~baselines.learners.link_policy.StrayNoise`.
    replay_buffer_class, replay_buffer_kwargs, optimize_memory_usage, n_steps
        As in Stable-Baselines3; :class:`SlotReplay` by default.

    References
    ----------
    T. P. Lillicrap et al., "Continuous control with deep reinforcement learning", ICLR 2016.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> model = DDPG(env=env, learning_starts=10, seed=0).learn(20)
    >>> model.predict(env.reset(seed=1)[0], deterministic=True)[0].shape
    (30,)
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": VotePolicy,
        "LinkPolicy": LinkScorePolicy,
    }

    def __init__(
        self,
        policy: str | type[TD3Policy] = "MlpPolicy",
        env: Any = None,
        learning_rate: Any = 1e-3,
        buffer_size: int = 20_000,
        learning_starts: int = 200,
        batch_size: int = 64,
        tau: float = 0.005,
        gamma: float = 0.0,
        train_freq: int | tuple[int, str] = 4,
        gradient_steps: int | None = None,
        *,
        actor_rate: float = 0.1,
        noise: float = 0.3,
        policy_kwargs: dict[str, Any] | None = None,
        _init_setup_model: bool = True,
        **kwargs: Any,
    ) -> None:
        if _init_setup_model:
            require_env(type(self), env)
        require_policy(policy, self.policy_aliases, TD3Policy, LinkScorePolicy)
        self.actor_rate, self.noise = actor_rate, noise
        self.own_noise = kwargs.get("action_noise") is None
        self.steps_by_copies: int | None = None
        super().__init__(
            policy,
            env,
            learning_rate,
            buffer_size,
            learning_starts,
            batch_size,
            tau,
            gamma,
            train_freq,
            gradient_steps,  # type: ignore[arg-type]  # None until set up
            policy_kwargs=dict_of("policy_kwargs", policy_kwargs),
            _init_setup_model=_init_setup_model,
            **kwargs,
        )

    def _setup_model(self) -> None:
        self._count_steps()
        require_off_policy(self, _NUMBERS, n_steps=1)
        kind = self.replay_buffer_class
        if kind is not None and not (isinstance(kind, type) and issubclass(kind, ReplayBuffer)):
            raise TypeError(
                "replay_buffer_class must be a subclass of Stable-Baselines3's ReplayBuffer, or "
                f"None; got {kind!r}."
            )
        if "net_arch" in self.policy_kwargs:
            widths = require_networks(self.policy_kwargs["net_arch"], OFF_POLICY_NETWORKS)
            self.policy_kwargs["net_arch"] = widths
        self._remember_world(self.env)
        links = issubclass(self.policy_class, LinkScorePolicy)
        if links:
            self.policy_kwargs |= world_of_links(self.env, self.gamma, assignments=False)
            self.policy_kwargs.pop("n_critics", None)  # the library's DDPG asks for one
        given = dict_of("replay_buffer_kwargs", self.replay_buffer_kwargs)
        own = {}
        if kind is None and self.n_steps == 1:
            self.replay_buffer_class = SlotReplay
            own = {"next_observations": self.gamma > 0.0, "standardised": not links}
        self.replay_buffer_kwargs = own | given  # a copy, to which the library may add
        if issubclass(self.policy_class, VotePolicy):
            self.policy_kwargs["n_servers"] = self.scenario.n_servers
        if self.own_noise:
            size = (self.scenario.n_servers, self.scenario.n_devices)
            kind_of_noise = StrayNoise if links else SharedNoise
            self.action_noise = kind_of_noise(*size, self.noise) if self.noise > 0.0 else None
        super()._setup_model()
        # A file holds what was given: load() chooses anew.
        self.replay_buffer_class, self.replay_buffer_kwargs = kind, given

    def _count_steps(self) -> None:
        """Take as many gradient steps as there are copies now, unless the caller has chosen."""
        if self.gradient_steps is None or self.gradient_steps == self.steps_by_copies:
            self.gradient_steps = self.steps_by_copies = self.n_envs
        else:
            self.steps_by_copies = None

    @classmethod
    def _changed(cls, given: dict[str, Any]) -> dict[str, Any]:
        said = {"steps_by_copies": None} if "gradient_steps" in given else {}
        return super()._changed(given) | said

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        return super()._sample_action(0, action_noise, n_envs)

    def _update_learning_rate(self, optimizers: Any) -> None:
        super()._update_learning_rate(optimizers)
        rate = self.lr_schedule(self._current_progress_remaining)
        update_learning_rate(self.actor.optimizer, self.actor_rate * rate)

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Take gradient steps, as Stable-Baselines3's, and log what shows whether they help."""
        if isinstance(self.policy, LinkScorePolicy):
            self._improve_links(gradient_steps, batch_size, 1.0)
            return
        super().train(gradient_steps, batch_size)
        with torch.no_grad():
            scores = self.actor(self.policy.obs_to_tensor(self._last_obs)[0])  # type: ignore[arg-type]
        self.logger.record("train/saturated", saturated(scores))
        if isinstance(self.replay_buffer, SlotReplay):
            mean, deviation = self.replay_buffer.reward_scale()
            self.logger.record("train/reward_mean", mean)
            self.logger.record("train/reward_deviation", deviation)


class SharedNoise(ActionNoise):
    """Normal noise on the scores, within [-1, 1], of M servers for N devices, part of it shared.

    Noise of its own on every score hardly changes how many devices offload, and where to. So part
    is drawn once for each device (whether it offloads), once for each server (how many come to it)
    and once for all (how many offload). What tells servers apart has half the deviation of the
    other parts, `deviation`: a device follows the highest of M scores, and that is high.
    """

    def __init__(self, n_servers: int, n_devices: int, deviation: float) -> None:
        super().__init__()
        self.n_servers, self.n_devices, self.deviation = n_servers, n_devices, deviation

    def __call__(self) -> NDArray[np.float32]:
        """Draw the noise of one slot, shape (M · N,)."""
        rows, columns = self.n_servers, self.n_devices
        parts = (((rows, columns), 0.5), ((rows, 1), 0.5), ((1, columns), 1.0), ((1, 1), 1.0))
        # From the generator that the library seeds, as its own noises.
        normal = np.random.normal
        noise = sum(share * normal(size=shape) for shape, share in parts)
        return (self.deviation * np.asarray(noise)).astype(np.float32).ravel()


class SlotReplay(ReplayBuffer):
    """Stable-Baselines3's replay buffer, fitted to large slots that are independent.

    Scores are kept in half precision: within 0.0005 of what they were. Rewards are sampled less the
    mean of all that the buffer holds, by their standard deviation, so that a critic's errors, and
    with them its learning rate, do not depend on the `reward` of the env. Where episodes have no
    end (the env's only time out), that changes no policy's rank, whatever the discount.

    Unless `standardised`, they are sampled as they are.

    Without `next_observations` each slot stands for its own successor, which a discount of 0 never
    looks at; ``optimize_memory_usage`` has nothing left to save then and is refused.
    """

    def __init__(
        self,
        *args: Any,
        optimize_memory_usage: bool = False,
        next_observations: bool = True,
        standardised: bool = True,
        **kwargs: Any,
    ) -> None:
        # Past ReplayBuffer's own constructor, which would allocate twice as much.
        BaseBuffer.__init__(self, *args, **kwargs)
        if optimize_memory_usage:
            raise ValueError(
                "SlotReplay needs optimize_memory_usage=False; for less memory choose a smaller "
                "buffer_size, or a discount of 0."
            )
        self.optimize_memory_usage = False
        self.handle_timeout_termination = True
        self.keeps_next, self.standardised = next_observations, standardised
        require_memory(self.buffer_size, self.bytes_of_a_slot)
        self.buffer_size = max(self.buffer_size // self.n_envs, 1)
        rows, seen = (self.buffer_size, self.n_envs), self.observation_space.dtype
        self.observations = np.zeros((*rows, *self.obs_shape), dtype=seen)
        self.next_observations = self.observations
        if next_observations:
            self.next_observations = np.zeros_like(self.observations)
        self.actions = np.zeros((*rows, self.action_dim), dtype=np.float16)
        self.rewards, self.dones, self.timeouts = np.zeros((3, *rows), dtype=np.float32)

    @property
    def bytes_of_a_slot(self) -> int:
        """Memory that one slot takes, [B]."""
        seen = int(np.prod(self.obs_shape)) * np.dtype(self.observation_space.dtype).itemsize
        return seen * (1 + self.keeps_next) + 2 * self.action_dim + 3 * 4

    def add(
        self,
        obs: NDArray[Any],
        next_obs: NDArray[Any],
        action: NDArray[Any],
        reward: NDArray[Any],
        done: NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Keep a slot of each of B copies, its scores `action`, (B, M · N), scaled to [-1, 1]."""
        place = self.pos
        self.observations[place] = obs
        if self.keeps_next:
            self.next_observations[place] = next_obs
        self.actions[place] = action.reshape(self.n_envs, self.action_dim)
        self.rewards[place], self.dones[place] = reward, done
        self.timeouts[place] = [info.get("TimeLimit.truncated", False) for info in infos]
        self.pos = (place + 1) % self.buffer_size
        self.full = self.full or self.pos == 0

    def reward_scale(self) -> tuple[float, float]:
        """Return what rewards are standardised by: their mean and deviation, 1 if all are alike."""
        mean, deviation = mean_and_spread(self.rewards[: self.size()])
        return mean, deviation or 1.0

    def _get_samples(
        self, batch_inds: NDArray[np.int64], env: VecNormalize | None = None
    ) -> ReplayBufferSamples:
        # The generator that the library seeds and that the base class draws slots from.
        copies = np.random.randint(0, self.n_envs, size=len(batch_inds))  # noqa: NPY002
        places = (batch_inds, copies)

        def shown(kept: NDArray[Any]) -> torch.Tensor:
            return self.to_torch(np.asarray(self._normalize_obs(kept[places], env)))

        ended = self.dones[places] * (1.0 - self.timeouts[places])
        mean, deviation = self.reward_scale() if self.standardised else (0.0, 1.0)
        standard = (self.rewards[places] - mean) / deviation
        return ReplayBufferSamples(
            observations=shown(self.observations),
            actions=self.to_torch(self.actions[places].astype(np.float32)),
            next_observations=shown(self.next_observations),
            dones=self.to_torch(ended.reshape(-1, 1)),
            rewards=self.to_torch(standard.astype(np.float32).reshape(-1, 1)),
        )
