"""What the env remembers for its picture, apart from the dynamics."""

from __future__ import annotations

import copy
import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.envs.simulator import Simulator
from mec_gym.model.arrays import sum_by_server
from mec_gym.model.layout import Layout
from mec_gym.model.slot import Slot
from mec_gym.rendering import Frame, Window, draw
from mec_gym.scenario import Scenario

KEPT_SLOTS = 100


class Picture:
    """The last decided slot and the recent objectives, ready to draw."""

    def __init__(self, scenario: Scenario, render_mode: str) -> None:
        self._scenario = scenario
        self._human = render_mode == "human"
        self._window: Window | None = None
        self._history: deque[tuple[float, float | None]] = deque(maxlen=KEPT_SLOTS)
        self._slots = 0
        self._slot: Slot | None = None
        self._layout: Layout | None = None
        self._assignment: NDArray[np.int64] | None = None
        self._info: dict[str, Any] | None = None

    def begin(self, simulator: Simulator, info: dict[str, Any], index: int | None = None) -> None:
        """Take up an episode: no decision yet."""
        self._history.clear()
        self._slots = 0
        self._assignment = None
        self._info = copy.deepcopy(info)
        self.remember(simulator, index)
        self._show()

    def remember(self, simulator: Simulator, index: int | None = None) -> None:
        """Keep the slot that is about to be decided."""
        self._slot = simulator.slot if index is None else simulator.slot[index]
        self._layout = simulator.world.layout(index or 0)

    def decided(self, assignment: NDArray[np.int64], info: dict[str, Any]) -> None:
        """Keep the decision of the slot last remembered."""
        self._slots += 1
        self._assignment = assignment.copy()
        self._info = copy.deepcopy(info)
        self._history.append((info["objective"], info.get("optimum")))
        self._show()

    def frame(self) -> Frame:
        """Return what is to be drawn."""
        if self._slot is None or self._layout is None or self._info is None:
            raise RuntimeError("there is nothing to draw before the first reset().")
        n_servers = self._scenario.n_servers
        decided = self._assignment is not None
        load = np.zeros(n_servers)
        if self._assignment is not None:
            work = sum_by_server(np, self._slot.cycles, self._assignment, n_servers)[1:]
            load = work / self._scenario.server_frequencies_hz
        return Frame(
            title=self._scenario.name,
            area_m=self._scenario.area_m,
            device_positions_m=self._layout.device_positions_m,
            server_positions_m=self._layout.server_positions_m,
            assignment=self._assignment,
            server_load=load,
            devices_per_server=self._info["devices_per_server"],
            # Before a decision the info describes all-local execution, which nobody chose.
            objective=self._info["objective"] if decided else math.nan,
            optimum=self._info.get("optimum"),
            latency_s=self._info["latency_s"] if decided else math.nan,
            energy_j=self._info["energy_j"] if decided else math.nan,
            slot=self._slots,
            history=tuple(self._history),
        )

    def render(self) -> NDArray[np.uint8] | None:
        """Return the picture, or show it in human mode."""
        if not self._human:
            return draw(self.frame())
        self._show()
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window:
            self._window.close()
            self._window = None

    def __getstate__(self) -> dict[str, Any]:
        # A window belongs to its process; a copy opens its own.
        return {**self.__dict__, "_window": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Picture:
        twin = Picture.__new__(Picture)
        memo[id(self)] = twin
        twin.__dict__.update(self.__getstate__())
        twin._history = deque(self._history, maxlen=KEPT_SLOTS)
        return twin

    def _show(self) -> None:
        if self._human:
            self._window = self._window or Window()
            self._window.show(self.frame())
