"""MAPPO: proximal policy optimisation with every device as an agent, and one network for all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import MaybeCallback, Schedule
from stable_baselines3.common.utils import explained_variance, update_learning_rate
from torch import nn

from baselines.learners.credit import LearnedCredit, saved, shaping
from baselines.learners.link_actor import LinkActorPolicy
from baselines.learners.link_policy import FLOOR, OFFLOADED, STRAYS
from mec_gym import Scenario
from mec_gym.envs.sb3 import slots_of
from mec_gym.envs.sb3_model import ResumableAlgorithm
from mec_gym.model.cost import NO_TASK
from mec_gym.packing import Format
from mec_gym.validation import dict_of, require_choice, require_hyperparameters, require_policy

Self = TypeVar("Self", bound="MAPPO")
Floats = NDArray[np.float32]

CREDITS = ("difference", "learned", "team")

PASSING: dict[str, Any] = {"gamma": 0.0, "n_steps": 1, "gradient_steps": 1, "ent_coef": 0.05}
LASTING: dict[str, Any] = {"gamma": 0.97, "n_steps": 12, "gradient_steps": 24, "ent_coef": 0.2}
"""What None means where decisions are gone with their slot, and where they last."""

_DECISIONS, _TEAM_DECISIONS = 800, 3_200
"""What None means for `batch_size`; the second with one reward for all, which says less of each."""

_TEAM_ENTROPY, _TEAM_SLOTS = 0.003, 32
"""Where decisions last and have one reward for all: `ent_coef`, as 0.2 would drown what the reward
says of a device, and slots of a gradient step, as few say nothing."""

_COMPARED = 16
"""Slots that a rollout has at least where rewards are compared with each other."""

_PER_STEP = 8
"""Slots for each gradient step on a rollout that is longer because of that."""

_NUMBERS = {"gae_lambda": "[0, 1]", "clip_range": "(0, inf)", "max_grad_norm": "(0, inf]"}


class MAPPO(ResumableAlgorithm):
    r"""Multi-agent PPO: devices are agents, with one actor over links and one critic for all.

    A device's probability ratio, its clip, its advantage and its critic's value are its own: the
    ratio of a whole decision of 200 devices would leave the trust region with any step.

    Parameters
    ----------
    policy : str or type
        "LinkActorPolicy" or a subclass of it.
    env : gymnasium.Env, gymnasium VectorEnv, VecEnv or str
        One that takes assignments.
    learning_rate : float or callable
        Of Adam. A number falls to zero in the course of training; a function is taken as it is.
        What learned credit is fitted with has a rate of its own.
    credit : {"difference", "learned", "team"}
        What a device is rewarded with. "difference": the exact difference that its own choice
        makes to the objective, by :func:`mec_gym.counterfactuals`, in units of its local cost.
        "learned": the same, in the mean cost of staying, as a critic has it that is fitted to the
        env's rewards, a sum over links and loads
        (:class:`~baselines.learners.additive_critic.AdditiveCritic`); rewards are costs with a
        minus, or their reciprocals. "team": the env's reward, the same for all.
    gamma : float, optional
        Discount; by default 0, and 0.97 where services migrate and so decisions last.
        With 0 no values are learned: an advantage is the reward beside what the device's, or the
        team's, is on average.
    n_steps : int, optional, [slot]
        Slots of each copy of the env between gradient steps; 1, or 12 where services migrate. With
        team credit so many that all copies have 16 slots, and `batch_size` decisions, at least.
    gradient_steps : int, optional
        Steps on each such rollout; 1, or 24 where services migrate; one for each 8 slots of all
        copies where team credit takes longer rollouts.
    batch_size : int, optional
        Decisions of single devices per gradient step; 800; with team credit 3,200, or as many
        as all devices make in 32 slots where services migrate.
    gae_lambda : float
        Of generalised advantage estimation; of no effect where `gamma` is 0.
    clip_range : float
        A device's probability ratio is clipped to 1 ± this; of no effect in the first gradient step
        of a rollout, when all ratios are 1.
    ent_coef : float, optional
        Weight of the devices' mean entropy, which falls to zero in the course of training; 0.05, or
        0.2 where services migrate: a placement pays late, and who stops to place learns nothing.
        With team credit 0.003 there.
    max_grad_norm : float
        Longest gradient, of actor and critic each.
    policy_kwargs : dict, optional
        For the policy, e.g. ``{"width": 64}``.
    tensorboard_log, stats_window_size, verbose, seed, device
        As Stable-Baselines3's.

    Notes
    -----
    In worlds that move, hand the state of ``predict`` back with the next slot, or it forgets the
    past.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> model = MAPPO(env=env, seed=0).learn(32)
    >>> model.predict(env.reset(seed=1)[0], deterministic=True)[0].shape
    (30,)
    """

    file_format = Format("mec-gym/mappo", 1, "a MAPPO model")
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"LinkActorPolicy": LinkActorPolicy}
    policy: LinkActorPolicy
    _gamma: float
    _n_steps: int
    _gradient_steps: int
    _ent_coef: float
    _batch_size: int

    def __init__(
        self,
        policy: str | type[LinkActorPolicy] = "LinkActorPolicy",
        env: Any = None,
        learning_rate: float | Schedule = 1e-2,
        *,
        credit: str = "difference",
        gamma: float | None = None,
        n_steps: int | None = None,
        gradient_steps: int | None = None,
        batch_size: int | None = None,
        gae_lambda: float = 0.9,
        clip_range: float = 0.2,
        ent_coef: float | None = None,
        max_grad_norm: float = 0.5,
        policy_kwargs: dict[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        require_policy(policy, self.policy_aliases, LinkActorPolicy)
        require_choice("credit", credit, CREDITS)
        super().__init__(
            policy,
            env,
            learning_rate,
            policy_kwargs=dict_of("policy_kwargs", policy_kwargs),
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            support_multi_env=True,
            seed=seed,
        )
        self.credit, self.gamma = credit, gamma
        self.n_steps, self.gradient_steps, self.batch_size = n_steps, gradient_steps, batch_size
        self.gae_lambda, self.clip_range = gae_lambda, clip_range
        self.ent_coef, self.max_grad_norm = ent_coef, max_grad_norm
        self._require_arguments()
        self._set_up(env, _init_setup_model)

    def _require_arguments(self) -> None:
        given = {name: getattr(self, name) for name in ("n_steps", "gradient_steps", "batch_size")}
        integers = {name: 1 for name, value in given.items() if value is not None}
        ranges = {"gamma": "[0, 1]", "ent_coef": "[0, inf)"}
        numbers = {name: one for name, one in ranges.items() if getattr(self, name) is not None}
        require_hyperparameters(self, integers, _NUMBERS | numbers)

    def _optimizer_arguments(self) -> dict[str, Any]:
        return {"eps": 1e-5}  # as Stable-Baselines3's PPO

    def _begin_anew(self) -> None:
        self._choose_settings()
        self._begin_credit()
        self._begin_rollout(self.policy.view.begin(self.n_envs))

    def _new_policy(self) -> Any:
        policy = super()._new_policy()
        if self._explores:
            policy.start_with(OFFLOADED)  # many bad links would hide the good ones
        return policy

    def _begin_credit(self) -> None:
        self._learned = None
        if self.credit == "learned":
            self._learned = LearnedCredit(self.scenario, self.device, self.rng)

    @property
    def _explores(self) -> bool:
        """Whether some devices stray: they would not go anywhere before links look good."""
        return self.credit == "learned" and not self.scenario.migrates

    def _choose_settings(self) -> None:
        """Take what the caller gave, or what suits the scenario."""
        lasts, team, n = self.scenario.migrates, self.credit == "team", self.scenario.n_devices
        usual = (LASTING if lasts else PASSING) | {"batch_size": _DECISIONS}
        if team and lasts:
            usual |= {"ent_coef": _TEAM_ENTROPY, "batch_size": _TEAM_SLOTS * n}
        elif team:
            usual |= {"batch_size": _TEAM_DECISIONS}
        for name, value in usual.items():
            given = getattr(self, name)
            setattr(self, f"_{name}", value if given is None else given)
        if team and self.n_steps is None:
            # One reward for all says little of each: a step needs many slots, and many decisions.
            enough = max(_COMPARED, math.ceil(self._batch_size / n))
            slots = math.ceil(enough / self.n_envs)
            if slots > self._n_steps:
                self._n_steps = slots
                if self.gradient_steps is None:
                    self._gradient_steps = math.ceil(slots * self.n_envs / _PER_STEP)

    # -- envs and files -------------------------------------------------------------------------

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Train in another env of as many devices, servers and copies, unlike ``load``."""
        super().set_env(env, force_reset)
        if self._learned:
            self._learned.meet(self.scenario)  # whose rewards may be others, too
        self._begin_rollout(self.policy.view.begin(self.n_envs))

    def _enter_scenario(self) -> None:
        self.policy.meet(self.scenario)
        self._choose_settings()

    def _require_loadable(self, scenario: Scenario, kind: str) -> None:
        del kind
        mine, theirs = ((one.dynamic, one.migrates) for one in (self.scenario, scenario))
        if mine != theirs:
            raise ValueError(
                f"the model's links have been seen with dynamic={mine[0]}, migrates={mine[1]}; "
                f"the env has dynamic={theirs[0]}, migrates={theirs[1]}. Train a new model there."
            )

    def _own_state(self) -> dict[str, Any]:
        # What is seen of links is a hundred times as much; it follows from the observations.
        steps = [
            {name: value for name, value in step.items() if name not in ("links", "legal")}
            for step in self._rollout
        ]
        learned = self._learned and self._learned.get_state()
        return {"steps": steps, "begun_with": self._begun_with, "learned": learned}

    def _take_own_state(self, state: Mapping[str, Any], *, same_world: bool) -> None:
        if self._learned and state.get("learned"):
            self._learned.set_state(state["learned"], same_world=same_world)
        if not same_world or len(state["begun_with"]) != self.n_envs:
            return
        self._begin_rollout(np.array(state["begun_with"]))
        for step in state["steps"]:
            seen = self._look(step["observations"], step["starts"])
            self._rollout.append(dict(step) | seen)
        self._choose_settings()
        credit = "saved" if self.credit == "difference" else "reward"
        needed = {credit, *["values"] * bool(self._gamma)}
        if any(not needed <= step.keys() for step in self._rollout):
            self._begin_rollout(self._memory)  # made with other credit, or without a critic

    # -- training -------------------------------------------------------------------------------

    def learn(
        self: Self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int | None = 1_000,
        tb_log_name: str = "MAPPO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Decide, remember, and follow each rollout by gradient steps.

        Parameters
        ----------
        total_timesteps : int, [slot]
            Counted over all copies of the env; learning rate and entropy bonus fall over them.
        callback : callback or list of them, optional
            Called once per step of the (vector) env.
        log_interval : int, optional, [slot]
            How often figures are logged; None for never.
        reset_num_timesteps, tb_log_name, progress_bar
            As Stable-Baselines3's.
        """
        self._require_env()
        self._choose_settings()
        if self.credit == "team" and self._n_steps * self.n_envs < 2:
            raise ValueError(
                "with credit='team' the slots of a rollout are compared: n_steps times the copies "
                "of the env must be 2 or more; got 1."
            )
        begins = reset_num_timesteps or self._last_obs is None  # new episodes
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        if begins:
            self._begin_rollout(self.policy.view.begin(self.n_envs))
        callback.on_training_start(locals(), globals())
        callback.on_rollout_start()
        while self.num_timesteps < total_timesteps:
            # Here, not after a step: a model that a callback saves has yet to learn from it.
            if self.unlearned:
                callback.on_rollout_end()
                self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
                self.train()
                callback.on_rollout_start()
            rewards, dones, infos = self._step()
            if log_interval and self.num_timesteps % log_interval < self.n_envs:
                self.dump_logs()
            callback.update_locals(locals())
            # A stop in the last slot is none: what is left to do is to learn from it.
            if not callback.on_step() and self.num_timesteps < total_timesteps:
                break
        else:
            if self.unlearned:
                self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
                self.train()
        if log_interval and self._averages.sums:
            self.dump_logs()
        callback.on_rollout_end()
        callback.on_training_end()
        return self

    @property
    def rollout_steps(self) -> int:
        """Slots of each copy of the env that gradient steps wait for."""
        return self._n_steps

    @property
    def unlearned(self) -> bool:
        """Whether a rollout waits for its gradient steps."""
        return len(self._rollout) >= self._n_steps

    @property
    def _remaining(self) -> float:
        """The share of training that is left, the last rollout included: it is learned from."""
        last = self._n_steps * self.n_envs / self._total_timesteps
        return max(self._current_progress_remaining, min(last, 1.0))

    def _begin_rollout(self, memory: Floats) -> None:
        self._rollout: list[dict[str, Any]] = []
        self._begun_with = self._memory = memory

    def _look(self, observations: Any, starts: Any) -> dict[str, Any]:
        """Return what the networks see of observations, and remember them."""
        slot = self.policy.coder.decode(observations)
        memory = self._memory.copy()
        memory[starts] = 0.0
        links, self._memory = self.policy.view(slot, memory)
        legal, present = self.policy.legal(slot), slot.cycles > NO_TASK
        return {"links": links, "legal": legal, "present": present, "hosts": slot.known_hosts}

    def _step(self) -> tuple[Any, Any, list[dict[str, Any]]]:
        """Decide in one slot of every copy and keep what happens."""
        assert self.env is not None
        observations: Any = self._last_obs
        starts = np.array(self._last_episode_starts, dtype=bool)
        step = {"observations": observations, "starts": starts} | self._look(observations, starts)
        links = self.policy.tensor(step["links"])
        with torch.no_grad():
            log_p = self.policy.log_probabilities(links, self.policy.tensor(step["legal"]))
            step["log_p"] = log_p.cpu().numpy()
        if self._gamma:
            step["values"] = self._values(links)
        decisions = _drawn(step["log_p"], self.rng)
        if self._explores:
            anywhere = strayed(decisions, step["links"][..., 0], self.rng)
            decisions = np.where(step["present"], anywhere, decisions)
        step["decisions"] = decisions
        if self.credit == "difference":
            slot = slots_of(self.env)  # as it is, which stale observations do not show
            step["saved"] = saved(self.scenario, slot, decisions)
            if self._gamma and self.scenario.migrates:
                step["saved"] += shaping(self.scenario, slot, self._gamma)
        rewards, dones, infos = self._act(decisions)
        if self.credit != "difference":
            step["reward"] = np.array(rewards, dtype=np.float64)
        step["ends"] = np.array(dones, dtype=bool)
        if self._gamma and dones.any():
            step["after"] = self._values_after(dones, infos)
        self._rollout.append(step)
        return rewards, dones, infos

    def _values(self, links: torch.Tensor) -> Floats:
        """Return values with each host, (B, N, M + 1), in rewards; the critic's are per slot."""
        with torch.no_grad():
            values: Floats = self.policy.critic(links).cpu().numpy() * self._horizon
        return values

    @property
    def _horizon(self) -> float:
        return 1.0 / max(1.0 - self._gamma, 1e-3)

    def _values_after(self, dones: Any, infos: list[dict[str, Any]]) -> Floats:
        """Return the values of where episodes were cut off, 0 in all other copies."""
        rows = np.flatnonzero(dones)
        last = np.stack([infos[row]["terminal_observation"] for row in rows])
        links, _ = self.policy.view(self.policy.coder.decode(last), self._memory[rows])
        size = (self.n_envs, self.scenario.n_devices, self.scenario.n_servers + 1)
        after = np.zeros(size, dtype=np.float32)
        after[rows] = self._values(self.policy.tensor(links))
        # A time limit is no end: only what truly ends has no value.
        limit = [bool(infos[row].get("TimeLimit.truncated")) for row in rows]
        after[rows[~np.array(limit)]] = 0.0
        return after

    def train(self) -> None:
        """Take gradient steps on the rollout and begin the next one."""
        steps = self._rollout
        stacked = {
            name: np.stack([one[name] for one in steps]) for name in steps[0] if name != "after"
        }
        if self._learned:
            stacked["saved"] = self._by_rewards(self._learned, stacked)
        stacked["targets"], stacked["returns"] = self._targets(stacked)
        self.policy.set_training_mode(True)
        falling = 1.0 if callable(self.learning_rate) else self._remaining
        rate = self.lr_schedule(max(self._current_progress_remaining, 0.0)) * falling
        update_learning_rate(self.optimizer, rate)
        flat = {name: stacked[name].reshape(-1, *stacked[name].shape[3:]) for name in _FIELDS}
        present = flat["present"]
        # Whoever goes may come back: the critic learns what is to come of absent devices, too.
        rows = np.arange(present.size) if self._gamma else np.flatnonzero(present)
        ready = present.any() and (self._learned is None or self._learned.ready)
        for _ in range(self._gradient_steps if ready else 0):
            some = rows
            if len(rows) > self._batch_size:
                some = self.rng.choice(rows, self._batch_size, replace=False, shuffle=False)
            if present[some].any():
                self._descend(flat, some)
        self.policy.set_training_mode(False)
        self._begin_rollout(self._memory)

    def _by_rewards(self, learned: LearnedCredit, stacked: Mapping[str, Any]) -> Floats:
        """Learn from the rollout's rewards; return what every choice in it saves by them."""
        seen, decisions = stacked["observations"], stacked["decisions"]
        slot = self.policy.coder.decode(seen.reshape(-1, *seen.shape[2:]))
        flat = decisions.reshape(-1, decisions.shape[-1])
        rewards = stacked["reward"].ravel()
        for error in learned.learn(slot, flat, rewards, self._remaining):
            self._averages.add("train/reward_error", error)
        return learned.saved(slot, flat).reshape(*decisions.shape, -1)

    def _targets(self, stacked: Mapping[str, Any]) -> tuple[Floats, Floats]:
        """Return by what each choice's ratio is multiplied, (T, B, N, M + 1), and the returns.

        The policy gradient is the mean of this times the ratio. All credit but the team's says
        what every other choice would have saved in the slot, and the critic what each host is worth
        in the next one, which is the same slot whatever the device chose: so much is an expectation
        over all choices. What the critic did not expect is known of the choice that was made alone.
        """
        present, log_p, decisions = (stacked[name] for name in ("present", "log_p", "decisions"))
        table = np.zeros_like(log_p) if self.credit == "team" else stacked["saved"]
        rewards = _at(table, decisions)
        if self.credit == "team":
            shared = stacked["reward"] - stacked["reward"].mean()
            rewards = rewards + (shared / (stacked["reward"].std() or 1.0))[..., None]
        returns = rewards
        if self._gamma:
            values, nexts = self._around(stacked)
            table = table + self._gamma * nexts
            after, goes_on = _at(nexts, decisions), ~stacked["ends"]
            advantages = generalised(rewards, values, after, goes_on, self._gamma, self.gae_lambda)
            returns = advantages + values
            self._averages.add(
                "train/explained_variance", explained_variance(values[present], returns[present])
            )
        mean = (np.exp(log_p) * table).sum(-1)
        if not self._gamma:
            advantages = rewards - mean
        beyond = returns - _at(table, decisions)
        beyond = beyond - (beyond[present].mean() if present.any() else 0.0)
        chosen = decisions[..., None] == np.arange(log_p.shape[-1])
        better, weights = table - mean[..., None], np.exp(log_p)
        scale = 1.0
        if present.any():
            # Strays are no choices of the policy: without them, by all choices.
            spread = (weights * better**2).sum(-1)[present].mean() ** 0.5
            scale = (spread if self._explores else advantages[present].std()) + 1e-8
        if self._explores:
            weights = np.where(better > 0.0, np.maximum(weights, FLOOR), weights)
        targets = weights * better
        targets = (targets + chosen * beyond[..., None]) / scale
        return targets.astype(np.float32), returns.astype(np.float32)

    def _around(self, stacked: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return values of each slot, (T, B, N), and after each choice in it, (T, B, N, M + 1)."""
        values, ends, hosts = (stacked[name] for name in ("values", "ends", "hosts"))
        last = self._values(self.policy.tensor(self._look_ahead()))
        nexts = np.concatenate([values[1:], last[None]])
        for later, ended, step in zip(nexts, ends, self._rollout, strict=True):
            if "after" in step:
                later[ended] = step["after"][ended]
        # Local execution leaves the host where it is; without migration there is none.
        nexts[..., 0] = _at(nexts, hosts)
        if not self.scenario.migrates:
            nexts[..., 1:] = nexts[..., :1]
        return _at(values, hosts), nexts

    def _look_ahead(self) -> Floats:
        """Return what will be seen of the slot to come, without remembering it."""
        memory = self._memory
        links: Floats = self._look(self._last_obs, np.array(self._last_episode_starts, bool))[
            "links"
        ]
        self._memory = memory
        return links

    def _descend(self, flat: Mapping[str, Any], rows: NDArray[np.int64]) -> None:
        """Take one gradient step on some devices' decisions."""
        policy = self.policy
        links, legal, before, targets, returns, hosts, present = (
            policy.tensor(flat[n][rows]) for n in _FIELDS
        )
        before, targets = before[present], targets[present]
        log_p = policy.log_probabilities(links[present], legal[present])
        ratio = (log_p - before).exp()
        clipped = ratio.clamp(1.0 - self.clip_range, 1.0 + self.clip_range)
        gain = torch.minimum(ratio * targets, clipped * targets).sum(-1).mean()
        entropy = -(log_p.exp() * log_p).sum(-1).mean()
        weight = self._ent_coef * max(self._current_progress_remaining, 0.0)
        loss = -gain - weight * entropy
        if self._gamma:
            values = policy.critic(links).gather(-1, hosts[:, None])[:, 0] * self._horizon
            error = (values - returns).square().mean()
            loss = loss + 0.5 * error / (returns.var(unbiased=False) + 1e-8)
            self._averages.add("train/value_loss", error.item())
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(
                f"the loss is no longer a number after gradient step {self._n_updates}, at slot "
                f"{self.num_timesteps}. Training stopped; checkpoints written before are good. A "
                "smaller learning_rate is the usual cure."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for part in (policy.actor, policy.critic):
            nn.utils.clip_grad_norm_(part.parameters(), self.max_grad_norm)
        self.optimizer.step()
        self._n_updates += 1
        self._note(log_p.detach(), before, ratio.detach(), entropy)

    def _note(self, log_p: Any, before: Any, ratio: Any, entropy: Any) -> None:
        kl = (before.exp() * (before - log_p)).sum(-1).mean()
        outside = (before.exp() * ((ratio - 1.0).abs() > self.clip_range)).sum(-1).mean()
        for name, value in (("entropy", entropy), ("approx_kl", kl), ("clip_fraction", outside)):
            self._averages.add(f"train/{name}", value.item())


_FIELDS = ("links", "legal", "log_p", "targets", "returns", "hosts", "present")


def strayed(
    decisions: NDArray[np.int64], gains: Floats, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Send a share of each slot's devices, drawn from 0 to STRAYS, elsewhere: to explore.

    One in 8 of them goes to any server, the others to that of their largest gain, (B, N, M): of
    links drawn evenly few are good, and in a sum of costs bad ones hide them.
    """
    share = STRAYS * rng.random((len(decisions), 1))
    anywhere = rng.integers(gains.shape[-1], size=decisions.shape)
    to = np.where(rng.random(decisions.shape) < 0.125, anywhere, gains.argmax(-1)) + 1
    return np.where(rng.random(decisions.shape) < share, to, decisions)


def generalised(
    rewards: Any, values: Any, nexts: Any, goes_on: Any, gamma: float, lam: float
) -> Any:
    """Return generalised advantages of every device, shape (T, B, N).

    `values` and `nexts` are of each slot and the one after it, (T, B, N); where `goes_on`, (T, B),
    is false the slot after it is of another episode, or of none.
    """
    advantages = np.zeros_like(values)
    running = np.zeros_like(values[0])
    for t in range(len(rewards) - 1, -1, -1):
        delta = rewards[t] + gamma * nexts[t] - values[t]
        running = delta + gamma * lam * goes_on[t][:, None] * running
        advantages[t] = running
    return advantages


def _at(table: Any, choices: NDArray[np.int64]) -> Any:
    """Return of each device's entries, (..., M + 1), that of its choice."""
    return np.take_along_axis(table, choices[..., None], -1)[..., 0]


def _drawn(log_p: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw choices, shape (B, N), by the inverse of the distribution."""
    drawn_at = rng.random(log_p.shape[:-1], dtype=np.float32)[..., None]
    passed = np.exp(log_p).cumsum(-1) <= drawn_at  # 0 is drawn, too: no choice without probability
    # Rounding may leave the last sum below 1.
    drawn: NDArray[np.int64] = np.minimum(passed.sum(-1), log_p.shape[-1] - 1)
    return drawn
