"""DROO, the paper's reference [41], for M servers: a network proposes, exact pricing disposes."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import update_learning_rate
from torch import nn

from baselines.learners.droo_policy import (
    Decisions,
    DROOPolicy,
    LinkProposals,
    WholePolicy,
    all_candidates,
)
from baselines.learners.memory import Memory
from mec_gym import Scenario
from mec_gym.envs.sb3_model import ResumableAlgorithm
from mec_gym.packing import Format
from mec_gym.validation import dict_of, require_hyperparameters, require_integer, require_policy

Self = TypeVar("Self", bound="DROO")

LINKS: dict[str, Any] = {"policy": "LinkPolicy", "batch_size": 8, "noise": 1.0}
"""Arguments for :class:`~baselines.learners.LinkProposals`.

Many links a slot, few slots a step; and a network of few weights may begin with a wrong order.
"""

_LEAST_INTEGERS = dict.fromkeys(("buffer_size", "batch_size", "train_interval"), 1)


class DROO(ResumableAlgorithm):
    """Deep reinforcement learning for online offloading, for M servers and one.

    In every slot a network scores each device's M + 1 choices. Order-preserving quantisation
    (:func:`~baselines.learners.quantisation.order_preserving`) makes K candidates of the scores,
    the model of the slot prices them exactly, and the cheapest is the decision. Slot and decision
    go to a replay memory, from which the network learns by cross-entropy to propose at once what
    was found. No reward is looked at, and no optimum: labels are the best of its own candidates.

    `predict` decides in the same way: it prices, too, so it needs the model of the slot. Candidates
    are priced by the slot alone. Where decisions last, moves of services are counted in the slot in
    which they are made, and what they are good for later is not.

    Parameters
    ----------
    policy : str or type
        "MlpPolicy", the paper's, over the whole observation; "LinkPolicy", one small network for
        all links, best with the arguments :data:`LINKS`; or a subclass of
        :class:`~baselines.learners.DROOPolicy`.
    env : gymnasium.Env, gymnasium VectorEnv, VecEnv or str
        One that takes assignments and shows slots as they are.
    learning_rate : float or callable
        Of Adam.
    n_candidates : int, optional
        K at first, and the most it comes back to. By default all candidates that there are,
        N (M + 1) + 1, or N + 1 with one server: the paper's K = N is all but one, too. Of very
        many devices it is as many as have 2 million choices together.
    delta : int, optional, [slot]
        Δ: every Δ slots K becomes one more than the largest place, counted from 1, that a decision
        of the last Δ slots had among its candidates. None keeps K.
    noise : float
        Standard deviation of noise on all scores, by which training makes K more candidates, as
        LyDROO [2]_ does: an order of devices that is wrong from the beginning then does not
        confirm itself. 0, as published first, makes none.
    buffer_size, batch_size : int, [slot]
        Of the replay memory and of a minibatch, which is drawn with replacement.
    train_interval : int, [slot]
        One gradient step each so many slots, those of all copies of the env counted.
    policy_kwargs : dict, optional
        For the policy: ``{"net_arch": [120, 80]}``, or ``{"width": 64}`` of the links' network.
    stats_window_size, tensorboard_log, verbose, seed, device
        As Stable-Baselines3's.

    Raises
    ------
    TypeError, ValueError
        For an env that is no MultiMEC env, takes other actions, shows changed observations or has
        copies of different scenarios, and for an argument out of range.

    References
    ----------
    .. [1] L. Huang, S. Bi, Y.-J. A. Zhang, "Deep reinforcement learning for online computation
       offloading in wireless powered mobile-edge computing networks", IEEE Trans. Mobile Comput.
       19(11), 2020.
    .. [2] S. Bi, L. Huang, H. Wang, Y.-J. A. Zhang, "Lyapunov-guided deep reinforcement learning
       for stable online computation offloading in mobile-edge computing networks", IEEE Trans.
       Wireless Commun. 20(11), 2021.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> model = DROO(env=env, seed=0).learn(20)
    >>> model.predict(env.reset(seed=1)[0])[0].shape
    (30,)
    """

    file_format = Format("mec-gym/droo", 1, "a DROO model")
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": WholePolicy,
        "LinkPolicy": LinkProposals,
    }

    policy: DROOPolicy
    memory: Memory

    def __init__(
        self,
        policy: str | type[DROOPolicy] = "MlpPolicy",
        env: Any = None,
        learning_rate: float | Schedule = 0.01,
        *,
        n_candidates: int | None = None,
        delta: int | None = 32,
        noise: float = 0.0,
        buffer_size: int = 1024,
        batch_size: int = 128,
        train_interval: int = 10,
        policy_kwargs: dict[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        require_policy(policy, self.policy_aliases, DROOPolicy)
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
        self.n_candidates, self.delta, self.noise = n_candidates, delta, noise
        self.buffer_size, self.batch_size = buffer_size, batch_size
        self.train_interval = train_interval
        require_hyperparameters(self, _LEAST_INTEGERS, {"noise": "[0, inf)"})
        for name in ("n_candidates", "delta"):
            if getattr(self, name) is not None:
                require_integer(name, getattr(self, name), 1)
                setattr(self, name, int(getattr(self, name)))
        self._set_up(env, _init_setup_model)

    # -- construction ---------------------------------------------------------------------------

    def _begin_anew(self) -> None:
        """Begin with all candidates and no memory: in another scenario something else is best."""
        shape: Any = self.observation_space.shape
        self.memory = Memory(
            self.buffer_size,
            observations=np.zeros(shape, dtype=np.float32),
            assignments=np.zeros(
                self.scenario.n_devices, dtype=np.min_scalar_type(self.scenario.n_servers)
            ),
        )
        self._places: deque[int] = deque(maxlen=self.delta)
        self.policy.candidates.fill_(self._most_candidates)

    @property
    def _most_candidates(self) -> int:
        return self.n_candidates or all_candidates(self.scenario)

    def _enter_scenario(self) -> None:
        self.policy.meet(self.scenario)
        self._begin_anew()

    def _require_loadable(self, scenario: Scenario, kind: str) -> None:
        policy_class: Any = self.policy_class
        if not policy_class.any_size or scenario.migrates != self.scenario.migrates:
            self._require_same_sizes(scenario, kind)

    def _own_state(self) -> dict[str, Any]:
        return {"memory": self.memory.get_state(), "places": list(self._places)}

    def _take_own_state(self, state: Mapping[str, Any], *, same_world: bool) -> None:
        if same_world:
            self.memory.set_state(state["memory"])
            self._places.extend(state["places"])

    @classmethod
    def load(cls: type[Self], path: Any, env: Any = None, *args: Any, **kwargs: Any) -> Self:
        """Read a model as :meth:`ResumableAlgorithm.load` does; with `n_candidates` K is that."""
        model = super().load(path, env, *args, **kwargs)
        if "n_candidates" in kwargs:
            model.policy.candidates.fill_(model._most_candidates)
        return model

    # -- the algorithm --------------------------------------------------------------------------

    def learn(
        self: Self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int | None = 100,
        tb_log_name: str = "DROO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Decide slot after slot, remember the decisions, and learn from them now and then.

        `log_interval` counts slots, those of all copies; None logs nothing. All else is as
        everywhere in Stable-Baselines3. ``FloatingPointError`` where training has diverged.
        """
        self._require_env()
        total, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        callback.on_training_start(locals(), globals())
        callback.on_rollout_start()
        while self.num_timesteps < total:
            observations: Any = self._last_obs
            decisions = self._decide(observations)
            self.memory.add(observations=observations, assignments=decisions.assignment)
            rounds = self._due(self.train_interval)
            if rounds:
                callback.on_rollout_end()
                self._update_current_progress_remaining(self.num_timesteps, total)
                self._train(rounds)
                callback.on_rollout_start()
            self._adapt(decisions)
            # Callbacks read these by name.
            rewards, dones, infos = self._act(decisions.assignment)
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
    def remark(self) -> str:
        """What its figures lack where slots are not independent, or seen late; else empty."""
        alone = (
            "it prices candidates by each slot alone, and decisions last here: what looks ahead "
            "may reach more."
        ) * self.scenario.migrates
        late = (
            f"it prices candidates by gains that are {self.scenario.csi_delay_slots} slots old."
        ) * (self.scenario.csi_delay_slots > 0)
        return " ".join(filter(None, (alone, late)))

    def _due(self, interval: int) -> int:
        """Return how many of the copies' slots end an interval; copy i is in slot t0 + i."""
        return (self.num_timesteps + self.n_envs) // interval - self.num_timesteps // interval

    def _decide(self, observations: NDArray[np.float32]) -> Decisions:
        self.policy.set_training_mode(False)
        size = (self.n_envs, self.scenario.n_devices, self.scenario.n_servers + 1)
        noise = self.noise * self.rng.standard_normal(size) if self.noise else None
        try:
            decisions = self.policy.decide(observations, noise)
        except FloatingPointError as error:
            raise FloatingPointError(
                f"{error} That is after gradient step {self._n_updates}, at slot "
                f"{self.num_timesteps}; checkpoints written before are good. A smaller "
                "learning_rate is the usual cure."
            ) from error
        best = decisions.objective.min(axis=-1)
        self._averages.add("droo/gain", (1.0 - best / decisions.objective[:, 0]).mean())
        self._averages.add("droo/place", 1.0 + self._placed(decisions).mean())
        self._averages.add("droo/candidates", int(self.policy.candidates))
        return decisions

    def _placed(self, decisions: Decisions) -> NDArray[np.int64]:
        """Return places, (B,), among the candidates with noise or among those without."""
        return decisions.place % int(self.policy.candidates)

    def _adapt(self, decisions: Decisions) -> None:
        """Let K follow the places that were chosen, every Δ slots."""
        if self.delta is None:
            return
        self._places.extend(self._placed(decisions).tolist())
        if self._due(self.delta):
            # A place counts from 0 here, from 1 in the paper.
            wanted = max(self._places) + 2
            self.policy.candidates.fill_(min(wanted, self._most_candidates))

    def _train(self, steps: int) -> None:
        """Take gradient steps, each on a minibatch of its own."""
        self.policy.set_training_mode(True)
        update_learning_rate(self.optimizer, self.lr_schedule(self._current_progress_remaining))
        for _ in range(steps):
            drawn = self.memory.sample(self.batch_size, self.rng)
            scores = self.policy.scores(self.policy.slots(drawn["observations"]))
            wanted = torch.as_tensor(drawn["assignments"], dtype=torch.int64, device=self.device)
            # The mean over slots and devices of −ln of the probability of what was decided.
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), wanted.flatten())
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self._n_updates += 1
            self._averages.add("train/loss", loss.item())
