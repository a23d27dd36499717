"""What command lines have in common: values, scenarios, refusals and Ctrl-C in plain words."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from gymnasium.error import DependencyNotInstalled

from mec_gym import Scenario


def changes(pairs: Iterable[str]) -> dict[str, Any]:
    """Return what ``key=value`` pairs of a command line mean.

    Parameters
    ----------
    pairs : iterable of str
        Values are JSON (numbers, true, false, null, lists, objects) or else text.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        For a pair without "=", or a key twice.

    Examples
    --------
    >>> changes(["beta=1.8", "policy_kwargs.admission=false", "loss=vote"])
    {'beta': 1.8, 'policy_kwargs.admission': False, 'loss': 'vote'}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"settings are given as key=value; got {pair!r}.")
        if key in found:
            raise ValueError(f"{key} is set twice.")
        found[key] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def count(text: str) -> int:
    """Return a number of things, of which there must be one: a type for ``argparse``.

    Parameters
    ----------
    text : str
        Of the command line.

    Returns
    -------
    int

    Raises
    ------
    argparse.ArgumentTypeError
        For anything else; argparse names the option, and ends with status 2.

    Examples
    --------
    >>> count("2")
    2
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1; got {text!r}")
    return int(text)


def scenario_of(name: str, pairs: Iterable[str] = ()) -> Scenario:
    """Return the scenario that a command line names.

    Parameters
    ----------
    name : str
        A preset or the path of a scenario's JSON.
    pairs : iterable of str
        Fields to change, as ``key=value``.

    Returns
    -------
    Scenario
        Its name says what was changed.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        As :meth:`mec_gym.Scenario.resolve`.

    Examples
    --------
    >>> scenario_of("paper-30x2", ["noise_w=1e-6"]).name
    'paper-30x2[noise_w=1e-06]'
    """
    scenario, changed = Scenario.resolve(name), changes(pairs)
    if not changed:
        return scenario
    shown = ", ".join(f"{key}={value}" for key, value in changed.items())
    return scenario.replace(**({"name": f"{scenario.name}[{shown}]"} | changed))


_MENDABLE = (
    ArithmeticError,  # training that diverged
    AssertionError,
    DependencyNotInstalled,
    MemoryError,
    OSError,
    RuntimeError,  # torch's way of saying that memory or a device is lacking
    TypeError,
    ValueError,
)


@contextlib.contextmanager
def complain(
    status: int = 1, *, stopped: str = "What is finished is kept; a run goes on where it was."
) -> Iterator[None]:
    """End a script with one sentence, not a traceback, for what its user can mend.

    Parameters
    ----------
    status : int
        Exit status; 2, argparse's, where 1 says that runs failed.
    stopped : str
        What Ctrl-C leaves behind.

    Yields
    ------
    None

    Raises
    ------
    SystemExit
        With the status, after the sentence, or with 130 for Ctrl-C.

    Examples
    --------
    >>> with contextlib.redirect_stderr(sys.stdout), complain():
    ...     raise ValueError("seed must be a whole number >= 0; got -1.")
    Traceback (most recent call last):
    SystemExit: 1
    """
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write(f"\nStopped. {stopped}\n")
        raise SystemExit(130) from None
    except _MENDABLE as error:
        _end(error, status)
    except (AttributeError, ModuleNotFoundError) as error:
        # Of a name that the user gave; anything else is a fault of the code.
        if not str(error).startswith("algorithm "):
            raise
        _end(error, status)


def _end(error: Exception, status: int) -> None:
    if os.environ.get("TRACEBACK"):
        raise error
    sys.stderr.write(f"error: {error}\n(TRACEBACK=1 in the environment shows where.)\n")
    raise SystemExit(status) from None
