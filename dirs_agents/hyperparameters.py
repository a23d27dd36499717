"""DIRS's hyper-parameters: which suit, the searches they describe, sets that go together."""

from __future__ import annotations

import copy
from dataclasses import asdict
from typing import Any

from dirs_agents.labels import REFINEMENTS, SOURCES, STARTS
from dirs_agents.levy_search import LevySearch
from dirs_agents.losses import LOSSES
from mec_gym.validation import plain, require_choice, require_hyperparameters

_LEAST_INTEGERS = {
    **dict.fromkeys(("n_demonstrations", "pretrain_steps"), 0),
    **dict.fromkeys(("buffer_size", "batch_size", "train_interval", "train_steps"), 1),
    "hindsight_episodes": 1,
    **dict.fromkeys(("own_rounds", "lesson_steps"), 0),
}

_NUMBERS = {
    **dict.fromkeys(("l2_weight", "agent_loss_weight", "priority_exponent"), "[0, inf)"),
    **dict.fromkeys(("agent_priority", "demonstration_priority"), "(0, inf)"),
    "epsilon": "[0, 1]",
}

_OWN = ("population", "generations", "beta")
_SHARED = ("threshold", "step_scale", "flight_scale")
"""Numbers of a search, which looks at them itself; the demonstrations' search has its own first."""

_READINGS = ("allocation", "crossover", "signed", "selection")
"""What else both searches share."""

_SEARCHED = (*_OWN, *(f"demonstration_{name}" for name in _OWN), *_SHARED)


def check_hyperparameters(model: Any) -> None:
    """Raise ``ValueError`` for a hyper-parameter no training could use; make NumPy's Python's."""
    require_choice("demonstrations", model.demonstrations, SOURCES)
    require_choice("demonstration_start", model.demonstration_start, STARTS)
    require_choice("refinement", model.refinement, REFINEMENTS)
    if model.loss is not None:
        require_choice("loss", model.loss, LOSSES)
    given = {"refine_interval": 1} if model.refine_interval is not None else {}
    require_hyperparameters(model, _LEAST_INTEGERS | given, _NUMBERS)
    for name in _SEARCHED:
        setattr(model, name, plain(getattr(model, name)))
    if model.demonstrations != "none" and model.n_demonstrations > model.buffer_size:
        raise ValueError(
            f"buffer_size must hold the demonstrations, which are kept; got buffer_size="
            f"{model.buffer_size} for n_demonstrations={model.n_demonstrations}."
        )
    if (model.policy_kwargs or {}).get("continuation"):
        _check_continuation(model)
    # Refuse the searches' settings now, not after the demonstrations; first what both share.
    online_search(model)
    demonstration_search(model)


def _check_continuation(model: Any) -> None:
    """Raise ``ValueError`` unless something teaches the continuation, and labels heed it."""
    if model.demonstrations != "hindsight":
        raise ValueError(
            "continuation=True is learned from hindsight: give demonstrations='hindsight'; got "
            f"{model.demonstrations!r}."
        )
    if model.refinement in ("levy", "classic-levy"):
        raise ValueError(
            "continuation=True needs a refinement that prices what comes later: 'optimal', "
            f"'epsilon-greedy' or 'none'; got {model.refinement!r}."
        )


def online_search(model: Any) -> LevySearch:
    """Return Algorithm 4 as it runs online, with a large β."""
    method = "classic-levy" if model.refinement == "classic-levy" else "levy"
    return _search(model, "", method=method)


def demonstration_search(model: Any) -> LevySearch:
    """Return Algorithm 4 as it makes demonstrations, with a small β."""
    return _search(model, "demonstration_")


def _search(model: Any, prefix: str, method: str = "levy") -> LevySearch:
    own = {name: getattr(model, prefix + name) for name in _OWN}
    shared = {name: getattr(model, name) for name in (*_SHARED, *_READINGS)}
    try:
        return LevySearch(method=method, **own, **shared)
    except ValueError as error:  # its message begins with its own name of what is wrong
        raise ValueError(f"{prefix}{error}") from None


def demonstration_settings(model: Any) -> dict[str, Any]:
    """Return the hyper-parameters that decide which demonstrations are made."""
    settings = {name: getattr(model, name) for name in ("demonstrations", "n_demonstrations")}
    if model.demonstrations == "levy":
        settings |= asdict(demonstration_search(model))
        settings["demonstration_start"] = model.demonstration_start
    if model.demonstrations == "hindsight":
        names = ("hindsight_episodes", "own_rounds", "lesson_steps")
        settings |= {name: getattr(model, name) for name in names}
    return settings


# A few hundred shared weights need few samples and steps, and larger ones.
_PRICES: dict[str, Any] = {
    "policy": "PricePolicy",
    "demonstrations": "optimal",
    "refinement": "optimal",
    "n_demonstrations": 128,
    "pretrain_steps": 150,
    "batch_size": 32,
    "learning_rate": 5e-3,
    "resample": True,
}

_OPTIONS: dict[str, dict[str, Any]] = {
    # Every default is the paper's where it prints one.
    "paper": {"policy": "EnsemblePolicy"},
    # The paper's agents and search, the i of eq. (23) read as the device, and taught the vote.
    "by-device": {
        "policy": "EnsemblePolicy",
        "demonstration_start": "best-gain",
        "selection": "device",
        "loss": "vote",
    },
    # The paper's agents with exact demonstrations and labels, taught the vote they take part in.
    "ensemble": {
        "policy": "EnsemblePolicy",
        "demonstrations": "optimal",
        "refinement": "optimal",
        "loss": "vote",
        "resample": True,
    },
    "prices": _PRICES,
    # As those, looking ahead: for worlds in which decisions last.
    "hindsight": _PRICES | {"demonstrations": "hindsight", "policy_kwargs": {"continuation": True}},
}

OPTIONS = tuple(_OPTIONS)
"""The names that :func:`options` takes."""


def options(name: str, **changes: Any) -> dict[str, Any]:
    """Return constructor arguments of :class:`~dirs_agents.DIRS` by name.

    Parameters
    ----------
    name : {"paper", "by-device", "ensemble", "prices", "hindsight"}
        The paper's own; the same with a search that keeps what pays device by device and the loss
        of the vote; the paper's agents with optimal demonstrations and labels and the loss of the
        vote; price-posting agents, for tasks that differ, layouts that change and any N; the same
        that look ahead, for worlds in which decisions last.
    **changes
        Arguments that replace or add to them.

    Examples
    --------
    >>> options("paper", seed=1)
    {'policy': 'EnsemblePolicy', 'seed': 1}
    """
    require_choice("options", name, OPTIONS)
    return copy.deepcopy(_OPTIONS[name]) | changes
