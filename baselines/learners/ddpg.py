"""DDPG, the paper's comparison: Stable-Baselines3's, fitted to slots and to the vote."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.noise import ActionNoise, NormalActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.utils import update_learning_rate
from stable_baselines3.td3.policies import TD3Policy

from baselines.learners.mec_log import MECLog
from baselines.learners.slot_replay import SlotReplay
from baselines.learners.vote_policy import VotePolicy
from baselines.learners.voting import VotingAlgorithm

SATURATED = 0.95
"""A score scaled to [-1, 1] counts as saturated beyond this: tanh hardly lets it come back."""


class DDPG(VotingAlgorithm, MECLog, stable_baselines3.DDPG):
    """Deep deterministic policy gradient over scores, voted into assignments.

    The actor maps the observation to M · N scores, the critic values them; the actor follows the
    critic's gradient. Training is Stable-Baselines3's, step by step. Its own are the critic's
    view of scores (:class:`~baselines.learners.vote_policy.VoteCritic`), the replay buffer
    (:class:`~baselines.learners.slot_replay.SlotReplay`) and defaults for this problem.

    Parameters
    ----------
    policy : str or type
        "MlpPolicy", a :class:`~baselines.learners.vote_policy.VotePolicy`, or a policy class of
        Stable-Baselines3's TD3.
    env : gymnasium.Env, gymnasium VectorEnv, VecEnv or str
        A MultiMEC env. Where it takes assignments, `predict` returns assignments; where it takes
        scores already, scores.
    learning_rate : float or callable
        Of the critic's Adam.
    actor_rate : float
        The actor's learning rate in shares of the critic's. An actor as fast as its critic
        follows what the critic has not learned yet and saturates.
    buffer_size : int
        Slots kept.
    learning_starts : int
        Slots with random scores before training.
    batch_size : int
        Slots per gradient step.
    tau : float
        Of the target networks, which are idle where `gamma` is 0.
    gamma : float
        Discount. Slots are independent and no decision changes what comes next: with 0 the critic
        learns the reward of the slot, which is all that a decision can change; any other adds the
        noise of later slots to its targets.
    train_freq, gradient_steps
        As in Stable-Baselines3: `gradient_steps` after every `train_freq` steps of all copies.
    noise : float
        Standard deviation of the exploration's normal noise on scores scaled to [-1, 1], where
        no `action_noise` is given.
    action_noise : ActionNoise, optional
        Another exploration.
    replay_buffer_class, replay_buffer_kwargs, optimize_memory_usage, n_steps
        As in Stable-Baselines3; :class:`~baselines.learners.slot_replay.SlotReplay` by default.
    tensorboard_log, policy_kwargs, verbose, seed, device
        As everywhere in Stable-Baselines3.

    Raises
    ------
    TypeError
        For an env that is none of MultiMEC, or takes neither assignments nor scores; without env.
    ValueError
        If the copies of env differ in their scenarios, or the buffer exceeds free memory.

    Notes
    -----
    Rewards are standardised by the mean and the deviation of what the buffer holds: "reciprocal"
    and "relative" rewards, which differ by a factor, train alike.

    References
    ----------
    T. P. Lillicrap et al., "Continuous control with deep reinforcement learning", ICLR 2016.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> model = DDPG(env=env, learning_starts=10, seed=0).learn(20)
    >>> action, _ = model.predict(env.reset(seed=1)[0], deterministic=True)
    >>> action.shape
    (30,)
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": VotePolicy}

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
        train_freq: int | tuple[int, str] = 1,
        gradient_steps: int = 1,
        action_noise: ActionNoise | None = None,
        replay_buffer_class: Any = None,
        replay_buffer_kwargs: dict[str, Any] | None = None,
        optimize_memory_usage: bool = False,
        n_steps: int = 1,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        *,
        actor_rate: float = 0.1,
        noise: float = 0.1,
        _init_setup_model: bool = True,
    ) -> None:
        if env is None and _init_setup_model:
            raise TypeError(
                "DDPG needs an env, whose sizes its networks take: DDPG(env=gymnasium.make("
                '"mec_gym/MultiMEC-v0", scenario=...)).'
            )
        for name, value in (("actor_rate", actor_rate), ("noise", noise)):
            if not 0.0 <= value < np.inf:
                raise ValueError(f"{name} must be finite and >= 0; got {value!r}.")
        self.actor_rate, self.noise = actor_rate, noise
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
            gradient_steps,
            action_noise=action_noise,
            replay_buffer_class=replay_buffer_class,
            replay_buffer_kwargs=replay_buffer_kwargs,
            optimize_memory_usage=optimize_memory_usage,
            n_steps=n_steps,
            tensorboard_log=tensorboard_log,
            policy_kwargs=dict(policy_kwargs or {}),
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=_init_setup_model,
        )

    def _setup_model(self) -> None:
        self._remember_world()
        if self.replay_buffer_class is None and self.n_steps == 1:
            self.replay_buffer_class = SlotReplay
            self.replay_buffer_kwargs = {"next_observations": self.gamma > 0.0}
        if issubclass(self.policy_class, VotePolicy):
            self.policy_kwargs["n_servers"] = self.scenario.n_servers
        if self.action_noise is None and self.noise > 0.0:
            size = self.action_space.shape
            assert size is not None
            deviation = np.full(size, self.noise, dtype=np.float32)
            self.action_noise = NormalActionNoise(np.zeros_like(deviation), deviation, np.float32)
        super()._setup_model()
        self._meet_world()

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        super().set_env(env, force_reset)
        self._meet_world()

    def _meet_world(self) -> None:
        if isinstance(self.policy, VotePolicy):
            self.policy.meet(self.scenario)

    def _update_learning_rate(self, optimizers: Any) -> None:
        super()._update_learning_rate(optimizers)
        rate = self.lr_schedule(self._current_progress_remaining)
        update_learning_rate(self.actor.optimizer, self.actor_rate * rate)

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Take gradient steps, as Stable-Baselines3's, and log what shows whether they help.

        Parameters
        ----------
        gradient_steps : int
            How many.
        batch_size : int
            Slots in each.
        """
        super().train(gradient_steps, batch_size)
        with torch.no_grad():
            scores = self.actor(self.policy.obs_to_tensor(self._last_obs)[0])  # type: ignore[arg-type]
        self.logger.record("train/saturated", float((scores.abs() > SATURATED).float().mean()))
        if isinstance(self.replay_buffer, SlotReplay):
            mean, deviation = self.replay_buffer.reward_scale()
            self.logger.record("train/reward_mean", mean)
            self.logger.record("train/reward_deviation", deviation)
