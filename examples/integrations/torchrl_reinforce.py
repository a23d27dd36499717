# /// script
# requires-python = ">=3.10"
# dependencies = ["mec-gym", "torchrl", "torch"]
# ///
"""TorchRL trains a policy on single slots, whose rewards do not depend on each other."""

import gymnasium as gym
import torch
from tensordict.nn import TensorDictModule
from torchrl.envs.libs.gym import GymWrapper

import mec_gym  # registers the environment
from mec_gym.envs.observation import ObservationCoder
from mec_gym.evaluation import nrr, slot_set

torch.manual_seed(0)
envs = GymWrapper(
    gym.make_vec(
        "mec_gym/MultiMEC-v0",
        num_envs=64,
        scenario="paper-30x2",
        observation="db",  # a row for each device: all share one small network
        reward="relative",
        autoreset_mode="SameStep",
    ),
    categorical_action_encoding=True,
)
scores = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 3))
draw = TensorDictModule(
    lambda seen: torch.distributions.Categorical(logits=scores(seen)).sample(),
    in_keys=["observation"],
    out_keys=["action"],
)
optimiser = torch.optim.Adam(scores.parameters(), 3e-3)
for _ in range(150):
    slots = envs.rollout(16, draw, break_when_any_done=False).detach()
    reward = slots["next", "reward"]
    advantage = (reward - reward.mean()) / reward.std()
    choice = torch.distributions.Categorical(logits=scores(slots["observation"]))
    optimiser.zero_grad()
    (-(advantage * choice.log_prob(slots["action"])).sum(-1).mean()).backward()
    optimiser.step()


def decide(scenario, slot, *_):
    return scores(torch.as_tensor(ObservationCoder(scenario, "db").encode(slot))).argmax(-1).numpy()


scenario = mec_gym.Scenario.preset("paper-30x2")
reached = nrr(slot_set(scenario, own_layout=True), decide).mean()
print(f"NRR {reached:.3f} after {150 * 16 * 64} slots")
