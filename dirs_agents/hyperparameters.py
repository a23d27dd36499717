"""DIRS's hyper-parameters: which there are, what they must be, the searches they describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dirs_agents.demonstrations import SOURCES
from dirs_agents.levy_search import LevySearch
from dirs_agents.losses import LOSSES
from dirs_agents.policies import VotingPolicy
from dirs_agents.refinement import REFINEMENTS
from mec_gym.validation import plain, plain_seed, require_choice, require_integer, require_number

HYPERPARAMETERS = (
    "learning_rate",
    "demonstrations",
    "n_demonstrations",
    "pretrain_steps",
    "l2_weight",
    "demonstration_population",
    "demonstration_generations",
    "demonstration_beta",
    "buffer_size",
    "batch_size",
    "train_interval",
    "train_steps",
    "resample",
    "refine_interval",
    "agent_loss_weight",
    "loss",
    "priority_exponent",
    "agent_priority",
    "demonstration_priority",
    "refinement",
    "population",
    "generations",
    "beta",
    "threshold",
    "step_scale",
    "allocation",
    "epsilon",
    "policy_kwargs",
    "stats_window_size",
    "tensorboard_log",
    "verbose",
    "seed",
)
"""Constructor arguments that a file holds."""

_LEAST_INTEGERS = {
    "n_demonstrations": 0,
    "pretrain_steps": 0,
    "buffer_size": 1,
    "batch_size": 1,
    "train_interval": 1,
    "train_steps": 1,
    "refine_interval": 1,
    "stats_window_size": 1,
}

_NUMBERS = {
    "l2_weight": "[0, inf)",
    "agent_loss_weight": "[0, inf)",
    "priority_exponent": "[0, inf)",
    "agent_priority": "(0, inf)",
    "demonstration_priority": "(0, inf)",
    "epsilon": "[0, 1]",
}

_SEARCHES = (
    "demonstration_population",
    "demonstration_generations",
    "demonstration_beta",
    "population",
    "generations",
    "beta",
    "threshold",
    "step_scale",
)
"""Numbers that the searches look at themselves."""


def check_hyperparameters(model: Any) -> None:
    """Raise ``ValueError`` for a hyper-parameter no training could use; make NumPy's Python's.

    Parameters
    ----------
    model : DIRS
        With its constructor's arguments as attributes.

    Raises
    ------
    ValueError
        Names the argument, what is required and what came.

    Examples
    --------
    >>> from dirs_agents import DIRS
    >>> DIRS(train_interval=0, _init_setup_model=False)
    Traceback (most recent call last):
    ...
    ValueError: train_interval must be an integer >= 1; got 0.
    """
    require_choice("demonstrations", model.demonstrations, SOURCES)
    require_choice("refinement", model.refinement, REFINEMENTS)
    if model.loss is not None:
        require_choice("loss", model.loss, LOSSES)
    _check_numbers(model)
    if model.demonstrations != "none" and model.n_demonstrations > model.buffer_size:
        raise ValueError(
            f"buffer_size must hold the demonstrations, which are kept; got buffer_size="
            f"{model.buffer_size} for n_demonstrations={model.n_demonstrations}."
        )
    # Refuse the searches' settings now, not after the demonstrations.
    online_search(model)
    try:
        demonstration_search(model)
    except ValueError as error:
        # What both searches share is good by now: the message begins with the search's own name.
        raise ValueError(f"demonstration_{error}") from None


def _check_numbers(model: Any) -> None:
    for name in ("learning_rate", *_LEAST_INTEGERS, *_NUMBERS, *_SEARCHES):
        setattr(model, name, plain(getattr(model, name)))
    model.seed = plain_seed(model.seed)
    if not callable(model.learning_rate):
        require_number("learning_rate", model.learning_rate, "[0, inf)")
    for name, least in _LEAST_INTEGERS.items():
        require_integer(name, getattr(model, name), least)
    for name, interval in _NUMBERS.items():
        unit = "nat" if name.endswith("_priority") else ""
        require_number(name, getattr(model, name), interval, unit=unit)


def require_policy(policy: Any, aliases: Mapping[str, Any]) -> None:
    """Raise unless `policy` names a policy or is a class of one.

    Parameters
    ----------
    policy : object
        What the caller gave.
    aliases : mapping
        Policies by name.

    Raises
    ------
    TypeError
        For anything but a name or a class, an env in the wrong place above all.
    ValueError
        For an unknown name, with the nearest right one.

    Examples
    --------
    >>> require_policy("EnsemblePolicy", {"EnsemblePolicy": object})
    """
    if isinstance(policy, str):
        require_choice("policy", policy, tuple(aliases))
    elif not (isinstance(policy, type) and issubclass(policy, VotingPolicy)):
        came = policy if isinstance(policy, type) else type(policy)
        raise TypeError(
            f"policy must be one of {', '.join(aliases)}, or a VotingPolicy class; got "
            f'{came.__name__}. An env goes second: DIRS("EnsemblePolicy", env).'
        )


def online_search(model: Any) -> LevySearch:
    """Return Algorithm 4 as it runs online, with a large β.

    Parameters
    ----------
    model : DIRS
        With its constructor's arguments as attributes.

    Returns
    -------
    LevySearch

    Examples
    --------
    >>> from dirs_agents import DIRS
    >>> online_search(DIRS(_init_setup_model=False)).beta
    1.5
    """
    return LevySearch(
        method="classic-levy" if model.refinement == "classic-levy" else "levy",
        population=model.population,
        generations=model.generations,
        beta=model.beta,
        threshold=model.threshold,
        step_scale=model.step_scale,
        allocation=model.allocation,
    )


def demonstration_search(model: Any) -> LevySearch:
    """Return Algorithm 4 as it makes demonstrations, with a small β.

    Parameters
    ----------
    model : DIRS
        With its constructor's arguments as attributes.

    Returns
    -------
    LevySearch

    Examples
    --------
    >>> from dirs_agents import DIRS
    >>> demonstration_search(DIRS(_init_setup_model=False)).beta
    0.5
    """
    return LevySearch(
        population=model.demonstration_population,
        generations=model.demonstration_generations,
        beta=model.demonstration_beta,
        threshold=model.threshold,
        step_scale=model.step_scale,
        allocation=model.allocation,
    )


def demonstration_settings(model: Any) -> dict[str, Any]:
    """Return the hyper-parameters that decide which demonstrations are made.

    Parameters
    ----------
    model : DIRS
        With its constructor's arguments as attributes.

    Returns
    -------
    dict
        Those of the Lévy search where it makes them, no others.

    Examples
    --------
    >>> from dirs_agents import DIRS
    >>> demonstration_settings(DIRS(demonstrations="optimal", _init_setup_model=False))
    {'demonstrations': 'optimal', 'n_demonstrations': 256}
    """
    settings = {name: getattr(model, name) for name in ("demonstrations", "n_demonstrations")}
    if model.demonstrations == "levy":
        settings |= asdict(demonstration_search(model))
    return settings
