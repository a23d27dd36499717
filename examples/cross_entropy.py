"""An algorithm of my own: cross-entropy search for the one assignment that suits the map best."""

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy


class CrossEntropy(BaseAlgorithm):
    def __init__(self, env, elite=10, sample=50, rate=0.3, seed=None, _init_setup_model=True, **_):
        super().__init__(BasePolicy, env, 0.0, seed=seed, device="cpu", support_multi_env=True)
        self.elite, self.sample, self.rate, self.table, self.tried = elite, sample, rate, None, []
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self):
        self.set_random_seed(self.seed)
        if self.table is None:  # else it was loaded
            choices = self.action_space.nvec
            self.table = np.full((len(choices), choices[0]), 1 / choices[0])

    def learn(self, total_timesteps, callback=None, reset_num_timesteps=True, progress_bar=False):
        total, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, "CE", progress_bar
        )
        callback.on_training_start(locals(), globals())
        going_on = True
        while going_on and self.num_timesteps < total:
            draws = np.random.random((self.n_envs, len(self.table), 1))
            actions = (draws > self.table.cumsum(1)[:, :-1]).sum(-1)
            _, rewards, _, infos = self.env.step(actions)
            self.num_timesteps += self.n_envs
            self.tried += zip(rewards, actions, strict=True)
            if len(self.tried) >= self.sample:
                best = sorted(self.tried, key=lambda one: -one[0])[: self.elite]
                chosen = np.eye(self.table.shape[1])[[action for _, action in best]].mean(0)
                self.table, self.tried = self.table + self.rate * (chosen - self.table), []
            callback.update_locals(locals())
            going_on = callback.on_step()
        callback.on_training_end()
        return self

    def predict(self, observation, state=None, **_):
        batch = observation.shape[: -len(self.observation_space.shape)]
        return np.broadcast_to(self.table.argmax(1), (*batch, len(self.table))).copy(), state

    def _get_torch_save_params(self):
        return [], []
