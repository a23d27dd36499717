# /// script
# requires-python = ">=3.10"
# dependencies = ["mec-gym", "torch"]
# ///
"""PPO in one file, after CleanRL, on the native vector environment."""

import gymnasium as gym
import torch
from torch.distributions import Categorical

import mec_gym
from mec_gym.evaluation import decide_with, nrr, slot_set

torch.manual_seed(0)
torch.set_num_threads(1)
envs = gym.make_vec("mec_gym/MultiMEC-v0", num_envs=64, scenario="paper-30x2", reward="negative")
choices = envs.single_action_space.nvec  # M + 1 for each device
n_seen = envs.single_observation_space.shape[0]


class Agent(torch.nn.Module):
    observation_space = envs.single_observation_space  # what decide_with shows it

    def __init__(self):
        super().__init__()
        into, tanh = [torch.nn.Linear(n_seen, 64) for _ in range(2)], torch.nn.Tanh()
        heads = torch.nn.Linear(64, int(choices.sum())), torch.nn.Unflatten(1, (len(choices), -1))
        self.actor = torch.nn.Sequential(into[0], tanh, *heads)
        self.critic = torch.nn.Sequential(into[1], tanh, torch.nn.Linear(64, 1))

    def predict(self, observation, **_):
        return self.actor(torch.as_tensor(observation)).argmax(-1).numpy(), None


agent = Agent()
optimiser = torch.optim.Adam(agent.parameters(), 3e-3)
seen, _ = envs.reset(seed=0)
for _ in range(20):
    steps = []
    for _ in range(16):
        before = torch.as_tensor(seen)
        with torch.no_grad():
            policy = Categorical(logits=agent.actor(before))
        action = policy.sample()
        seen, reward, _, _, _ = envs.step(action.numpy())
        steps.append((before, action, policy.log_prob(action).sum(-1), torch.as_tensor(reward)))
    # A slot's return is its reward: no decision affects later slots.
    b_seen, b_action, b_logprob, b_return = (torch.cat(part) for part in zip(*steps, strict=True))
    b_return = b_return.float()
    for _ in range(4):
        for batch in torch.randperm(len(b_seen)).split(256):
            policy = Categorical(logits=agent.actor(b_seen[batch]))
            value = agent.critic(b_seen[batch]).squeeze(-1)
            advantage = b_return[batch] - value.detach()
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            ratio = (policy.log_prob(b_action[batch]).sum(-1) - b_logprob[batch]).exp()
            clipped = torch.min(advantage * ratio, advantage * ratio.clamp(0.8, 1.2))
            loss = -clipped.mean() + 0.5 * (value - b_return[batch]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimiser.step()

slots = slot_set(mec_gym.Scenario.preset("paper-30x2"), own_layout=True)
print(f"NRR {nrr(slots, decide_with(agent)).mean():.3f} after {20 * 16 * 64} slots")
