# /// script
# requires-python = ">=3.10"
# dependencies = ["mec-gym[multiagent]", "ray[rllib]", "torch"]
# ///
"""RLlib trains one PPO policy per server; the servers' scores are voted into a decision."""

from __future__ import annotations

import ray
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.tune import register_env

from mec_gym import Scenario, parallel_env, vote
from mec_gym.envs.observation import ObservationCoder
from mec_gym.evaluation import nrr, slot_set

ray.init(num_cpus=1, object_store_memory=100 * 2**20, include_dashboard=False)
scenario = Scenario.preset("paper-30x2")
servers = parallel_env(scenario).possible_agents
register_env("servers", lambda settings: ParallelPettingZooEnv(parallel_env(**settings)))
ppo = (
    PPOConfig()
    .environment("servers", env_config={"scenario": scenario, "reward": "relative"})
    .env_runners(num_env_runners=0, num_envs_per_env_runner=8)
    .multi_agent(policies=servers, policy_mapping_fn=lambda agent, *_, **__: agent)
    .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[64, 64]))
    .training(
        gamma=0.0,
        lambda_=0.0,
        lr=3e-3,
        train_batch_size_per_learner=2000,
        minibatch_size=500,
        num_epochs=10,
    )
    .debugging(seed=0)
    .build_algo()
)
for _ in range(15):
    result = ppo.train()
policies = [ppo.get_module(server) for server in servers]


def decide(scenario, slot, *_):
    seen = torch.as_tensor(ObservationCoder(scenario, "db").encode(slot))
    scores = []
    for column, policy in zip(seen.unbind(-1), policies, strict=True):  # each its own gains
        with torch.no_grad():
            mean = policy.forward_inference({"obs": column})["action_dist_inputs"].chunk(2, -1)[0]
        scores.append((mean.clip(-1, 1) + 1) / 2)  # RLlib's actions lie in [-1, 1]
    return vote(torch.stack(scores, -2), scenario.can_execute_locally).numpy()


reached = nrr(slot_set(scenario, own_layout=True), decide).mean()
slots = int(result["env_runners"]["num_env_steps_sampled_lifetime"])
print(f"NRR {reached:.3f} after {slots} slots")
