"""What the searches share as policies: budgets, settings, seeds."""

from __future__ import annotations

from typing import Any, ClassVar

from baselines.policies.policy import SlotPolicy
from baselines.search import SearchSettings, committed_settings, require_budget
from mec_gym.validation import dict_of, plain


class SearchPolicy(SlotPolicy):
    """Base of the policies that search each slot anew, with knowledge of the whole slot.

    Parameters
    ----------
    env, **kwargs
        As for :class:`~baselines.policies.policy.SlotPolicy`. The seed decides what is found: the
        same for equal slots, in any batch.
    max_evaluations : int
        Decisions to price per slot.
    max_milliseconds : float, optional
        Begin no further generation after so long; decisions then depend on the machine.
    encoding : {"floor", "scores", "order", "prices"}, optional
        See :mod:`baselines.encodings`; by default the best of those.
    start, population, options
        As for :class:`~baselines.search.SearchSettings`; by default those committed under
        baselines/settings for the encoding.

    Raises
    ------
    TypeError, ValueError
        For a budget that is not positive, or settings that do not exist.
    """

    settings = (
        "max_evaluations",
        "max_milliseconds",
        "encoding",
        "start",
        "population",
        "options",
    )
    algorithm: ClassVar[str]

    def __init__(
        self,
        env: Any = None,
        *,
        max_evaluations: int = 2000,
        max_milliseconds: float | None = None,
        encoding: str | None = None,
        start: str | None = None,
        population: int | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        require_budget(max_evaluations, max_milliseconds)
        best = committed_settings(self.algorithm, encoding)
        self.max_evaluations, self.max_milliseconds = int(max_evaluations), max_milliseconds
        self.encoding = best.encoding
        self.start = best.start if start is None else start
        self.population = best.population if population is None else population
        given = dict_of("options", best.options if options is None else options)
        self.options = {name: plain(value) for name, value in given.items()}
        self.search = SearchSettings(self.encoding, self.start, self.population, self.options)
        super().__init__(env, **kwargs)

    @property
    def remark(self) -> str:
        """In what it is more than the plain search of its name; empty where it is that search."""
        exact = {
            "order": "the order in which devices choose greedily",
            "prices": "the servers' prices, which devices and servers then answer exactly",
        }
        more = [f"it searches {exact[self.encoding]}"] if self.encoding in exact else []
        more += ["it starts from the greedy decision"] if self.start != "random" else []
        if not more:
            return ""
        return (
            f"{', and '.join(more)}. The plain search of the literature does not, and reaches far "
            "less where there are many devices: encoding='floor', start='random'."
        )

    @property
    def budget(self) -> dict[str, Any]:
        """What bounds the search of one slot."""
        return {
            "max_evaluations": self.max_evaluations,
            "max_milliseconds": self.max_milliseconds,
            "seed": self.seed or 0,
        }
