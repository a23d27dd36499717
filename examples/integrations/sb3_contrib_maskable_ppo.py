# /// script
# requires-python = ">=3.10"
# dependencies = ["mec-gym[sb3]", "sb3-contrib", "torch"]
# ///
"""sb3-contrib's MaskablePPO: five devices have too little power to compute locally."""

import torch
from sb3_contrib import MaskablePPO

from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import decide_with, nrr, slot_set

torch.set_num_threads(1)
scenario = Scenario.preset("paper-30x2", local_frequency_hz=[2e9] * 5 + [1e9] * 25)
envs = make_sb3_vec_env(scenario, n_envs=64, reward="negative", seed=0)
model = MaskablePPO(
    "MlpPolicy", envs, gamma=0.0, n_steps=16, batch_size=256, learning_rate=3e-3, seed=0
)
model.learn(20_000)  # it, and decide_with, find the action masks

slots = slot_set(scenario, own_layout=True)
print(f"NRR {nrr(slots, decide_with(model)).mean():.3f} after {model.num_timesteps} slots")
