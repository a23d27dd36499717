"""MADDPG: a gradient step of all agents against one of Stable-Baselines3's DDPG.

DDPG's actor is as wide as all of MADDPG's actors together, its critic as wide as all critics. Both
have the same batch and env; Adam's steps aside, the same optimiser; and replay buffers of one
minibatch.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from stable_baselines3 import DDPG

import mec_gym
from baselines.learners import MADDPG
from benchmarks.measure import Action, Row, interleaved, row, shown, threads

PRESET = "paper-200x10"


def gradient_step(*, quick: bool) -> list[Row]:
    """Compare gradient steps of MADDPG and of DDPG with networks of equal total width."""
    scenario, batch = ("paper-30x2", 8) if quick else (PRESET, 64)
    kinds = (("shared", "replay"), ("shared", "policy"), ("per-agent", "replay"))
    with threads(1):
        return [_against_ddpg(scenario, batch, critics, others) for critics, others in kinds]


def _against_ddpg(scenario: str, batch: int, critics: str, others: str) -> Row:
    env = gym.make(mec_gym.ENV_ID, scenario=scenario, observation="flat", max_episode_steps=100)
    shared: dict[str, Any] = {"batch_size": batch, "learning_starts": 2 * batch, "seed": 0}
    shared |= {"buffer_size": 2 * batch, "device": "cpu"}
    ours = MADDPG(env=env, critics=critics, others=others, **shared).learn(2 * batch)
    agents, widths = ours.policy.n_agents, ours.policy.net_arch
    total = {
        "pi": [agents * width for width in widths["pi"]],
        "qf": [ours.critic.n_critics * width for width in widths["qf"]],
    }
    theirs = DDPG(
        "MlpPolicy", mec_gym.ScoreAction(env), policy_kwargs={"net_arch": total}, **shared
    ).learn(2 * batch)
    actions: dict[str, tuple[Action, int]] = {
        "ours": (lambda: ours.train(1, batch), 1),
        "theirs": (lambda: theirs.train(1, batch), 1),
    }
    seconds = interleaved(actions, rounds=5 if batch < 64 else 30)
    return row(
        f"gradient step, MADDPG, {scenario}, batch {batch}, critics={critics!r}, "
        f"others={others!r}, over DDPG's of equal total width",
        shown(seconds["ours"]),
        f"{shown(seconds['theirs'])}, widths {total['pi']} and {total['qf']}",
        seconds["ours"] / seconds["theirs"],
        "<= 2",
    )
