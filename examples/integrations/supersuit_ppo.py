# /// script
# requires-python = ">=3.10"
# dependencies = ["mec-gym[multiagent]", "pettingzoo", "supersuit", "stable-baselines3", "torch"]
# ///
"""SuperSuit makes one vector environment of all servers; Stable-Baselines3's PPO trains them."""

import numpy as np
import supersuit
import torch
from stable_baselines3 import PPO

from mec_gym import Scenario, parallel_env, vote
from mec_gym.envs.observation import ObservationCoder
from mec_gym.evaluation import nrr, slot_set

torch.set_num_threads(1)
torch.manual_seed(0)  # SuperSuit's envs cannot be seeded by Stable-Baselines3
env = parallel_env(scenario="paper-30x2", reward="negative")
envs = supersuit.concat_vec_envs_v1(
    supersuit.pettingzoo_env_to_vec_env_v1(env), 16, base_class="stable_baselines3"
)
model = PPO(
    "MlpPolicy",
    envs,
    gamma=0.0,
    n_steps=32,
    batch_size=256,
    learning_rate=3e-3,
    policy_kwargs={"log_std_init": -1.0},  # scores are in [0, 1]
)
model.learn(40_000)


def decide(scenario, slot, *_):
    gains = ObservationCoder(scenario, "db").encode(slot)  # (slots, devices, servers)
    each = [model.predict(gains[..., j], deterministic=True)[0] for j in range(gains.shape[-1])]
    return vote(np.stack(each, axis=1), scenario.can_execute_locally)


slots = slot_set(Scenario.preset("paper-30x2"), own_layout=True)
print(f"NRR {nrr(slots, decide).mean():.3f} after {model.num_timesteps // 2} slots")
