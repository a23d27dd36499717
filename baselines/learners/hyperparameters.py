"""What the learners' numbers must be, asked before anything is set up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mec_gym.validation import require_integer, require_number, require_widths

OFF_POLICY_INTEGERS = {"buffer_size": 1, "learning_starts": 0, "batch_size": 1}
"""What DDPG and MADDPG count, with the least of each."""


def require_hyperparameters(
    model: Any, integers: Mapping[str, int], numbers: Mapping[str, str]
) -> None:
    """Raise ``ValueError`` for a number that no training could use.

    Parameters
    ----------
    model : ActorCritic, DDPG or MADDPG
        With its constructor's arguments as attributes.
    integers : mapping of str to int
        Which are integers, and the least that each may be.
    numbers : mapping of str to str
        Which are real, and in which interval.

    Raises
    ------
    ValueError
        Names the argument, what is required and what came. Learning rate and widths of networks
        are looked at, too.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> model = SimpleNamespace(learning_rate=1e-3, policy_kwargs={"net_arch": [0]})
    >>> require_hyperparameters(model, {}, {})
    Traceback (most recent call last):
    ValueError: each width in net_arch must be an integer >= 1; got 0.
    """
    if not callable(model.learning_rate):
        require_number("learning_rate", model.learning_rate, "[0, inf)")
    for name, least in integers.items():
        require_integer(name, getattr(model, name), least)
    for name, interval in numbers.items():
        require_number(name, getattr(model, name), interval)
    widths = model.policy_kwargs.get("net_arch")
    if widths is not None:
        for part in widths.values() if isinstance(widths, Mapping) else [widths]:
            require_widths(part)


def require_rounds(model: Any) -> None:
    """Raise ``ValueError`` unless an off-policy learner ever trains.

    Parameters
    ----------
    model : DDPG or MADDPG
        With `train_freq` and `gradient_steps`.

    Raises
    ------
    ValueError
        Names the argument, what is required and what came.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> require_rounds(SimpleNamespace(train_freq=(1, "episode"), gradient_steps=-1))
    """
    often = model.train_freq[0] if isinstance(model.train_freq, tuple) else model.train_freq
    require_integer("train_freq", often, 1)
    if model.gradient_steps != -1:
        require_integer("gradient_steps (or -1, one for each slot)", model.gradient_steps, 1)
