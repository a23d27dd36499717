# /// script
# requires-python = ">=3.10"
# dependencies = ["mec-gym[multiagent]", "benchmarl", "torch", "torchrl"]
# ///
"""BenchMARL's MASAC trains one policy per server; their scores are voted into a decision."""

from __future__ import annotations

import torch
from benchmarl.algorithms import MasacConfig
from benchmarl.environments.pettingzoo.common import PettingZooClass
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig
from tensordict import TensorDict
from torchrl.envs import PettingZooWrapper
from torchrl.envs.utils import ExplorationType, set_exploration_type

from mec_gym import Scenario, parallel_env, vote
from mec_gym.envs.observation import ObservationCoder
from mec_gym.evaluation import nrr, slot_set


class MultiMEC(PettingZooClass):
    """A task with the arguments of `parallel_env` as its config."""

    def get_env_fun(self, num_envs, continuous_actions, seed, device):
        return lambda: PettingZooWrapper(
            parallel_env(**self.config), return_state=True, seed=seed, device=device
        )

    def supports_continuous_actions(self):
        return True

    def has_state(self):
        return True


scenario = Scenario.preset("paper-30x2")
config = ExperimentConfig.get_from_yaml()
config.gamma, config.lr, config.share_policy_params = 0.0, 1e-3, False
config.evaluation, config.loggers, config.create_json = False, [], False
config.max_n_frames, config.off_policy_collected_frames_per_batch = 5_000, 300
config.off_policy_n_optimizer_steps = 60
model = MlpConfig.get_from_yaml()
model.num_cells, model.activation_class = [64, 64], torch.nn.Tanh
experiment = Experiment(
    task=MultiMEC("multi_mec", {"scenario": scenario, "reward": "relative", "max_cycles": 100}),
    algorithm_config=MasacConfig.get_from_yaml(),
    model_config=model,
    critic_model_config=MlpConfig.get_from_yaml(),
    seed=0,
    config=config,
)
experiment.run()


def decide(scenario, slot, *_):
    seen = torch.as_tensor(ObservationCoder(scenario, "db").encode(slot)).mT  # each its own gains
    servers = TensorDict({"observation": seen}, seen.shape[:2])
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        decided = experiment.policy(TensorDict({"mec": servers}, seen.shape[:1]))
    return vote(decided["mec", "action"], scenario.can_execute_locally).numpy()


reached = nrr(slot_set(scenario, own_layout=True), decide).mean()
print(f"NRR {reached:.3f} after {experiment.total_frames} slots")
