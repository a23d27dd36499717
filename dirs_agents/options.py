"""Constructor arguments that go together: the paper's, and those that served best here."""

from __future__ import annotations

import copy
from typing import Any

from mec_gym.validation import require_choice

_OPTIONS: dict[str, dict[str, Any]] = {
    # Every default is the paper's where it prints one.
    "paper": {"policy": "EnsemblePolicy"},
    # The paper's agents with exact demonstrations and labels, taught the vote they take part in.
    "ensemble": {
        "policy": "EnsemblePolicy",
        "demonstrations": "optimal",
        "refinement": "optimal",
        "loss": "vote",
        "resample": True,
    },
    # A few hundred shared weights need few samples and steps, and larger ones.
    "prices": {
        "policy": "PricePolicy",
        "demonstrations": "optimal",
        "refinement": "optimal",
        "n_demonstrations": 128,
        "pretrain_steps": 150,
        "batch_size": 32,
        "learning_rate": 5e-3,
        "resample": True,
    },
}

OPTIONS = tuple(_OPTIONS)
"""The names that :func:`options` takes."""


def options(name: str, **changes: Any) -> dict[str, Any]:
    """Return constructor arguments of :class:`~dirs_agents.DIRS` by name.

    Parameters
    ----------
    name : {"paper", "ensemble", "prices"}
        The paper's own; the paper's agents with optimal demonstrations and labels and the loss of
        the vote; price-posting agents, for tasks that differ, layouts that change and any N.
    **changes
        Arguments that replace or add to them.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        For an unknown name.

    Examples
    --------
    >>> options("paper", seed=1)
    {'policy': 'EnsemblePolicy', 'seed': 1}
    """
    require_choice("options", name, OPTIONS)
    return copy.deepcopy(_OPTIONS[name]) | changes
