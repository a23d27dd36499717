# /// script
# requires-python = ">=3.10"
# dependencies = ["mec-gym[sb3]", "sb3-contrib", "torch"]
# ///
"""sb3-contrib's TQC gives scores, which are voted into an assignment."""

import torch
from sb3_contrib import TQC

from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import decide_with, nrr, slot_set

torch.set_num_threads(1)
envs = make_sb3_vec_env("paper-30x2", n_envs=16, scores=True, reward="negative", seed=0)
model = TQC(
    "MlpPolicy",
    envs,
    gamma=0.0,
    learning_starts=500,
    learning_rate=1e-3,
    policy_kwargs={"net_arch": [64, 64]},
    seed=0,
)
model.learn(30_000)

slots = slot_set(Scenario.preset("paper-30x2"), own_layout=True)
print(f"NRR {nrr(slots, decide_with(model)).mean():.3f} after {model.num_timesteps} slots")
