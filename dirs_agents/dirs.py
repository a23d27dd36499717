"""DIRS, Algorithm 1: distributed agents, imitation, voting, refinement and replay in one loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from stable_baselines3.common.utils import update_learning_rate
from torch import Tensor

from dirs_agents.agent import Agent
from dirs_agents.columns import tensor_of
from dirs_agents.foresight import continuation_tolls
from dirs_agents.hyperparameters import check_hyperparameters, online_search
from dirs_agents.labels import DEMONSTRATION_SEARCH, refine
from dirs_agents.levy_search import LevySearch
from dirs_agents.losses import decision_loss, total_loss
from dirs_agents.policies import CentralPolicy, EnsemblePolicy, PricePolicy, VotingPolicy
from dirs_agents.pretraining import Pretraining
from dirs_agents.replay import Batch, PrioritisedReplay
from mec_gym import Scenario, Slot, slot_from_observation
from mec_gym.envs.sb3_model import ResumableAlgorithm, sizes_of
from mec_gym.packing import Format
from mec_gym.validation import dict_of, require_bool, require_integer, require_policy

SelfDIRS = TypeVar("SelfDIRS", bound="DIRS")


class DIRS(ResumableAlgorithm):
    r"""Distributed intelligent resource scheduling, the framework of the paper.

    An agent on each server scores the devices by its own gains; the devices follow the highest
    score of at least 0.5. Training is central: demonstrations first (Algorithm 2), then, every φ
    slots, a refined decision (Algorithm 4) joins the replay buffer and the agents learn from it
    (Algorithm 3). Slots are independent of each other, so there is no discount and no value
    function: the agents learn to imitate the best decisions found.

    In another scenario, by ``set_env`` or ``load``, the replay buffer begins empty and the next
    ``learn`` imitates demonstrations of it. A model of price-posting agents loads for any N and M.

    Parameters
    ----------
    policy : {"EnsemblePolicy", "PricePolicy", "CentralPolicy"} or a VotingPolicy class
        The paper's networks; price-posting agents for any number of devices; one network over all
        gains (the ablation of the ensemble).
    env : gymnasium.Env, gymnasium.vector.VectorEnv, VecEnv or str
        The env of mec_gym, single or vectorised.
    learning_rate : float or callable
        Of Adam; a callable takes the remaining progress, 1 → 0. The paper does not print it.
    demonstrations : {"levy", "exhaustive", "optimal", "hindsight", "none"}
        Where Algorithm 2's decisions come from: the Lévy search with a small β (the paper),
        enumeration of tiny cases, :func:`mec_gym.solve`, the plan of one who knows the whole path
        of an episode (:func:`mec_gym.hindsight`), or no imitation at all (Fig. 5).
    n_demonstrations, pretrain_steps : int
        Data quantity of Table II, and T_D of Algorithm 2.
    l2_weight : float, [1]
        λ1 of eq. (14); 0 is L_D alone (Table II).
    demonstration_population, demonstration_generations, demonstration_beta : int, int, float
        P, G_max and β, "small", of the demonstrations' :class:`LevySearch`, where the paper prints
        no numbers.
    demonstration_start : {"ensemble", "best-gain"}
        Where that search begins: the decision of the untrained agents, as Algorithm 4's input has
        it, or each device's server of the best gain.
    hindsight_episodes : int
        Episodes of 100 slots that "hindsight" looks back on at a time.
    own_rounds, lesson_steps : int
        With a policy that looks ahead: how often its network of worth, which has learned from
        hindsight, learns again from what exact decisions by its own D cost on other episodes,
        [C-2]; and gradient steps of each lesson.
    buffer_size, batch_size : int
        Pairs in the replay buffer, and K + S of eqs. (14) and (17), the minibatch.
    train_interval, train_steps : int, [slot], int
        φ of Algorithm 1, and T_M of Algorithm 3.
    resample : bool
        Whether each of the T_M steps draws a minibatch of its own; Algorithm 3 takes them all on
        one.
    refine_interval : int, optional, [slot]
        How often a slot's decision is refined and stored; φ by default, as in Algorithm 1.
    agent_loss_weight : float, [1]
        λ2 of eq. (16).
    loss : {"binary", "vote"}, optional
        Cross-entropy per agent, eqs. (14) and (17), or of the vote [T-1]; the policy's choice by
        default (the paper's for the paper's networks).
    priority_exponent : float, [1]
        τ of eq. (15).
    agent_priority, demonstration_priority : float, [nat]
        ε_A and ε_D of eq. (15).
    refinement : {"levy", "classic-levy", "epsilon-greedy", "none", "optimal"}
        How a^e becomes a*: Algorithm 4, eq. (18) alone (Fig. 4), random changes (Fig. 5), not at
        all, or :func:`mec_gym.solve`.
    population, generations, beta : int, int, float
        P, G_max and β, large, of the online :class:`LevySearch`, Algorithm 4.
    threshold, step_scale, allocation : float, float, str
        Of both searches: th of eq. (22); η of eq. (18); whether they price decisions with the
        optimal f and p, "exact", or search those, too, as the vector (19) has it, "levy".
    crossover, signed, flight_scale, selection : str, bool, float, str
        Of both searches, readings of eqs. (20), (22) and (23): see :class:`LevySearch`.
    epsilon : float, [1]
        Probability of a random choice in "epsilon-greedy".
    policy_kwargs : dict, optional
        For the policy, e.g. ``{"net_arch": [80, 60]}``, ``{"admission": False}`` or, where
        services migrate, ``{"continuation": True, "forecast": "gru"}``.
    stats_window_size, tensorboard_log, verbose, device
        As Stable-Baselines3's.
    seed : int, optional
        Of weights, searches, replay and env.

    Examples
    --------
    >>> import gymnasium as gym
    >>> import mec_gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> model = DIRS("EnsemblePolicy", env, n_demonstrations=8, pretrain_steps=2, seed=0)
    >>> action, _ = model.learn(20).predict(env.reset(seed=1)[0], deterministic=True)
    >>> action.shape
    (30,)
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "EnsemblePolicy": EnsemblePolicy,
        "PricePolicy": PricePolicy,
        "CentralPolicy": CentralPolicy,
    }
    file_format = Format("mec-gym/dirs", 2, "a DIRS model")

    policy: VotingPolicy
    replay_buffer: PrioritisedReplay

    def __init__(
        self,
        policy: str | type[VotingPolicy] = "EnsemblePolicy",
        env: GymEnv | gym.vector.VectorEnv[Any, Any, Any] | str | None = None,
        learning_rate: float | Schedule = 1e-3,
        *,
        demonstrations: str = "levy",
        n_demonstrations: int = 256,
        pretrain_steps: int = 500,
        l2_weight: float = 1e-4,
        demonstration_population: int = DEMONSTRATION_SEARCH.population,
        demonstration_generations: int = DEMONSTRATION_SEARCH.generations,
        demonstration_beta: float = DEMONSTRATION_SEARCH.beta,
        demonstration_start: str = "ensemble",
        hindsight_episodes: int = 8,
        own_rounds: int = 3,
        lesson_steps: int = 1000,
        buffer_size: int = 1024,
        batch_size: int = 256,
        train_interval: int = 10,
        train_steps: int = 2,
        resample: bool = False,
        refine_interval: int | None = None,
        agent_loss_weight: float = 0.5,
        loss: str | None = None,
        priority_exponent: float = 0.6,
        agent_priority: float = 0.08,
        demonstration_priority: float = 0.02,
        refinement: str = "levy",
        population: int = LevySearch.population,
        generations: int = LevySearch.generations,
        beta: float = LevySearch.beta,
        threshold: float = LevySearch.threshold,
        step_scale: float = LevySearch.step_scale,
        allocation: str = LevySearch.allocation,
        crossover: str = LevySearch.crossover,
        signed: bool = LevySearch.signed,
        flight_scale: float = LevySearch.flight_scale,
        selection: str = LevySearch.selection,
        epsilon: float = 0.1,
        policy_kwargs: dict[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        require_policy(policy, self.policy_aliases, VotingPolicy)
        super().__init__(
            policy,
            env,  # type: ignore[arg-type]
            learning_rate,
            policy_kwargs=dict_of("policy_kwargs", policy_kwargs),
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            support_multi_env=True,
            seed=seed,
        )
        self.demonstrations, self.n_demonstrations = demonstrations, n_demonstrations
        self.pretrain_steps, self.l2_weight = pretrain_steps, l2_weight
        self.demonstration_population = demonstration_population
        self.demonstration_generations = demonstration_generations
        self.demonstration_beta = demonstration_beta
        self.demonstration_start = demonstration_start
        self.hindsight_episodes = hindsight_episodes
        self.own_rounds, self.lesson_steps = own_rounds, lesson_steps
        self.buffer_size, self.batch_size = buffer_size, batch_size
        self.train_interval, self.train_steps = train_interval, train_steps
        self.resample = require_bool("resample", resample)
        self.refine_interval = refine_interval
        self.agent_loss_weight = agent_loss_weight
        self.loss = loss
        self.priority_exponent = priority_exponent
        self.agent_priority, self.demonstration_priority = agent_priority, demonstration_priority
        self.refinement = refinement
        self.population, self.generations, self.beta = population, generations, beta
        self.threshold, self.step_scale = threshold, step_scale
        self.allocation, self.epsilon = allocation, epsilon
        self.crossover, self.selection = crossover, selection
        self.signed, self.flight_scale = require_bool("signed", signed), flight_scale
        check_hyperparameters(self)
        self.pretrained = False
        self._memory: Tensor | None = None
        self._set_up(env, _init_setup_model)

    # -- construction ---------------------------------------------------------------------------

    def _optimizer_arguments(self) -> dict[str, Any]:
        # λ1 ‖θ‖² of eq. (14): its gradient is 2 λ1 θ.
        return {"weight_decay": 2.0 * self.l2_weight}

    def _begin_anew(self) -> None:
        self.pretrained = False
        self.replay_buffer = PrioritisedReplay(
            self.buffer_size,
            self.policy.stored_shape,
            n_devices=self.scenario.n_devices,
            n_servers=self.scenario.n_servers,
            exponent=self.priority_exponent,
            agent_constant=self.agent_priority,
            demonstration_constant=self.demonstration_priority,
        )
        # After the buffer: Ctrl-C between them leaves no labels that pass for complete ones.
        self._pretraining = Pretraining()

    def _enter_scenario(self) -> None:
        """Let the policy know the scenario; its parameters, which the optimizer holds, stay."""
        moved = self._new_policy()
        for name, module in moved.named_modules():
            module._parameters = self.policy.get_submodule(name)._parameters
        moved.set_training_mode(False)
        self.policy = moved
        self._begin_anew()

    # -- Algorithm 1 ----------------------------------------------------------------------------

    def learn(
        self: SelfDIRS,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int | None = 100,
        tb_log_name: str = "DIRS",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> SelfDIRS:
        """Run Algorithm 1: imitate once, then decide in every slot and train every φ slots.

        Algorithm 1, lines 3, 5, 6 and 12 to 14; by way of them Algorithm 3, lines 6 to 11.
        ``FloatingPointError`` if scores are no longer finite names agent, gradient step and slot.

        Parameters
        ----------
        total_timesteps : int, [slot]
            T_DRL, counted over all copies of the env. 0 runs the offline stage alone.
        callback : callback or list of them, optional
            Called once per step of the (vector) env. ``on_pretraining_step()`` is called between
            parts of pre-training where one has it, alone or in a list or ``CallbackList``, but not
            as the child of an ``EventCallback``.
        log_interval : int, optional, [slot]
            How often figures are logged; None for never.
        reset_num_timesteps, tb_log_name, progress_bar
            As Stable-Baselines3's: count from 0 and reset the env, or go on.
        """
        self._require_env()
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        callback.on_training_start(locals(), globals())
        # Offline pre-training stage, lines 3 and 4.
        if not self.pretrained:
            if self._pretraining.outdated(self):
                self._begin_anew()
            self._pretraining.run(self, callback)
            self.pretrained = True
        callback.on_rollout_start()
        while self.num_timesteps < total_timesteps:
            # Online distributed inference stage, lines 7 to 11.
            observations: Any = self._last_obs
            columns, self._memory = self._look(observations, self.current_memory())
            decisions, scores = self._vote(columns)
            # Online training stage, lines 12 to 14.
            refining = self._due(self.refine_interval or self.train_interval)
            if refining:
                self._refine(observations[refining], decisions[refining], columns[refining])
            rounds = len(self._due(self.train_interval))
            if rounds and self.replay_buffer.size:
                callback.on_rollout_end()
                self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
                self._averages.add("vote/margin", _margin(scores))
                self._train_online(rounds)
                callback.on_rollout_start()
            # Callbacks read these by name.
            rewards, dones, infos = self._act(decisions)
            # Before callbacks: no checkpoint then holds figures that are logged already.
            if log_interval and self.num_timesteps % log_interval < self.n_envs:
                self.dump_logs()
            callback.update_locals(locals())
            if not callback.on_step():
                break
        callback.on_rollout_end()
        callback.on_training_end()
        return self

    @property
    def stage(self) -> str:
        """How far pre-training is, "demonstrations 64/256" or "imitation 25/500"; "" after it."""
        return "" if self.pretrained else self._pretraining.stage(self)

    @property
    def remark(self) -> str:
        """What its figures lack where slots are not independent, or what does nothing; or empty."""
        if self.policy_kwargs.get("continuation") and not self.scenario.migrates:
            return "continuation=True does nothing where services do not migrate."
        return (
            "it imitates the best of each slot alone, and decisions last here: what looks ahead "
            "may reach more, as policy_kwargs={'continuation': True} does."
        ) * (self.scenario.migrates and not self.policy.remembers)

    def _due(self, interval: int) -> list[int]:
        """Return the copies whose slot t has t mod interval = 0; copy i is in slot t0 + i."""
        first = -self.num_timesteps % interval
        return list(range(first, self.n_envs, interval))

    def current_memory(self) -> torch.Tensor | None:
        """Return what the policy remembers of the running episodes, if it does."""
        return self.policy.forgotten(self._memory, self._last_episode_starts)

    def _look(
        self, observations: NDArray[np.float32], memory: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return what every agent sees and makes of its memory, and the memory after it."""
        with torch.no_grad():
            return self.policy.recall(self.policy.columns(self._tensor(observations)), memory)

    def _decide(self, observations: NDArray[np.float32]) -> tuple[NDArray[np.int64], Tensor]:
        """Let every agent score its devices, without a memory, and vote."""
        return self._vote(self._look(observations, None)[0])

    def _vote(self, columns: Tensor) -> tuple[NDArray[np.int64], Tensor]:
        """Let every agent score its devices, and vote."""
        with torch.no_grad():
            try:
                decisions, scores = self.policy.decide(columns)
            except ValueError:  # the vote refuses scores that are not numbers
                self._require_finite(self.policy.bank(columns))
                raise
        return decisions.cpu().numpy(), scores

    # -- Algorithms 3 and 4 ---------------------------------------------------------------------

    def _refine(
        self, observations: NDArray[np.float32], decisions: NDArray[np.int64], columns: Tensor
    ) -> None:
        """Find better decisions and keep them, Algorithm 3, lines 1 to 3."""
        slots = slot_from_observation(self.scenario, observations, self.observation_kind)
        toll = None
        if self.policy.remembers:
            worth, gains = self.policy.outlook(columns)
            slots = Slot.trusted(gains, slots.data_bits, slots.cycles, slots.hosts)
            toll = continuation_tolls(self.scenario, slots, worth)
        found = refine(
            self.scenario,
            slots,
            decisions,
            self.rng,
            method=self.refinement,
            search=online_search(self),
            epsilon=self.epsilon,
            toll=toll,
        )
        self.replay_buffer.add(self.policy.stored(observations, columns), found.assignment)
        before, after = found.history[0], found.history[-1]
        self._averages.add("refine/objective_before", before.mean())
        self._averages.add("refine/objective_after", after.mean())
        self._averages.add("refine/gain", (1.0 - after / before).mean())

    def _train_online(self, rounds: int) -> None:
        """Run T_M steps per round, on one minibatch or on one each."""
        if self.resample:
            self._train(rounds * self.train_steps)
        else:
            self._train(rounds, self.train_steps)

    def _train(self, batches: int, steps: int = 1) -> None:
        """Take so many gradient steps on each of some prioritised minibatches, lines 4 to 11."""
        self.policy.set_training_mode(True)
        update_learning_rate(self.optimizer, self.lr_schedule(self._current_progress_remaining))
        for _ in range(batches):
            batch = self.replay_buffer.sample(self.batch_size, self.rng)
            columns = self.policy.columns(self._tensor(batch.observations))
            for _ in range(steps):
                self._descend(batch, columns)
        self.policy.set_training_mode(False)

    def _descend(self, batch: Batch, columns: Tensor) -> None:
        """Take one gradient step on eq. (16), all agents at once."""
        logits = self.policy.bank(columns)
        self._require_finite(logits.detach())
        kind = self.loss or self.policy.default_loss
        losses = decision_loss(logits, self._tensor(batch.assignments), kind)
        demonstrated = self._tensor(batch.demonstrated)
        per_agent = total_loss(losses, demonstrated, self.agent_loss_weight)
        self.optimizer.zero_grad(set_to_none=True)
        per_agent.sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._n_updates += 1
        average = losses.detach().mean(1).cpu().numpy()
        self.replay_buffer.update(batch.places, average)
        self._note_losses(per_agent.detach(), average, batch.demonstrated)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return tensor_of(array, self.device)

    def _require_finite(self, logits: Tensor) -> None:
        """Stop before agents that have broken down decide or learn anything more."""
        finite = torch.isfinite(logits)
        if bool(finite.all()):
            return
        agent = int((~finite).any(dim=2).any(dim=0).nonzero()[0])
        raise FloatingPointError(
            f"the scores of agent mec_{agent + 1} are no longer numbers after gradient "
            f"step {self._n_updates}, at slot {self.num_timesteps}. Training stopped; checkpoints "
            "written before are good. A smaller learning_rate is the usual cure."
        )

    def _note_losses(
        self, per_agent: Tensor, average: NDArray[Any], demonstrated: NDArray[np.bool_]
    ) -> None:
        values = per_agent.cpu().numpy()
        if len(values) == 1:
            self._averages.add("train/loss", values[0])
        else:
            for server, value in enumerate(values, 1):
                self._averages.add(f"train/loss_mec_{server}", value)
        # As in eqs. (14) and (17): the mean over the batch's demonstrations and own pairs.
        for name, own in (("demonstration", demonstrated), ("agent", ~demonstrated)):
            if own.any():
                self._averages.add(f"train/{name}_loss", average[own].mean())

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
        require_integer("server", server, 1, self.scenario.n_servers)
        server = int(server)
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

    def _require_loadable(self, scenario: Scenario, kind: str) -> None:
        policy_class: Any = self.policy_class
        if not policy_class.any_size or sizes_of(scenario)[2] != sizes_of(self.scenario)[2]:
            self._require_same_sizes(scenario, kind)

    def _own_state(self) -> dict[str, Any]:
        return {
            "replay": self.replay_buffer.get_state(),
            "pretraining": self._pretraining.get_state(),
            "pretrained": self.pretrained,
            "memory": self.current_memory(),
        }

    def _take_own_state(self, state: Mapping[str, Any], *, same_world: bool) -> None:
        if same_world:
            self.replay_buffer.set_state(state["replay"])
            self._pretraining.set_state(state["pretraining"])
            memory = state["memory"]
            self._memory = None if memory is None else torch.as_tensor(memory, device=self.device)
        self.pretrained = same_world and state["pretrained"]

    def save_replay_buffer(self, path: Any) -> None:
        """Write the replay buffer alone; ``save`` holds it, too."""
        self.file_format.write(path, {"replay": self.replay_buffer.get_state()})

    def load_replay_buffer(self, path: Any) -> None:
        """Read a replay buffer that :meth:`save_replay_buffer` wrote."""
        content = self._read(path)
        if "replay" not in content:
            raise ValueError(f"{path} holds no replay buffer; load() reads models.")
        self.replay_buffer.set_state(content["replay"])
        self._pretraining.keep_labels()

    # -- logging --------------------------------------------------------------------------------

    def dump_logs(self, iteration: int = 0) -> None:
        """Write what has been noted since the last time, in Stable-Baselines3's tags."""
        logger = self.logger
        with torch.no_grad():
            square = sum(float(weight.square().sum()) for weight in self.policy.parameters())
        logger.record("train/l2", square)
        if self.replay_buffer.size:
            weights = self.replay_buffer.weights()
            logger.record("replay/size", self.replay_buffer.size)
            logger.record("replay/priority_mean", weights.mean())
            logger.record("replay/priority_max", weights.max())
        super().dump_logs(iteration)


def _margin(scores: Tensor) -> float:
    """Return by how much the highest score leads the second on the average; alone, 0.5."""
    if scores.shape[1] == 1:
        return float((scores - 0.5).abs().mean())
    first, second = scores.topk(2, dim=1).values.unbind(1)
    return float((first - second).mean())
