"""The figures of info in a learner's log: latency, energy, objective, NRR."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm

FIGURES = ("latency_s", "energy_j", "objective", "nrr")
"""What is logged as ``mec/...``; NRR where the env has ``optimum=True``."""


class MECLog(BaseAlgorithm):
    """Adds ``mec/latency_s``, ``mec/energy_j``, ``mec/objective`` and ``mec/nrr`` to the log.

    For algorithms of Stable-Baselines3, named before them among the bases. The figures are means
    over the decisions carried out since the last entry.

    Examples
    --------
    >>> from stable_baselines3 import PPO
    >>> class LoggingPPO(MECLog, PPO):
    ...     pass
    """

    _sums: dict[str, list[float]] | None = None

    def _update_info_buffer(
        self, infos: list[dict[str, Any]], dones: NDArray[np.bool_] | None = None
    ) -> None:
        super()._update_info_buffer(infos, dones)
        if self._sums is None:
            self._sums = {name: [0.0, 0.0] for name in FIGURES}
        for name, entry in self._sums.items():
            values = [info[name] for info in infos if name in info]
            entry[0] += sum(values)
            entry[1] += len(values)

    def dump_logs(self, *args: Any, **kwargs: Any) -> None:
        """Write the figures with all that the algorithm itself logs.

        Parameters
        ----------
        *args, **kwargs
            For the algorithm's own.
        """
        for name, (total, count) in (self._sums or {}).items():
            if count:
                self.logger.record(f"mec/{name}", total / count)
        self._sums = None
        super().dump_logs(*args, **kwargs)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_sums"]
