"""Policies with one network for all links and the additive critic: of AC, DDPG and MADDPG.

All three follow what the critic says of each device's choices. They differ in how they decide, by
probabilities that are drawn from or by scores that are voted on, and in what their actors see.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Space
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.torch_layers import MlpExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, ReplayBufferSamples, Schedule
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.optim import Optimizer

from baselines.learners.additive_critic import AdditiveCritic
from baselines.learners.categorical import BatchedMultiCategorical, OffloadingActorCriticPolicy
from baselines.learners.links import LinkNetwork, LinkView, apportioned
from mec_gym import Scenario, Slot, slot_from_observation, vote
from mec_gym.envs.sb3 import world_of
from mec_gym.envs.sb3_model import AnyArray
from mec_gym.validation import require_bool, require_integer, require_number

OFFLOADED = 1 / 16
"""Share of devices that offload before training: many bad links would drown out all else."""

STRAYS = 1 / 16
"""Largest share of devices that go anywhere while training explores, where nothing else is said."""

QUICK = 30.0
"""How much faster than by a network's weight it is learned how much lots count."""

FLOOR = 0.02
"""Least weight, in the actor's step, of a choice that is better than a device's mean.

Weighed by its probability alone a good link, once sent down together with the many bad ones, would
never come up again; nor would staying, once all have left. A large one is no gradient any more:
with 0.2 actors crowded servers, the more the less the entropy weighed.
"""

CLEAR = 0.01
"""How far from the threshold scores are at least of decisions that were made together."""

CRITIC_BATCH, ACTOR_BATCH = 64, 16


class LinkActor(nn.Module):
    """By how much each device prefers each server to staying, by one network for all links.

    Devices that look alike have to be parted where a server has no room for all of them. So each
    link has a lot, drawn once and for all, and how much lots count is learned, too.
    """

    optimizer: Optimizer

    def __init__(self, scenario: Scenario, width: int) -> None:
        super().__init__()
        self.meet(scenario)
        middle = np.zeros(self.n_features, dtype=np.float32)
        typical = LinkView(scenario).middle()[: self.view.n_path_features]
        middle[: len(typical)] = typical
        self.network = LinkNetwork(middle, width)
        stay = math.log(scenario.n_servers * (1.0 / OFFLOADED - 1.0))
        nn.init.constant_(self.network.home.bias, stay)
        self.spread = nn.Parameter(torch.tensor(1.0 / QUICK))

    def meet(self, scenario: Scenario) -> None:
        """See slots of this scenario from now on."""
        self.view = LinkView(scenario)
        self.n_features = self.view.n_features
        size = (scenario.n_devices, scenario.n_servers)
        self.lots = np.random.default_rng(0).standard_normal(size, dtype=np.float32)

    def forward(self, slot: Slot) -> Tensor:
        """Return preferences, shape (B, N, M), in slots (B, ...)."""
        return self._preferences(slot, self.lots)

    def _preferences(self, slot: Slot, lots: Any, *further: Any) -> Tensor:
        # Each slot is the first that is seen: a discount of 0 has no use for a history.
        seen, _ = self.view(slot, self.view.begin(len(slot.gains)))
        more = [np.broadcast_to(one[..., None], (*seen.shape[:-1], 1)) for one in further]
        entries = np.concatenate([seen, *more], axis=-1, dtype=np.float32)
        given = torch.as_tensor(entries, device=self.network.link.weight.device)
        logits = self.network(given)
        counted = QUICK * self.spread * torch.as_tensor(lots, device=given.device)
        preferences: Tensor = logits[..., 1:] - logits[..., :1] + counted
        return preferences


class ColumnActor(LinkActor):
    """The same, but each server's preferences come from its own column, its speed and lots alone.

    To the network each server is the only one of a world. Where services migrate it is also told
    whose are elsewhere.
    """

    def meet(self, scenario: Scenario) -> None:
        """See slots of this scenario from now on."""
        super().meet(scenario)
        lots, speeds = self.lots, scenario.server_frequencies_hz
        self._speeds, self._migrates = np.log(speeds / speeds.mean()), scenario.migrates
        super().meet(scenario.of_one_server(float(speeds.mean())))
        self.n_features += 1 + scenario.migrates
        self.lots = lots

    def forward(self, slot: Slot) -> Tensor:
        """Return preferences, shape (B, N, M), in slots (B, ...)."""
        batch, devices, servers = slot.gains.shape

        def of_all(values: Any) -> Any:
            return np.repeat(np.broadcast_to(values, (batch, devices)), servers, axis=0)

        def of_each(values: Any) -> Any:
            return np.tile(values, (batch, 1))

        further = [of_each(self.lots.T), of_each(self._speeds[:, None])]
        hosts = None
        if self._migrates:
            hosts = of_all(slot.known_hosts)
            here = hosts == of_each(np.arange(1, servers + 1)[:, None])
            further.append((hosts > 0) & ~here)
            hosts = here.astype(np.int64)
        columns = np.moveaxis(slot.gains, -1, 1).reshape(-1, devices, 1)
        lone = Slot(columns, of_all(slot.data_bits), of_all(slot.cycles), hosts=hosts)
        found = self._preferences(lone, *(one[..., None] for one in further))
        return found.reshape(batch, servers, devices).transpose(1, 2)


class LinkNetworks(nn.Module):
    """An actor and the critic that it follows, in the slots of one scenario.

    `kind` is that of its observations; with `columns` each server's actor sees its own alone.
    """

    actor: LinkActor
    critic: AdditiveCritic
    may_stay: Tensor

    def __init__(self, scenario: Scenario, kind: str, *, width: int, columns: bool = False) -> None:
        super().__init__()
        require_integer("width", width, 1)
        self.actor = (ColumnActor if columns else LinkActor)(scenario, width)
        self.critic = AdditiveCritic(scenario)
        self.scenario, self.kind = scenario, kind
        # Of the scenario, not of the model: it is not part of what is saved.
        may_stay = torch.as_tensor(scenario.can_execute_locally)
        self.register_buffer("may_stay", may_stay, persistent=False)

    def meet(self, scenario: Scenario) -> None:
        """Go on in another scenario; ``ValueError`` where it shows other things of links."""
        before = self.actor.n_features, self.critic.n_seen
        self.actor.meet(scenario)
        self.critic.meet(scenario)
        now = self.actor.n_features, self.critic.n_seen
        if now != before:
            self.actor.meet(self.scenario)
            self.critic.meet(self.scenario)
            raise ValueError(
                f"the networks see {before} entries of links (actor) and of links and devices "
                f"(critic), the env's scenario shows {now}: other things differ among its devices, "
                "or move. Make a new model for it."
            )
        if scenario != self.scenario:
            self.critic.unit.zero_()  # costs have another one there
        self.scenario = scenario
        self.may_stay.copy_(torch.as_tensor(scenario.can_execute_locally))

    def slots(self, observations: Tensor) -> Slot:
        """Return the slots that observations, (B, ...), show."""
        return slot_from_observation(self.scenario, observations.cpu().numpy(), self.kind)

    def forward(self, observations: Tensor) -> Tensor:
        """Return the actor's preferences, shape (B, N, M)."""
        preferences: Tensor = self.actor(self.slots(observations))
        return preferences

    def learn_costs(
        self, slot: Slot, assignment: Tensor, rewards: Tensor, optimizer: Optimizer, limit: float
    ) -> float:
        """Take a gradient step of the critic, no longer than `limit`; return its error."""
        loss = self.critic.loss(self.critic.see(slot), assignment, rewards)
        _descend(loss, self.critic, optimizer, limit)
        return loss.item()

    def follow(
        self,
        slot: Slot,
        entropy_weight: float,
        optimizer: Optimizer,
        limit: float,
        expected: float = 1.0,
    ) -> tuple[float, float]:
        """Take a gradient step of the actor; return its lead over staying and its entropy.

        Each device's choices are weighed by a softmax over its preferences and 0, to stay. The
        actor lowers Σ weight · difference, of every device on its own, given the loads that all
        weights lead to: where the critic is right that is the gradient of the expected cost.
        The less is `expected`, 1 to 0, the more count the loads of everyone's likeliest choice.
        """
        preferences = self.actor(slot)
        logits = nn.functional.pad(preferences, (1, 0))
        logits[..., 0].masked_fill_(~self.may_stay, -torch.inf)
        choices = Categorical(logits=logits, validate_args=False)
        stays, shares = choices.probs.detach().tensor_split([1], -1)
        likeliest = nn.functional.one_hot(logits.argmax(-1), logits.shape[-1])[..., 1:]
        loads = torch.lerp(likeliest.to(shares), shares, expected)
        leads = self.critic.leads(self.critic.see(slot), loads)
        lead = (shares * leads).sum(-1, keepdim=True)
        better = leads - lead
        push = torch.where(better < 0.0, shares.clamp(min=FLOOR), shares) * better
        # To stay is a choice, too: who had better do so prefers all servers less.
        lacking = (FLOOR - stays).clamp(min=0.0) * self.may_stay[:, None]
        push = push + shares * lacking * lead.clamp(min=0.0)
        entropy = choices.entropy().mean()  # type: ignore[no-untyped-call]
        loss = (push * preferences).sum(-1).mean() - entropy_weight * entropy
        _descend(loss, self.actor, optimizer, limit)
        return lead.mean().item(), entropy.item()


def _descend(loss: Tensor, network: nn.Module, optimizer: Optimizer, limit: float) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), limit)
    optimizer.step()


class _Together(BatchedMultiCategorical):
    """Its deterministic decisions are as many of each choice as probabilities add up to."""

    def mode(self) -> Tensor:
        """Return decisions, shape (B, N)."""
        probabilities = self.distribution.probs
        decisions = apportioned(probabilities.detach().cpu().numpy())
        return torch.as_tensor(decisions, device=probabilities.device)


class LinkPolicy(OffloadingActorCriticPolicy):
    """Probabilities by one network for all links, which follows the additive critic.

    Staying has logit 0, each server the preference of :class:`LinkActor`. In a round of training
    the critic (:class:`~baselines.learners.additive_critic.AdditiveCritic`) passes over the slots
    just gathered `critic_epochs` times, in batches of 64; the actor then `actor_epochs` times, in
    batches of 16, and raises Σ p · (what the critic says the choice saves), of each device on its
    own and over all its choices, with an entropy bonus. Deterministic decisions are as many of each
    choice as probabilities add up to, and not each device's likeliest, unless services migrate.

    Parameters
    ----------
    *args, **kwargs
        As for ``OffloadingActorCriticPolicy``, `net_arch` of no effect.
    scenario, kind : Scenario, str
        Of the env, and its `observation`; :class:`~baselines.ActorCritic` gives them.
    width : int
        Of the actor's layers.
    critic_epochs, actor_epochs : int
        Passes over the slots of a round.
    strays : float
        In each slot of training a share of the devices, drawn evenly from 0 to this, goes to any
        server instead: probabilities soon are close to 0 and 1 and explore little.

    Examples
    --------
    >>> from baselines import ActorCritic
    >>> from baselines.learners.actor_critic import LINKS
    >>> from mec_gym.envs.sb3 import make_sb3_vec_env
    >>> model = ActorCritic(env=make_sb3_vec_env("unequal-200x10", n_envs=4), **LINKS)
    >>> type(model.policy).__name__
    'LinkPolicy'
    """

    def __init__(
        self,
        *args: Any,
        scenario: Scenario,
        kind: str = "flat",
        width: int = 32,
        critic_epochs: int = 24,
        actor_epochs: int = 4,
        strays: float = STRAYS,
        **kwargs: Any,
    ) -> None:
        require_number("strays", strays, "[0, 1]")
        require_integer("critic_epochs", critic_epochs, 1)
        require_integer("actor_epochs", actor_epochs, 1)
        self._links: dict[str, Any] = {"scenario": scenario, "kind": kind, "width": width}
        self.critic_epochs, self.actor_epochs = critic_epochs, actor_epochs
        self.strays = strays
        # Gradients that part devices which look alike are small: Stable-Baselines3's term in
        # Adam's denominator, 1e-5, would swallow them.
        super().__init__(*args, **{"optimizer_kwargs": {}} | kwargs)

    def _build_networks(self, lr_schedule: Schedule) -> None:
        # Hands on what it sees: the networks of links read slots.
        self.mlp_extractor = MlpExtractor(self.features_dim, {}, nn.ReLU, self.device)
        self.links = LinkNetworks(**self._links)
        self.value_net = NoValue()  # type: ignore[assignment]
        if not self._links["scenario"].migrates:  # services would move to and fro
            self.action_dist = _Together(*self._sizes)

    def meet(self, scenario: Scenario) -> None:
        """Go on in another scenario."""
        self.links.meet(scenario)
        self._links["scenario"] = scenario

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return decisions, of which some drawn ones stray, values, and their chances as drawn."""
        actions, values, log_prob = super().forward(obs, deterministic)
        if deterministic:
            return actions, values, log_prob
        share = self.strays * torch.rand(len(actions), 1, device=actions.device)
        anywhere = torch.randint_like(actions, 1, self._sizes[1])
        strays = torch.rand(actions.shape, device=actions.device) < share
        return torch.where(strays, anywhere, actions), values, log_prob

    def _logits(self, latent_pi: Tensor) -> Tensor:
        return nn.functional.pad(self.links(latent_pi), (1, 0)).flatten(1)

    def improve(
        self, rollout: RolloutBuffer, entropy_weight: float, limit: float
    ) -> dict[str, float]:
        """Take a round's gradient steps, no longer than `limit`; return what is to be logged."""
        errors = [
            self.links.learn_costs(
                self.links.slots(batch.observations),
                batch.actions.long(),
                batch.returns,
                self.optimizer,
                limit,
            )
            for _ in range(self.critic_epochs)
            for batch in rollout.get(CRITIC_BATCH)
        ]
        followed = [
            self.links.follow(
                self.links.slots(batch.observations), entropy_weight, self.optimizer, limit
            )
            for _ in range(self.actor_epochs)
            for batch in rollout.get(ACTOR_BATCH)
        ]
        lead, entropy = np.mean(followed, axis=0)
        return {"value_loss": float(np.mean(errors)), "policy_loss": lead, "entropy": entropy}

    def _get_constructor_parameters(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("critic_epochs", "actor_epochs", "strays")}
        return super()._get_constructor_parameters() | self._links | own


class StrayNoise(ActionNoise):
    """Sends a share of N devices, drawn anew from 0 to `share`, to any of M servers.

    It is added to scores within [-1, 1], which are then cut: 2 for the server, -2 for the others.
    """

    def __init__(self, n_servers: int, n_devices: int, share: float) -> None:
        super().__init__()
        self.n_servers, self.n_devices, self.share = n_servers, n_devices, share

    def __call__(self) -> NDArray[np.float32]:
        """Draw the noise of one slot, shape (M · N,)."""
        # From the generator that the library seeds, as its own noises.
        random = np.random.random_sample
        strays = random(self.n_devices) < self.share * random()
        servers = np.random.randint(self.n_servers, size=self.n_devices)  # noqa: NPY002
        noise = np.where(np.arange(self.n_servers)[:, None] == servers, 2.0, -2.0)
        return (noise * strays).astype(np.float32).ravel()


class NoValue(nn.Module):
    """The value of every slot is 0: the additive critic compares choices, not slots."""

    def forward(self, features: Tensor) -> Tensor:
        """Return zeros, shape (B, 1)."""
        return features.new_zeros(len(features), 1)


class LinkScorePolicy(AnyArray):
    """Scores by one network for all links, which follows the additive critic: for the vote.

    A score is p / (1 + |p|) of the preference p, on the scale from -1 to 1 on which the vote's
    threshold is 0. The critic learns what voted decisions cost. The gradient goes through it by the
    *soft* vote, a softmax over preferences and the threshold: of scores that far from the threshold
    the gradient would vanish, as preferences for bad links grow without end. Deterministic scores
    are such that as many devices make each choice as the soft vote's shares add up to, unless
    services migrate. Servers that decide by their own columns cannot agree on that: their actors
    come to follow the loads of the vote in the course of training, instead of the soft vote's.

    Parameters
    ----------
    observation_space, action_space, lr_schedule
        As for every policy of Stable-Baselines3; actions are scores.
    scenario, kind : Scenario, str
        Of the env, and its `observation`; the algorithm gives them.
    columns : bool
        Whether each server's scores come from its own column alone: MADDPG's, not DDPG's.
    width : int
        Of the actor's layers.
    ent_coef : float
        Weight of the soft vote's entropy, which falls to a tenth in the course of training.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Box,
        lr_schedule: Schedule,
        scenario: Scenario,
        kind: str = "flat",
        columns: bool = False,
        width: int = 32,
        ent_coef: float = 0.002,
        optimizer_class: type[Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            observation_space,
            action_space,
            squash_output=True,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )
        require_number("ent_coef", ent_coef, "[0, inf)")
        self.columns, self.width = require_bool("columns", columns), width
        self.ent_coef, self.n_devices = ent_coef, scenario.n_devices
        self.links = LinkNetworks(scenario, kind, width=width, columns=columns)
        for part in (self.actor, self.critic):
            part.optimizer = self.optimizer_class(
                part.parameters(),
                lr=lr_schedule(1),  # type: ignore[call-arg]
                **self.optimizer_kwargs,
            )

    # What Stable-Baselines3 asks for; a discount of 0 needs no targets.
    @property
    def actor(self) -> LinkActor:
        """The actor, which is its own target."""
        return self.links.actor

    @property
    def critic(self) -> AdditiveCritic:
        """The critic, which is its own target."""
        return self.links.critic

    actor_target, critic_target = actor, critic

    def meet(self, scenario: Scenario) -> None:
        """Go on in another scenario."""
        self.links.meet(scenario)

    def forward(self, observation: Tensor, deterministic: bool = False) -> Tensor:
        """Return scores, scaled to [-1, 1], shape (B, M · N)."""
        return self._predict(observation, deterministic)

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        assert isinstance(observation, Tensor)
        preferences: Tensor = self.links(observation)
        if deterministic and not self.columns and not self.links.scenario.migrates:
            preferences = self._together(preferences)
        return (preferences / (1.0 + preferences.abs())).transpose(1, 2).flatten(1)

    def _together(self, preferences: Tensor) -> Tensor:
        """Return preferences (B, N, M) that the vote turns into decisions made together."""
        logits = nn.functional.pad(preferences, (1, 0))
        logits[..., 0].masked_fill_(~self.links.may_stay, -torch.inf)
        shares = torch.softmax(logits, -1).detach().cpu().numpy()
        servers = np.arange(1, preferences.shape[-1] + 1)
        chosen = torch.as_tensor(apportioned(shares)[..., None] == servers)
        chosen = chosen.to(preferences.device)
        return torch.where(chosen, preferences.clamp(min=CLEAR), preferences.clamp(max=-CLEAR))

    def improve(
        self, batches: Iterable[ReplayBufferSamples], remaining: float, limit: float
    ) -> dict[str, float]:
        """Take a step of critic and actor on each batch; return what is to be logged.

        `remaining` is the share of training that is left; `limit`, how long a step may be.
        """
        figures = []
        weight = fading(self.ent_coef, remaining)
        scenario = self.links.scenario
        for batch in batches:
            slot = self.links.slots(batch.observations)
            scores = batch.actions.view(-1, scenario.n_servers, scenario.n_devices)
            decisions = vote((scores + 1.0) / 2.0, scenario.can_execute_locally)
            rewards, optimizer = batch.rewards[:, 0], self.critic.optimizer
            error = self.links.learn_costs(slot, decisions, rewards, optimizer, limit)
            slot = self.links.slots(batch.observations[:ACTOR_BATCH])
            expected = remaining if self.columns else 1.0
            followed = self.links.follow(slot, weight, self.actor.optimizer, limit, expected)
            figures.append((error, *followed))
        names = "critic_loss", "actor_loss", "entropy"
        return dict(zip(names, np.mean(figures, axis=0).tolist(), strict=True))

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "scenario": self.links.scenario,
            "kind": self.links.kind,
            "columns": self.columns,
            "width": self.width,
            "ent_coef": self.ent_coef,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
        }


def fading(weight: float, remaining: float) -> float:
    """Return an entropy weight that falls to a tenth by the end of training."""
    return weight * (0.1 + 0.9 * remaining)


def world_of_links(env: VecEnv | None, gamma: float, *, assignments: bool = True) -> dict[str, Any]:
    """Return what these policies need to know of an env; ``ValueError`` where they cannot learn.

    They read slots out of observations and look no slot ahead, with or without an env.
    """
    if gamma != 0.0:
        raise ValueError(
            "gamma must be 0 for LinkPolicy, whose critic's sum is the cost of one slot; got "
            f"gamma={gamma!r}. MAPPO looks ahead with a network over links, too."
        )
    if env is None:
        return {}
    scenario, kind = world_of(env, assignments=assignments)
    return {"scenario": scenario, "kind": kind}
