"""MADDPG (Lowe et al., 2017): an actor per server, trained with critics that see everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from stable_baselines3 import TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import ReplayBufferSamples, Schedule
from stable_baselines3.common.utils import LinearSchedule, check_for_correct_spaces, polyak_update
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor, nn

from baselines.learners.learner import (
    mean_and_spread,
    require_env,
    require_memory,
    require_off_policy,
)
from baselines.learners.link_policy import STRAYS, LinkScorePolicy, StrayNoise, world_of_links
from baselines.learners.maddpg_networks import (
    CRITICS,
    AgentActors,
    CentralCritics,
    MADDPGPolicy,
    clip_each,
)
from baselines.learners.voting import VotingAlgorithm, require_copies, saturated, scored
from mec_gym import ENV_ID, Scenario
from mec_gym.envs.sb3 import vectorised
from mec_gym.validation import dict_of, plain, require_choice, require_policy

Self = TypeVar("Self", bound="MADDPG")

OTHERS = ("replay", "policy")

FADING = LinearSchedule(1e-3, 0.0, 1.0)
"""The default learning rate, by what remains of training."""

LINKS: dict[str, Any] = {
    "policy": "LinkPolicy",
    "learning_rate": 3e-3,
    "actor_rate": 1.0,
    "gradient_steps": 4,
    "noise": STRAYS,
    "others": "policy",
    "max_grad_norm": 1.0,
}
"""Arguments for :class:`~baselines.learners.link_policy.LinkScorePolicy`."""

_NUMBERS = {
    "actor_rate": "(0, inf)",
    "noise": "[0, inf)",
    "level_noise": "[0, inf)",
    "logit_penalty": "[0, inf)",
    "max_grad_norm": "(0, inf)",
    "tau": "(0, 1]",
    "gamma": "[0, 1)",
}


class MADDPG(VotingAlgorithm, TD3):
    """Multi-agent deep deterministic policy gradient for agents that share one reward.

    Agent j sees server j's own gains (the tasks, where they vary, and its guests, where services
    migrate) and answers with its scores for the devices; no agent sees what another does. Critics,
    used in training only, see the whole observation and the actions of all. All actors run as one
    batched product per layer.

    What all learners share, see :mod:`baselines.learners`; other arguments are as in
    Stable-Baselines3's TD3.

    Parameters
    ----------
    policy : str or type
        "MlpPolicy" or a subclass of :class:`MADDPGPolicy`; or "LinkPolicy", a
        :class:`~baselines.learners.link_policy.LinkScorePolicy`, with the arguments :data:`LINKS`:
        one network for all servers' columns, which follows a critic that is a sum.
    env : gymnasium.Env, gymnasium VectorEnv, VecEnv or str
        One that takes assignments or scores, with observations other than "raw"; with `views`, any
        env of Box actions.
    learning_rate : float or callable
        Of the critics. By default it falls from 0.001 to 0 over each :meth:`learn`: all agents
        answer to the same shortage or glut at once, and at a constant rate the number of devices
        that offload goes on swinging.
    actor_rate : float
        The actors' learning rate over the critics'.
    noise, level_noise : float
        Standard deviations of exploration, in actions scaled to [-1, 1]: of each action on its
        own, and of a shift of all actions of all agents together. See :class:`AgentNoise`. With
        "LinkPolicy" `noise` is the share of :class:`~baselines.learners.link_policy.StrayNoise`,
        and the other of no effect.
    action_noise : ActionNoise, optional
        Of Stable-Baselines3, instead of these two.
    critics : {"shared", "per-agent"}
        One critic, or one for each agent as in the paper. Where all agents have the same reward,
        M critics learn the same function M times: one costs less and learns from as much.
    others : {"replay", "policy"}
        What the others do when an agent's actor is improved: what they did in the replayed slot,
        as in the paper, or what their actors would do now.
    max_grad_norm : float
        Longest gradient, of each actor and of each kind of critic.
    logit_penalty : float
        Weight of the mean square of what goes into the actors' tanh, against saturation.
    views : sequence of sequences of int, shape (M, V), optional
        For other envs than MultiMEC: the entries of the flattened observation that each agent
        sees. Agent j's actions are the j-th of M equal parts of the action vector.

    Notes
    -----
    Critics learn returns less `value_shift`, about their mean, in units of `value_scale`, their
    spread. Bootstrapped targets take the units into account exactly, at any end of an episode.

    References
    ----------
    R. Lowe et al., "Multi-Agent Actor-Critic for Mixed Cooperative-Competitive Environments",
    NeurIPS 2017. B. Peng et al., "FACMAC: Factored Multi-Agent Centralised Policy Gradients",
    NeurIPS 2021, for ``others="policy"``.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> model = MADDPG(env=env, learning_starts=10, batch_size=8, seed=0).learn(20)
    >>> model.predict(env.reset(seed=1)[0], deterministic=True)[0].shape
    (30,)
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": MADDPGPolicy,
        "LinkPolicy": LinkScorePolicy,
    }
    policy: MADDPGPolicy  # type: ignore[assignment]  # no TD3Policy: its networks are others
    actor: AgentActors  # type: ignore[assignment]
    actor_target: AgentActors  # type: ignore[assignment]
    critic: CentralCritics  # type: ignore[assignment]
    critic_target: CentralCritics  # type: ignore[assignment]

    def __init__(
        self,
        policy: str | type[MADDPGPolicy] = "MlpPolicy",
        env: Any = None,
        learning_rate: float | Schedule = FADING,
        actor_rate: float = 0.1,
        buffer_size: int = 20_000,
        learning_starts: int = 100,
        batch_size: int = 64,
        tau: float = 0.01,
        gamma: float = 0.0,
        train_freq: int | tuple[int, str] = 1,
        gradient_steps: int = 1,
        noise: float = 0.3,
        level_noise: float = 0.3,
        action_noise: ActionNoise | None = None,
        critics: str = "shared",
        others: str = "replay",
        max_grad_norm: float = 0.5,
        logit_penalty: float = 1e-3,
        views: Sequence[Sequence[int]] | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        if _init_setup_model:
            require_env(type(self), env)
        require_policy(policy, self.policy_aliases, MADDPGPolicy, LinkScorePolicy)
        super().__init__(
            policy,  # type: ignore[arg-type]  # see the annotation of `policy`
            env,
            learning_rate=learning_rate,
            buffer_size=buffer_size,
            learning_starts=learning_starts,
            batch_size=batch_size,
            tau=tau,
            gamma=gamma,
            train_freq=train_freq,
            gradient_steps=gradient_steps,
            action_noise=action_noise,
            policy_delay=1,
            policy_kwargs=dict_of("policy_kwargs", policy_kwargs),
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
        )
        self.actor_rate = actor_rate
        self.noise, self.level_noise = noise, level_noise
        self.own_noise = action_noise is None
        self.critics, self.others = critics, others
        self.max_grad_norm, self.logit_penalty = max_grad_norm, logit_penalty
        self.views = views
        self.value_shift, self.value_scale = 0.0, 1.0
        if _init_setup_model:
            self._setup_model()

    # -- the env: MultiMEC, or any with views ------------------------------------------------------

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        plain = BaseAlgorithm._wrap_env(vectorised(env), verbose, monitor_wrapper)
        game = isinstance(plain.action_space, Box) and not plain.has_attr("scenario")
        return plain if game else scored(plain)

    def _remember_world(self, env: VecEnv | None) -> None:
        if env is None or env.has_attr("scenario"):
            super()._remember_world(env)
        else:
            self.scenario, self.votes = None, False  # type: ignore[assignment]

    def _require_fitting(self, env: VecEnv) -> None:
        if self.scenario is not None and env.has_attr("scenario"):
            super()._require_fitting(env)
        else:
            check_for_correct_spaces(env, self.observation_space, self.action_space)
            require_copies(self, env)

    def _setup_model(self) -> None:
        require_off_policy(self, _NUMBERS)
        for name, known in (("critics", CRITICS), ("others", OTHERS)):
            require_choice(name, getattr(self, name), known)
        self._remember_world(self.env)
        if issubclass(self.policy_class, LinkScorePolicy):
            self._set_links_up()
        else:
            self._set_views_up()
        if self.replay_buffer is None:
            each = bytes_of_a_slot(self.observation_space, self.action_space)
            require_memory(self.buffer_size, each)
        super()._setup_model()
        if self.own_noise:
            # Anew, since Stable-Baselines3 has multiplied the last one by the copies of its env.
            self.action_noise = None
            if isinstance(self.policy, LinkScorePolicy):
                size = (self.scenario.n_servers, self.scenario.n_devices)
                self.action_noise = StrayNoise(*size, self.noise)
            elif self.noise or self.level_noise:
                size = (self.policy.n_agents, self.policy.n_actions)
                self.action_noise = AgentNoise(*size, self.noise, self.level_noise)

    def _set_links_up(self) -> None:
        for name, needed in (("critics", "shared"), ("others", "policy")):
            if getattr(self, name) != needed:
                raise ValueError(
                    f"{name} must be {needed!r} for LinkPolicy, whose critic takes all servers' "
                    f"scores as one vote; got {getattr(self, name)!r}."
                )
        world = world_of_links(self.env, self.gamma, assignments=False)
        self.policy_kwargs = {**self.policy_kwargs, **world, "columns": True}

    def _set_views_up(self) -> None:
        if self.views is None:
            self.views = server_views(self.scenario, self.env, self.observation_space)
        self.views = require_views(self.views, self.observation_space, self.action_space)
        agents = {"views": self.views, "critic": self.critics}
        self.policy_kwargs = {**self.policy_kwargs, **agents}

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Explore around the actors from the first slot on, as :class:`~baselines.DDPG` does."""
        starts = learning_starts if action_noise is None else 0
        return super()._sample_action(starts, action_noise, n_envs)

    # -- gradient steps ---------------------------------------------------------------------------

    def _update_learning_rate(self, optimizers: Any) -> None:
        super()._update_learning_rate(optimizers)
        for group in self.actor.optimizer.param_groups:
            group["lr"] *= self.actor_rate

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Take gradient steps; ``FloatingPointError`` in place of one that is not finite."""
        if isinstance(self.policy, LinkScorePolicy):
            self._improve_links(gradient_steps, batch_size, self.max_grad_norm)
            return
        assert self.replay_buffer is not None
        self.policy.set_training_mode(True)
        self._update_learning_rate([self.actor.optimizer, self.critic.optimizer])
        self.value_shift, self.value_scale = value_units(
            self.replay_buffer, self.gamma, self._vec_normalize_env
        )
        figures = []
        for _ in range(gradient_steps):
            self._n_updates += 1
            batch = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
            figures.append(self._critic_step(batch) | self._actor_step(batch))
            for one in ("actor", "critic"):
                online, target = getattr(self, one), getattr(self, f"{one}_target")
                polyak_update(online.parameters(), target.parameters(), self.tau)
        self._record(figures)

    def _critic_step(self, batch: ReplayBufferSamples) -> dict[str, float]:
        with torch.no_grad():
            targets = self._targets(batch)
        values = self.critic(batch.observations, batch.actions)
        # One term for each critic: none learns slower because there are others.
        loss = (values - targets).square().mean(1).sum()
        self.critic.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.critic.parameters(), self.max_grad_norm)
        self._require_finite("the critics", norm)
        self.critic.optimizer.step()
        mean = self.value_shift + self.value_scale * float(values.detach().mean())
        return {
            "critic_loss": loss.item() / self.critic.n_critics,
            "critic_grad_norm": norm.item(),
            "mean_q": mean,
        }

    def _targets(self, batch: ReplayBufferSamples) -> Tensor:
        """Return the returns that critics learn, in their own units, shape (K or 1, B)."""
        returns = batch.rewards[:, 0][None]
        if self.gamma > 0.0:
            seen = batch.next_observations
            ahead = self.critic_target(seen, self.actor_target(seen))
            ahead = self.value_shift + self.value_scale * ahead
            returns = returns + self.gamma * (1.0 - batch.dones[:, 0]) * ahead
        return (returns - self.value_shift) / self.value_scale

    def _actor_step(self, batch: ReplayBufferSamples) -> dict[str, float]:
        # The critics' own gradients are not asked for here.
        self.critic.requires_grad_(False)
        logits = self.actor.logits(batch.observations)
        actions = torch.tanh(logits).transpose(0, 1).flatten(1)
        values = self._values_of_actors(batch, actions)
        penalty = self.logit_penalty * logits.square().mean((1, 2)).sum()
        self.actor.optimizer.zero_grad()
        (penalty - values.mean(1).sum()).backward()  # type: ignore[no-untyped-call]
        self.critic.requires_grad_(True)
        norms = clip_each(self.actor, self.max_grad_norm)
        self._require_finite("the actors", norms)
        self.actor.optimizer.step()
        losses = -values.detach().mean(1)
        figures = {
            "actor_loss": losses.mean().item(),
            "actor_grad_norm": norms.mean().item(),
            "saturation": saturated(actions.detach()),
        }
        if len(losses) > 1:
            named = enumerate(losses.tolist())
            figures |= {f"actor_loss_{self._name(agent)}": loss for agent, loss in named}
        return figures

    def _values_of_actors(self, batch: ReplayBufferSamples, actions: Tensor) -> Tensor:
        """Return what each agent's actor is to raise, shape (M or 1, B)."""
        if self.others == "replay":
            return self.critic.substituted(batch.observations, batch.actions, actions)
        if self.critic.n_critics == 1:
            values: Tensor = self.critic(batch.observations, actions)
            return values
        # Each critic moves its own agent; what the others do now is a fact to it.
        return self.critic.substituted(batch.observations, actions.detach(), actions)

    def _require_finite(self, whose: str, norms: Tensor) -> None:
        if not bool(norms.isfinite().all()):
            which = norms.isfinite().logical_not().nonzero().flatten().tolist()
            agents = f" (of {', '.join(map(self._name, which))})" if norms.ndim else ""
            raise FloatingPointError(
                f"the gradient of {whose}{agents} is not finite at gradient step "
                f"{self._n_updates}, step {self.num_timesteps} of the env. Look for rewards or "
                "observations that are not finite, or lower learning_rate. The weights are those "
                "of the gradient step before."
            )

    def _name(self, agent: int) -> str:
        return f"{'agent' if self.scenario is None else 'mec'}_{agent + 1}"

    def _record(self, figures: list[dict[str, float]]) -> None:
        means = {name: float(np.mean([one[name] for one in figures])) for name in figures[0]}
        self._log_training(means | {"noise": self.noise, "level_noise": self.level_noise})

    def learn(
        self: Self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: Any = 4,  # None means no log
        tb_log_name: str = "MADDPG",
        *args: Any,
        **kwargs: Any,
    ) -> Self:
        """Train for some steps, those of all copies counted, as everywhere in Stable-Baselines3."""
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, *args, **kwargs)


class AgentNoise(ActionNoise):
    """Gaussian noise in two parts: of each action on its own, `own`, and of all together, `level`.

    With N·M scores of independent noise, how many devices offload hardly changes from slot to
    slot, and it is what matters most. The common shift shows it to the critics.
    """

    def __init__(self, n_agents: int, n_actions: int, own: float, level: float) -> None:
        super().__init__()
        self.size, self.own, self.level = n_agents * n_actions, own, level

    def __call__(self) -> NDArray[np.float32]:
        """Draw the noise of one slot, shape (M · A,)."""
        # Stable-Baselines3 seeds this generator.
        own = self.own * np.random.standard_normal(self.size)  # noqa: NPY002
        shift = self.level * np.random.standard_normal()  # noqa: NPY002
        return (own + shift).astype(np.float32)


def server_views(scenario: Scenario | None, env: VecEnv | None, space: Any) -> list[list[int]]:
    """Return the entries that each server's agent sees, shape (M, V).

    Its gains, then tasks, and where there is such a thing its guests and who is present.
    """
    if scenario is None:
        raise ValueError(
            "an env that is not MultiMEC needs views=: for each agent, the entries of the "
            f"flattened observation that it sees; got observations {space} and views=None. "
            f'Or use gymnasium.make("{ENV_ID}", scenario=...).'
        )
    assert env is not None, "a model without an env has its views from its file"
    coder = env.get_attr("coder")[0]
    if coder.kind == "raw":
        raise ValueError(
            'observation must be "db" or "flat": "raw" gains of 1e-7 are all zero to a network; '
            f'got "raw". Make the env with gymnasium.make("{ENV_ID}", ...), without observation=.'
        )
    devices, servers = scenario.n_devices, scenario.n_servers
    if int(np.prod(space.shape)) != devices * coder.n_columns:
        raise ValueError(
            f"env must show {coder.n_columns} entries for each of {devices} devices, {servers} of "
            f"them gains; got observations {space}. Leave out wrappers that change the shape of "
            "observations."
        )
    columns = np.arange(devices * coder.n_columns).reshape(devices, coder.n_columns).T
    tasks, present = columns[servers : coder.host_columns.start], columns[coder.host_columns.stop :]
    hosts = columns[coder.host_columns]
    return [
        np.concatenate([columns[j], *tasks, *hosts[j : j + 1], *present]).tolist()
        for j in range(servers)
    ]


def require_views(views: Any, observations: Any, actions: Any) -> list[list[int]]:
    """Return views as lists, which files hold, or raise unless they fit the spaces of an env."""
    try:
        lists = [[plain(entry) for entry in view] for view in views]
    except TypeError:
        raise ValueError(
            "views must be one list of entries for each agent, shape (M, V), such as "
            f"[[0, 1], [2, 3]]; got {views!r}."
        ) from None
    if not isinstance(observations, Box) or not isinstance(actions, Box):
        raise ValueError(
            f"MADDPG needs Box observations and actions; got {observations} and {actions}."
        )
    lengths = {len(view) for view in lists}
    if not lists or len(lengths) != 1 or lengths == {0}:
        raise ValueError(
            "views must name equally many entries for each agent, shape (M, V); got lengths "
            f"{[len(view) for view in lists]}. Repeat an entry where an agent sees less."
        )
    entries = int(np.prod(observations.shape))
    table = np.asarray(lists)
    if table.dtype.kind not in "iu" or table.min() < 0 or table.max() >= entries:
        shown = f" from {table.min()} to {table.max()}" if table.dtype.kind in "iuf" else ""
        raise ValueError(
            f"views must hold integers from 0 to {entries - 1}, entries of the flattened "
            f"observation; got dtype {table.dtype}{shown}."
        )
    size = int(np.prod(actions.shape))
    if size % len(lists):
        raise ValueError(
            f"views must share out the {size} actions of the env equally; got {len(lists)} "
            f"agents. Give views for a number of agents that divides {size}."
        )
    return lists


def bytes_of_a_slot(observations: Any, actions: Any) -> int:
    """Return what a slot with these spaces takes in Stable-Baselines3's replay buffer, [B]."""
    seen = 2 * int(np.prod(observations.shape)) * observations.dtype.itemsize
    return int(seen + int(np.prod(actions.shape)) * actions.dtype.itemsize + 12)


def value_units(
    replay: ReplayBuffer, gamma: float, normalised: VecNormalize | None
) -> tuple[float, float]:
    """Return what critics measure returns from, and in: about their mean and their spread.

    A return adds up about H = 1/(1 − γ (1 − e)) rewards, where episodes end with probability e in
    each step. H rewards that are independent of each other have H times the mean of one, and √H
    times its spread. `normalised` scales rewards before critics see them.
    """
    held = slice(0, replay.size())
    rewards = np.asarray(replay._normalize_reward(replay.rewards[held], normalised))
    ended = float(np.mean(replay.dones[held] * (1.0 - replay.timeouts[held])))
    horizon = 1.0 / (1.0 - gamma * (1.0 - ended))
    mean, spread = mean_and_spread(rewards)
    return mean * horizon, spread * horizon**0.5 or 1.0
