"""Running means of what is logged, exact across a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Averages:
    """Means by name since they were last taken.

    Examples
    --------
    >>> averages = Averages()
    >>> averages.add("x", 1.0)
    >>> averages.add("x", 2.0)
    >>> averages.take(), averages.take()
    ({'x': 1.5}, {})
    """

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}

    def add(self, name: str, value: Any) -> None:
        """Note a value.

        Parameters
        ----------
        name : str
            What it is.
        value : number
            Its value.
        """
        entry = self._sums.setdefault(name, [0.0, 0.0])
        entry[0] += float(value)
        entry[1] += 1.0

    def take(self) -> dict[str, float]:
        """Return the means and begin anew.

        Returns
        -------
        dict of str to float
        """
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        return means

    def get_state(self) -> dict[str, list[float]]:
        """Return sums and counts.

        Returns
        -------
        dict
        """
        return {name: list(entry) for name, entry in self._sums.items()}

    def set_state(self, state: Mapping[str, list[float]]) -> None:
        """Go back to a state.

        Parameters
        ----------
        state : mapping
            From :meth:`get_state`.
        """
        self._sums = {name: list(entry) for name, entry in state.items()}
