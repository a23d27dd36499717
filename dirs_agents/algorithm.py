"""DIRS's policies and files on top of what every algorithm here can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dirs_agents.agent import Agent
from dirs_agents.policies import PricePolicy, VotingPolicy
from dirs_agents.pretraining import Pretraining
from dirs_agents.replay import PrioritisedReplay
from mec_gym.envs.sb3_model import ResumableAlgorithm, sizes_of
from mec_gym.packing import Format
from mec_gym.scenario import Scenario
from mec_gym.validation import require_integer


class OffloadingAlgorithm(ResumableAlgorithm):
    """An algorithm with a voting policy on the env of mec_gym; a subclass brings the training.

    In another scenario, by ``set_env`` or ``load``, the replay buffer begins empty and the next
    ``learn`` imitates demonstrations of it. A model of price-posting agents loads for any N and M.
    """

    file_format = Format("mec-gym/dirs", 2, "a DIRS model")

    policy: VotingPolicy
    replay_buffer: PrioritisedReplay
    pretrained: bool
    _pretraining: Pretraining
    _memory: torch.Tensor | None

    def current_memory(self) -> torch.Tensor | None:
        """Return what the policy remembers of the running episodes, if it does."""
        return self.policy.forgotten(self._memory, self._last_episode_starts)

    def _move_policy(self) -> None:
        """Let the policy know the scenario; its parameters, which the optimizer holds, stay."""
        moved = self._new_policy()
        for name, module in moved.named_modules():
            module._parameters = self.policy.get_submodule(name)._parameters
        moved.set_training_mode(False)
        self.policy = moved

    # -- distributed inference ------------------------------------------------------------------

    def agent(self, server: int, *, admission: bool | None = None) -> Agent:
        """Return what one server runs: a copy of its network, which decides on its own gains.

        Parameters
        ----------
        server : int
            j in 1...M, as in an assignment; ``mec_j`` of the PettingZoo env.
        admission : bool, optional
            Whether the vote is followed by the servers' admission; as the policy does by default.
            False where the vote is final, as in the PettingZoo env: scores then use full prices.
        """
        require_integer("server", server, 1, self.scenario.n_servers)
        server = int(server)
        bank = self.policy.bank.single(server - 1)
        admits = getattr(self.policy, "admission", False)
        if admission is not None and admission != admits:
            if not isinstance(self.policy, PricePolicy):
                raise ValueError("admission=True needs a PricePolicy; other agents know no price.")
            admits = admission
            bank.markdown = self.policy.markdown if admits else 1.0
            bank.admission = admits
        ahead = getattr(self.policy, "foresight", None) if self.policy.remembers else None
        if ahead is not None:
            ahead = ahead.single(server - 1)
        coder = self.policy.coder.alone(server - 1)
        return Agent(server, bank, coder, admission=admits, foresight=ahead)

    # -- files ----------------------------------------------------------------------------------

    def _require_loadable(self, scenario: Scenario, kind: str) -> None:
        policy_class: Any = self.policy_class
        if not policy_class.any_size or sizes_of(scenario)[2] != sizes_of(self.scenario)[2]:
            self._require_same_sizes(scenario, kind)

    def _enter_scenario(self) -> None:
        self._move_policy()
        self._begin_anew()

    def _own_state(self) -> dict[str, Any]:
        return {
            "replay": self.replay_buffer.get_state(),
            "pretraining": self._pretraining.get_state(),
            "pretrained": self.pretrained,
            "memory": self.current_memory(),
        }

    def _take_own_state(self, state: Mapping[str, Any], *, same_world: bool) -> None:
        if same_world:
            self.replay_buffer.set_state(state["replay"])
            self._pretraining.set_state(state["pretraining"])
            memory = state["memory"]
            self._memory = None if memory is None else torch.as_tensor(memory, device=self.device)
        self.pretrained = same_world and state["pretrained"]

    def save_replay_buffer(self, path: Any) -> None:
        """Write the replay buffer alone; ``save`` holds it, too."""
        self.file_format.write(path, {"replay": self.replay_buffer.get_state()})

    def load_replay_buffer(self, path: Any) -> None:
        """Read a replay buffer that :meth:`save_replay_buffer` wrote."""
        content = self._read(path)
        if "replay" not in content:
            raise ValueError(f"{path} holds no replay buffer; load() reads models.")
        self.replay_buffer.set_state(content["replay"])
        self._pretraining.keep_labels()

    # -- logging --------------------------------------------------------------------------------

    def dump_logs(self, iteration: int = 0) -> None:
        """Write what has been noted since the last time, in Stable-Baselines3's tags."""
        logger = self.logger
        with torch.no_grad():
            square = sum(float(weight.square().sum()) for weight in self.policy.parameters())
        logger.record("train/l2", square)
        if self.replay_buffer.size:
            weights = self.replay_buffer.weights()
            logger.record("replay/size", self.replay_buffer.size)
            logger.record("replay/priority_mean", weights.mean())
            logger.record("replay/priority_max", weights.max())
        super().dump_logs(iteration)
