"""What the paper prints in Section V: every number of its tables and text, here and nowhere else.

F. Jiang, L. Dong, K. Wang, K. Yang and C. Pan, IEEE Internet of Things Journal 9(9), 2022. Its
figures give no numbers but those that its text repeats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Accuracy:
    """A cell pair of Table II.

    Attributes
    ----------
    training, testing : float, [1]
        Share of decisions that are right.

    Examples
    --------
    >>> TABLE_II["L1", 256].testing
    0.963
    """

    training: float
    testing: float


TABLE_II: Mapping[tuple[str, int], Accuracy] = {
    ("L1", 64): Accuracy(0.908, 0.901),
    ("L1", 128): Accuracy(0.924, 0.918),
    ("L1", 256): Accuracy(0.967, 0.963),
    ("L1", 512): Accuracy(0.967, 0.965),
    ("LD", 64): Accuracy(0.903, 0.855),
    ("LD", 128): Accuracy(0.922, 0.898),
    ("LD", 256): Accuracy(0.966, 0.934),
    ("LD", 512): Accuracy(0.966, 0.943),
}
"""By loss and number of demonstrations."""


@dataclass(frozen=True)
class Reached:
    """A column of Tables III and IV.

    Attributes
    ----------
    objective : float, [1]
        Sum over devices.
    time_s, energy_j : float, [s], [J]
        Its two parts.
    nrr : float, [1]
        Against the paper's PSO.

    Examples
    --------
    >>> round(TABLE_III["uniform"].implied_optimum, 1)
    281.6
    """

    objective: float
    time_s: float
    energy_j: float
    nrr: float

    @property
    def implied_optimum(self) -> float:
        """What the NRR divides by: the objective that the paper's PSO must have reached."""
        return self.objective * self.nrr


TABLE_III: Mapping[str, Reached] = {
    "uniform": Reached(295.27, 215.84, 79.43, 0.9536),
    "gaussian": Reached(291.07, 203.76, 87.31, 0.9528),
    "levy": Reached(290.38, 201.83, 88.55, 0.9574),
}
"""By the law of the devices' positions."""

TABLE_IV: Mapping[str, Reached] = {
    "50 kB": Reached(290.54, 200.37, 90.17, 0.9517),
    "1000 kB": Reached(304.89, 225.52, 79.37, 0.9519),
    "0.5e9 cycles": Reached(147.11, 107.77, 39.34, 0.9524),
    "2e9 cycles": Reached(587.99, 395.72, 192.27, 0.9508),
}
"""By the task."""


@dataclass(frozen=True)
class Compared:
    """A row of Table V.

    Attributes
    ----------
    training_s : float or None, [s]
        None for what does not learn.
    inference_s : float, [s]
        Per decision.
    time_s, energy_j : float, [s], [J]
        Averages over slots, sums over devices.

    Examples
    --------
    >>> TABLE_V["pso"].training_s is None
    True
    """

    training_s: float | None
    inference_s: float
    time_s: float
    energy_j: float

    @property
    def objective(self) -> float:
        """Time and energy at unit weights; the paper does not print Table V's weights."""
        return self.time_s + self.energy_j


TABLE_V: Mapping[str, Compared] = {
    "dirs": Compared(434.23, 0.0163, 292.8779, 40.5198),
    "ac": Compared(489.64, 0.017, 322.7262, 53.4802),
    "ddpg": Compared(517.17, 0.0198, 302.8238, 47.2354),
    "pso": Compared(None, 1.8565, 293.3282, 40.8271),
    "de": Compared(None, 1.8699, 293.7273, 40.6938),
}
"""By algorithm."""

TIMES_LONGER: Mapping[str, float] = {"pso": 113.89, "de": 114.72}
"""Section V-D: how many times longer than DIRS a search takes to decide."""

FIG_3_LOSS, FIG_3_ITERATIONS = 0.2, 300
"""Section V-B: the loss that both agents converge to, and after how many iterations."""

FIG_6_WEIGHTS: Mapping[str, tuple[float, float]] = {
    "time-sensitive": (1.5, 0.5),
    "normal": (1.0, 1.0),
    "energy-sensitive": (0.5, 1.5),
}
"""Section V-C: (φ_T, φ_E) by task."""
