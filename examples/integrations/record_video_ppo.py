# /// script
# requires-python = ">=3.10"
# dependencies = ["mec-gym[render,sb3]", "moviepy", "stable-baselines3", "torch"]
# ///
"""RecordVideo films an episode of a policy that Stable-Baselines3's PPO has trained."""

import gymnasium as gym
import torch
from stable_baselines3 import PPO

from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import decide_with, nrr, slot_set

torch.set_num_threads(1)
envs = make_sb3_vec_env("paper-30x2", n_envs=64, reward="negative", seed=0)
model = PPO("MlpPolicy", envs, gamma=0.0, n_steps=16, batch_size=256, learning_rate=3e-3, seed=0)
model.learn(20_000)

env = gym.make(
    "mec_gym/MultiMEC-v0", scenario="paper-30x2", render_mode="rgb_array", max_episode_steps=20
)
with gym.wrappers.RecordVideo(env, "videos") as film:
    seen, _ = film.reset(seed=0)
    truncated = False
    while not truncated:
        action, _ = model.predict(seen, deterministic=True)
        seen, _, _, truncated, _ = film.step(action)

slots = slot_set(Scenario.preset("paper-30x2"), own_layout=True)
print(f"NRR {nrr(slots, decide_with(model)).mean():.3f} after {model.num_timesteps} slots")
