# /// script
# requires-python = ">=3.10"
# dependencies = ["mec-gym[sb3]", "stable-baselines3", "torch"]
# ///
"""Stable-Baselines3's PPO trains on 64 copies that are computed as one batch."""

import torch
from stable_baselines3 import PPO

from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import decide_with, nrr, slot_set

torch.set_num_threads(1)  # small networks train fastest on one thread
envs = make_sb3_vec_env("paper-30x2", n_envs=64, reward="negative", seed=0)
# Slots do not depend on each other: no discount.
model = PPO("MlpPolicy", envs, gamma=0.0, n_steps=16, batch_size=256, learning_rate=3e-3, seed=0)
model.learn(20_000)

slots = slot_set(Scenario.preset("paper-30x2"), own_layout=True)
print(f"NRR {nrr(slots, decide_with(model)).mean():.3f} after {model.num_timesteps} slots")
