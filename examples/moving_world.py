"""A stock learner in a world that moves, with and without a discount, beside rules and bound."""

import sys

import numpy as np
import torch
from stable_baselines3 import PPO

import baselines
from mec_gym import Scenario, solve
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import decide_with, episode_set, hindsight_ratio

SCENARIO, SLOTS = "crowd-30x4", int(sys.argv[1]) if sys.argv[1:] else 200_000
torch.set_num_threads(1)
scenario = Scenario.preset(SCENARIO)
episodes = episode_set(scenario, n_episodes=20, seed=1)


def show(name: str, decide: object) -> None:
    ratio = hindsight_ratio(episodes, decide)
    error = 2 * ratio.std(ddof=1) / np.sqrt(len(ratio))
    print(f"{name:34} {ratio.mean():.3f} ± {error:.3f}")


show("all local", lambda s, slot, *_: baselines.local(s, slot))
show("blind: moves seem free", lambda s, slot, *_: baselines.stays(s, slot, np.inf))
show("myopic: moves paid at once", lambda s, slot, *_: solve(s, slot).assignment)
show("services never move", lambda s, slot, *_: baselines.placed_then_stays(s, slot, 0))
show(
    "moves for a sixth of their price", lambda s, slot, *_: baselines.placed_then_stays(s, slot, 6)
)
for gamma in (0.0, 0.9):
    envs = make_sb3_vec_env(SCENARIO, n_envs=64, reward="negative", seed=0)
    model = PPO(
        "MlpPolicy",
        envs,
        gamma=gamma,
        n_steps=32,
        batch_size=512,
        learning_rate=1e-3,
        policy_kwargs={"net_arch": [128, 128]},
        seed=0,
    )
    model.learn(SLOTS)
    show(f"PPO, {SLOTS:,} slots, gamma {gamma}", decide_with(model))
print(f"plan of one who knows the path     {1 - episodes.gap:.3f} or more")
