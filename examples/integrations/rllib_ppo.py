# /// script
# requires-python = ">=3.10"
# dependencies = ["mec-gym", "ray[rllib]", "torch"]
# ///
"""RLlib's PPO decides for all devices at once, on the native vector environment."""

from __future__ import annotations

import ray
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

from mec_gym import Scenario
from mec_gym.envs.observation import ObservationCoder
from mec_gym.evaluation import nrr, slot_set

ray.init(num_cpus=1, object_store_memory=100 * 2**20, include_dashboard=False)
scenario = Scenario.preset("paper-30x2")
ppo = (
    PPOConfig()
    .environment(
        "mec_gym:mec_gym/MultiMEC-v0", env_config={"scenario": scenario, "reward": "relative"}
    )
    .env_runners(
        num_env_runners=0,
        num_envs_per_env_runner=32,
        gym_env_vectorize_mode="vector_entry_point",
    )
    .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[64, 64]))
    .training(
        gamma=0.0,
        lambda_=0.0,
        lr=3e-3,
        train_batch_size_per_learner=2048,
        minibatch_size=512,
        num_epochs=10,
    )
    .debugging(seed=0)
    .build_algo()
)
for _ in range(20):
    result = ppo.train()
module = ppo.get_module()


def decide(scenario, slot, *_):
    seen = torch.as_tensor(ObservationCoder(scenario).encode(slot))
    with torch.no_grad():
        logits = module.forward_inference({"obs": seen})["action_dist_inputs"]
    choices = (scenario.n_devices, scenario.n_servers + 1)
    return logits.unflatten(-1, choices).argmax(-1).numpy()


reached = nrr(slot_set(scenario, own_layout=True), decide).mean()
slots = int(result["env_runners"]["num_env_steps_sampled_lifetime"])
print(f"NRR {reached:.3f} after {slots} slots")
