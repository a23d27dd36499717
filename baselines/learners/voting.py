"""Off-policy learners that score and let the vote decide: scores inside, assignments outside.

DDPG and its kin need continuous actions. The env is given as it is, with assignments; inside it
gets :class:`~mec_gym.envs.sb3.ScoreVecEnv` around it, so that training, the replay buffer and the
networks know scores only. ``predict`` votes, so that whoever asks from outside
(``evaluate_policy``, an ``EvalCallback``, a script) gets what the env takes. :class:`VotePolicy`
has DDPG's networks, with a critic that sees where devices will go.
"""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.spaces import Box
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm, maybe_make_env
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import VectorizedActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, create_mlp
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.td3.policies import Actor, TD3Policy
from torch import Tensor, nn

from baselines.learners.learner import MECLog, attributes, loading, require_fitting
from mec_gym import ENV_ID, Scenario, vote
from mec_gym.envs.sb3 import ScoreVecEnv, shown_as, vectorised, world_of
from mec_gym.envs.sb3_model import AnyArray
from mec_gym.validation import plain, require_known, require_number

Self = TypeVar("Self", bound="VotingAlgorithm")


class VotedVecEnv(ScoreVecEnv):
    """The wrapper that an algorithm put there by itself, around an env that takes assignments."""


class VotingAlgorithm(MECLog, OffPolicyAlgorithm):
    """What an off-policy algorithm on continuous actions needs on the env of mec_gym.

    Put it before the algorithm: ``class DDPG(VotingAlgorithm, stable_baselines3.DDPG)``. An env
    that already takes scores (``ScoreAction``, ``scores=True``, ``ScoreVecEnv``) is left as it is,
    and `predict` then returns scores; `votes` says whether it is not so.
    """

    scenario: Scenario
    votes: bool
    own_noise: bool
    _in_new_env = False

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        return scored(BaseAlgorithm._wrap_env(vectorised(env), verbose, monitor_wrapper))

    def _setup_model(self) -> None:
        super()._setup_model()
        self._remember_world(self.env)

    def _remember_world(self, env: VecEnv | None) -> None:
        # Without an env, load() has put back what was known when the model was saved.
        scenario = self.scenario if env is None else env.get_attr("scenario")[0]
        policy: Any = getattr(self, "policy", None)  # the first time there is none yet
        if hasattr(policy, "meet"):
            policy.meet(scenario)  # or refuses it
        if env is not None:
            self.scenario, self.votes = scenario, isinstance(env, VotedVecEnv)

    def get_env(self) -> VecEnv | None:
        """Return the env as it was given: it takes what :meth:`predict` returns."""
        return self.env.venv if isinstance(self.env, VotedVecEnv) else self.env

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Train in another env of as many devices, servers and copies; `predict` goes by it.

        In another scenario, or with rewards of another sign, the replay buffer begins empty.
        """
        wrapped = self._wrap_env(maybe_make_env(env, self.verbose), self.verbose)
        given = wrapped.venv if isinstance(wrapped, VotedVecEnv) else wrapped
        wrapped = self._wrap_env(shown_as(given, self.observation_space))
        self._require_fitting(wrapped)
        if hasattr(self.policy, "improve"):  # LinkScorePolicy, which reads slots
            world_of(wrapped, assignments=False)
        before = self.scenario
        self._remember_world(wrapped)
        super().set_env(wrapped, force_reset)
        self._in_new_env = True
        if self.replay_buffer is not None and self.scenario != before:
            self.replay_buffer.reset()

    def _require_fitting(self, env: VecEnv) -> None:
        sizes = (self.scenario.n_devices, self.scenario.n_servers)
        require_fitting(sizes, self.observation_space, env.get_attr("scenario")[0], env)
        require_copies(self, env)

    def _store_transition(
        self, replay_buffer: ReplayBuffer, action: Any, seen: Any, reward: Any, *args: Any
    ) -> None:
        if self._in_new_env and reward.any():
            held = replay_buffer.rewards[: replay_buffer.size()]
            told = held[held != 0.0] * reward.mean()  # 0 where nobody is present
            if told.size and told.max() < 0.0:  # rewards of another kind
                replay_buffer.reset()
            self._in_new_env = False
        super()._store_transition(replay_buffer, action, seen, reward, *args)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        """Return decisions, shape (..., N), or scores, (..., M · N), where the env takes these.

        The policy is deterministic and slots are independent: the other arguments do not matter.
        """
        del deterministic  # training, which explores, asks the policy itself
        scores, state = self.policy.predict(observation, state, episode_start, deterministic=True)
        return (self.voted(scores) if self.votes else scores), state

    def voted(self, scores: NDArray[Any]) -> NDArray[np.int64]:
        """Return the assignments, shape (..., N), that scores, (..., M · N), lead to."""
        shape = (*scores.shape[:-1], self.scenario.n_servers, self.scenario.n_devices)
        decision = vote(scores.reshape(shape), self.scenario.can_execute_locally)
        return np.asarray(decision, dtype=np.int64)

    def _improve_links(self, gradient_steps: int, batch_size: int, max_grad_norm: float) -> None:
        """Let a policy that has steps of its own take them, and log what they lowered."""
        assert self.replay_buffer is not None
        policy: Any = self.policy
        optimizers = [policy.actor.optimizer, policy.critic.optimizer]
        self._update_learning_rate(optimizers)
        sampled = (
            self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
            for _ in range(gradient_steps)
        )
        remaining = self._current_progress_remaining
        figures = policy.improve(sampled, remaining, max_grad_norm)
        self._n_updates += gradient_steps
        self._log_training(figures)

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        # The base class asks predict(), which votes; the policy itself does not.
        if self.num_timesteps < learning_starts:
            scores = np.stack([self.action_space.sample() for _ in range(n_envs)])
        else:
            scores, _ = self.policy.predict(self._last_obs, deterministic=False)  # type: ignore[arg-type]
        scaled = self.policy.scale_action(scores)
        if action_noise is not None:
            scaled = np.clip(scaled + action_noise(), -1.0, 1.0)
        return self.policy.unscale_action(scaled), scaled

    def _setup_learn(self, *args: Any, **kwargs: Any) -> Any:
        noise = self.action_noise
        if isinstance(noise, VectorizedActionNoise) and noise.n_envs != self.n_envs:
            # A model loaded for another number of copies: the base class makes one for them.
            self.action_noise = noise.base_noise
        return super()._setup_learn(*args, **kwargs)

    @classmethod
    def load(
        cls: type[Self],
        path: Any,
        env: Any = None,
        device: Any = "auto",
        custom_objects: Any = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Return a model, without its replay buffer, as :meth:`baselines.ActorCritic.load`."""
        changed = cls._changed(kwargs)
        if env is not None:
            env = cls._wrap_env(maybe_make_env(env, 0))
            # The replay buffer is made for the copies of this env, not of the one before.
            changed["n_envs"] = env.num_envs
        with loading(path, cls, kwargs.keys()):
            model = super().load(
                path, None, device, custom_objects, print_system_info, force_reset, **changed
            )
        if env is not None:
            model.set_env(env, force_reset)
            model.set_random_seed(model.seed)
            model._in_new_env = False  # a buffer that is loaded next is the caller's choice
        return model

    @classmethod
    def _changed(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes that arguments of `load` stand for."""
        changed = replacing(cls, given)
        if given.keys() & {"action_noise", "noise", "level_noise"}:
            changed["own_noise"] = given.get("action_noise") is None
        return changed


def require_copies(model: BaseAlgorithm, env: VecEnv) -> None:
    """Raise ``ValueError`` unless an env has as many copies as a model was set up for."""
    if env.num_envs != model.n_envs:
        raise ValueError(
            f"the model was set up for {model.n_envs} copies of the env; got {env.num_envs}. "
            f"Use {type(model).__name__}.load(path, env), which takes any number."
        )


def replacing(cls: type[Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes that stand for arguments of `load`; ``TypeError`` for unknown ones."""
    kinds = [kind for kind in cls.__mro__ if issubclass(kind, BaseAlgorithm)]
    known = {name for kind in kinds for name in inspect.signature(kind).parameters}
    require_known("argument of load()", given, sorted(known - {"policy"}))
    return attributes(given)


def scored(env: VecEnv) -> VecEnv:
    """Return a MultiMEC env with scores as actions, as it is or wrapped, or refuse another."""
    if isinstance(env.action_space, Box) and env.has_attr("scenario"):
        scenario: Scenario = env.get_attr("scenario")[0]
        size = scenario.n_servers * scenario.n_devices
        if env.action_space == Box(0.0, 1.0, (size,), np.float32):
            return env
        raise TypeError(
            f"env must take assignments, or scores in Box(0, 1, ({size},), float32); got "
            f'{env.action_space}. Use gymnasium.make("{ENV_ID}", scenario=...) as it is.'
        )
    # Refuses whatever else it is.
    return VotedVecEnv(env)


def saturated(scores: Tensor) -> float:
    """Return the share of scores in [-1, 1] where tanh lets a tenth of a gradient pass or less."""
    return float((scores.abs() > 0.95).float().mean())


def soft_vote(scores: Tensor, temperature: float, may_stay: Tensor | None = None) -> Tensor:
    """Return by how much each device goes to each server: the vote [V-1], made differentiable.

    A softmax over the scores, shape (..., M, N), scaled to [-1, 1], and the threshold of the vote,
    which is 0 on that scale. It tends to the vote as `temperature` tends to 0. Devices that may
    not stay, shape (N,), know no threshold. A device's sum is short of 1 by how much it stays.
    """
    threshold = torch.zeros_like(scores[..., :1, :])
    if may_stay is not None:
        threshold = threshold.masked_fill(~may_stay, -torch.inf)
    return torch.softmax(torch.cat([threshold, scores], -2) / temperature, -2)[..., 1:, :]


class VoteCritic(ContinuousCritic):
    """Stable-Baselines3's critic on the soft vote of scores, and the servers' loads that follow.

    The reward depends on scores through the vote alone, mostly on how many devices come to each
    server. A network on the raw scores would have to find both out from rewards.
    """

    may_stay: Tensor

    def __init__(
        self,
        *,
        net_arch: list[int],
        activation_fn: type[nn.Module],
        n_servers: int,
        temperature: float,
        **kwargs: Any,
    ) -> None:
        # The base builds its networks on raw actions: it is given narrow ones, replaced below.
        super().__init__(net_arch=[], activation_fn=activation_fn, **kwargs)
        self.n_servers, self.temperature = n_servers, temperature
        scores = spaces.flatdim(self.action_space)
        self.n_devices = scores // n_servers
        inputs = kwargs["features_dim"] + scores + n_servers
        self.register_buffer("may_stay", torch.ones(self.n_devices, dtype=torch.bool))
        self.q_networks = []
        for index in range(self.n_critics):
            network = nn.Sequential(*create_mlp(inputs, 1, net_arch, activation_fn))
            self.add_module(f"qf{index}", network)
            self.q_networks.append(network)

    def _inputs(self, obs: PyTorchObs, actions: Tensor) -> Tensor:
        with torch.set_grad_enabled(not self.share_features_extractor):
            seen = self.extract_features(obs, self.features_extractor)
        scores = actions.view(-1, self.n_servers, self.n_devices)
        votes = soft_vote(scores, self.temperature, self.may_stay)
        # Loads in shares of an even split of all devices: about 1 where everyone offloads.
        loads = votes.sum(-1) * (self.n_servers / self.n_devices)
        return torch.cat([seen, votes.flatten(1), loads], dim=1)

    def forward(self, obs: PyTorchObs, actions: Tensor) -> tuple[Tensor, ...]:
        """Return each network's value, (B, 1), of scores, (B, M · N), scaled to [-1, 1]."""
        inputs = self._inputs(obs, actions)
        return tuple(network(inputs) for network in self.q_networks)

    def q1_forward(self, obs: PyTorchObs, actions: Tensor) -> Tensor:
        """Return the first network's value, (B, 1), of the scores."""
        value: Tensor = self.q_networks[0](self._inputs(obs, actions))
        return value


class VotePolicy(AnyArray, TD3Policy):
    """Stable-Baselines3's ``TD3Policy`` with, where `temperature` is given, a :class:`VoteCritic`.

    Parameters
    ----------
    n_servers : int
        M; DDPG gives it.
    temperature : float, optional
        Of :func:`soft_vote` in the critic. None for Stable-Baselines3's critic on raw scores.
    output_scale : float
        Factor on the initial weights of the actor's last layer. Small ones begin near the
        threshold, where a score says nothing yet and its gradient is largest.
    """

    def __init__(
        self,
        *args: Any,
        n_servers: int,
        temperature: float | None = 0.2,
        output_scale: float = 0.1,
        **kwargs: Any,
    ) -> None:
        if temperature is not None:
            require_number("temperature", temperature, "(0, inf)")
        require_number("output_scale", output_scale, "[0, inf)")
        self.n_servers, self.temperature = n_servers, plain(temperature)
        self.output_scale = plain(output_scale)
        super().__init__(*args, **kwargs)
        self.n_devices = spaces.flatdim(self.action_space) // n_servers

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> Actor:
        """Return a new actor, whose last layer is scaled down."""
        actor = super().make_actor(features_extractor)
        last = [layer for layer in actor.mu if isinstance(layer, nn.Linear)][-1]
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.mul_(self.output_scale)
        return actor

    def make_critic(
        self, features_extractor: BaseFeaturesExtractor | None = None
    ) -> ContinuousCritic:
        """Return a new critic, which sees the soft vote where there is a `temperature`."""
        if self.temperature is None:
            return super().make_critic(features_extractor)
        arguments = self._update_features_extractor(self.critic_kwargs, features_extractor)
        critic = VoteCritic(**arguments, n_servers=self.n_servers, temperature=self.temperature)
        return critic.to(self.device)

    def meet(self, scenario: Scenario) -> None:
        """Let the critic know which devices can execute locally."""
        may_stay = torch.as_tensor(scenario.can_execute_locally, device=self.device)
        for critic in (self.critic, self.critic_target):
            if isinstance(critic, VoteCritic):
                critic.may_stay.copy_(may_stay)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("n_servers", "temperature", "output_scale")}
        return super()._get_constructor_parameters() | own
