# /// script
# requires-python = ">=3.10"
# dependencies = ["mec-gym[sb3]", "wandb", "tensorboard", "stable-baselines3", "torch"]
# ///
"""TensorBoard and W&B show how Stable-Baselines3's PPO learns; W&B keeps its files here."""

import torch
import wandb
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import decide_with, nrr, slot_set

torch.set_num_threads(1)
run = wandb.init(project="mec-gym", mode="offline", sync_tensorboard=True)
# VecMonitor logs the mean reward of episodes.
envs = VecMonitor(make_sb3_vec_env("paper-30x2", n_envs=64, reward="negative", seed=0))
model = PPO(
    "MlpPolicy",
    envs,
    gamma=0.0,
    n_steps=16,
    batch_size=256,
    learning_rate=3e-3,
    tensorboard_log="logs",
    seed=0,
)
model.learn(20_000)

reached = nrr(slot_set(Scenario.preset("paper-30x2"), own_layout=True), decide_with(model)).mean()
run.summary["nrr"] = reached
run.finish()
print(f"NRR {reached:.3f} after {model.num_timesteps} slots")
