# /// script
# requires-python = ">=3.10"
# dependencies = ["mec-gym[sb3]", "optuna", "stable-baselines3", "torch"]
# ///
"""Optuna looks for a learning rate on some slots; the best is measured on others."""

import optuna
import torch
from stable_baselines3 import PPO

from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import decide_with, nrr, slot_set

torch.set_num_threads(1)
scenario = Scenario.preset("paper-30x2")
tuning = slot_set(scenario, own_layout=True, seed=1)
models = []


def objective(trial):
    rate = trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    envs = make_sb3_vec_env(scenario, n_envs=64, reward="negative", seed=0)
    models.append(
        PPO("MlpPolicy", envs, gamma=0.0, n_steps=16, batch_size=256, learning_rate=rate, seed=0)
    )
    models[-1].learn(8_000)
    return nrr(tuning, decide_with(models[-1])).mean()


study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
study.optimize(objective, n_trials=4)
print(study.best_params)
reached = nrr(slot_set(scenario, own_layout=True), decide_with(models[study.best_trial.number]))
print(f"NRR {reached.mean():.3f} after {sum(model.num_timesteps for model in models)} slots")
