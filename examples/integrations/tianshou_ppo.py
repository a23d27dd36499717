# /// script
# requires-python = ">=3.10"
# dependencies = ["mec-gym", "tianshou>=2", "torch"]
# ///
"""Tianshou's PPO with a categorical choice for every device."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import ProbabilisticActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic
from torch.distributions import Categorical, Independent

from mec_gym import Scenario
from mec_gym.envs.observation import ObservationCoder
from mec_gym.evaluation import nrr, slot_set

np.random.seed(0)  # noqa: NPY002  Tianshou shuffles with it
torch.manual_seed(0)
scenario = Scenario.preset("paper-30x2")
envs = DummyVectorEnv(
    [lambda: gym.make("mec_gym/MultiMEC-v0", scenario=scenario, reward="relative")] * 16
)
envs.seed(0)
seen, choices = envs.observation_space[0], (scenario.n_devices, scenario.n_servers + 1)
actor, critic = (
    head(preprocess_net=Net(state_shape=seen.shape, hidden_sizes=[64, 64]), **more)
    for head, more in (
        (DiscreteActor, {"action_shape": choices, "softmax_output": False}),
        (DiscreteCritic, {}),
    )
)
policy = ProbabilisticActorPolicy(
    actor=actor,
    dist_fn=lambda logits: Independent(Categorical(logits=logits.unflatten(-1, choices)), 1),
    action_space=envs.action_space[0],
    action_scaling=False,
    action_bound_method=None,
)
ppo = PPO(
    policy=policy, critic=critic, optim=AdamOptimizerFactory(lr=3e-3), gamma=0.0, gae_lambda=0.0
)
training = OnPolicyTrainerParams(
    training_collector=Collector(ppo, envs, VectorReplayBuffer(2048, 16)),
    max_epochs=1,
    epoch_num_steps=20 * 2048,
    collection_step_num_env_steps=2048,
    update_step_num_repetitions=10,
    batch_size=512,
)
result = ppo.run_training(training)


def decide(scenario, slot, *_):
    with torch.no_grad():
        logits = actor(ObservationCoder(scenario).encode(slot))[0]
    return logits.unflatten(-1, choices).argmax(-1).numpy()


reached = nrr(slot_set(scenario, own_layout=True), decide).mean()
print(f"NRR {reached:.3f} after {result.train_step} slots")
