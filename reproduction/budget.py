"""How much a reproduction spends: the paper's own budgets, or a few minutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

VARIANTS = ("dirs", "dirs:ensemble", "dirs:prices")
"""The paper's options; its agents with optimal labels and the loss of the vote; price-posting
agents."""

MAIN_VARIANTS = ("dirs", "dirs:prices")
"""Where Tables III and V have shown what the third one adds."""

PARTS: dict[str, dict[str, str]] = {
    "without h": {"mutation": "shuffled"},
    "without (22)": {"crossover": "none"},
    "(22) by the step of (20)": {"crossover": "shared"},
    "(22) as a whole": {"crossover": "member"},
}
"""The proposed search without one of its parts, and by other readings of eq. (22)."""

_PRICE_SLOTS = 1000


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What is spent on each table and figure.

    Attributes
    ----------
    name : str
        "full" or "quick".
    seeds : int
        Training runs of each learner, each on a map of its own.
    slots : int, optional
        Of training at most; the paper's T_DRL by default.
    arguments : mapping of str to mapping
        Constructor arguments by algorithm, where they are not its own.
    demonstrations : tuple of int
        Table II's data quantities.
    held_out : int
        Demonstrations to test on, Table II.
    generations : tuple of int
        G_max of Fig. 4's searches.
    refined_slots : int
        Slots that Fig. 4 refines.
    search_slots : int
        Slots that PSO and DE search, in layouts of five.
    evaluations : int
        Decisions that they price per slot.
    devices : tuple of int
        N of Fig. 7. The paper's text does not say which it plots.

    Examples
    --------
    >>> FULL.seeds, FULL.timesteps("dirs", 4000), FULL.timesteps("dirs:prices", 4000)
    (5, 4000, 1000)
    """

    name: str
    seeds: int
    slots: int | None = None
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    demonstrations: tuple[int, ...] = (64, 128, 256, 512)
    held_out: int = 256
    generations: tuple[int, ...] = (10, 1000)
    refined_slots: int = 200
    search_slots: int = 20
    evaluations: int = 2000
    devices: tuple[int, ...] = (50, 100, 150, 200, 250)

    def timesteps(self, algorithm: str, slots: int) -> int:
        """Return how many slots an algorithm trains for.

        Parameters
        ----------
        algorithm : str
            Its name.
        slots : int
            T_DRL of the paper's section.

        Returns
        -------
        int
            Price-posting agents need no more than 1,000.
        """
        wanted = min(slots, _PRICE_SLOTS) if algorithm == "dirs:prices" else slots
        return wanted if self.slots is None else min(wanted, self.slots)


FULL = Budget(name="full", seeds=5)

_SMALL = {"n_demonstrations": 32, "pretrain_steps": 40}

QUICK = Budget(
    name="quick",
    seeds=2,
    slots=100,
    arguments={
        "dirs": {**_SMALL, "demonstration_generations": 50},
        "dirs:ensemble": _SMALL,
        "dirs:prices": _SMALL,
    },
    demonstrations=(64, 256),
    held_out=64,
    generations=(10, 100),
    refined_slots=20,
    search_slots=5,
    evaluations=500,
    devices=(50, 200),
)
