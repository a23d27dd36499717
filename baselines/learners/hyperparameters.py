"""What the learners' arguments must be, asked before anything is set up."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.type_aliases import TrainFreq

from mec_gym.validation import (
    plain,
    plain_seed,
    require_choice,
    require_integer,
    require_number,
    require_widths,
)

OFF_POLICY_INTEGERS = {"buffer_size": 1, "learning_starts": 0, "batch_size": 1}
"""What DDPG and MADDPG count, with the least of each."""

OFF_POLICY_NETWORKS = ("pi", "qf")
"""What Stable-Baselines3 calls the actor and the critic of DDPG and MADDPG."""

_ARGUMENT = "argument"
"""The attribute of an exception that names the argument at fault."""

_CLASSES = ("activation_fn", "optimizer_class", "features_extractor_class")
"""Arguments of policies that no command line can name."""


@contextlib.contextmanager
def naming(argument: str) -> Iterator[None]:
    """Let :func:`loading` know which argument is at fault.

    Parameters
    ----------
    argument : str
        Of the constructor; one that ``load()`` can replace, or `policy`.

    Yields
    ------
    None

    Raises
    ------
    TypeError, ValueError
        What is raised inside, with that name.

    Examples
    --------
    >>> with naming("batch_size"):
    ...     require_integer("batch_size", 0, 1)
    Traceback (most recent call last):
    ValueError: batch_size must be an integer >= 1; got 0.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        setattr(error, _ARGUMENT, argument)
        raise


def require_hyperparameters(
    model: Any, integers: Mapping[str, int], numbers: Mapping[str, str]
) -> None:
    """Raise ``ValueError`` for a number that no training could use; make NumPy's Python's.

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
    TypeError, ValueError
        Names the argument, what is required and what came. Learning rate, seed,
        `stats_window_size` and the policy's classes are looked at, too.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> model = SimpleNamespace(learning_rate=1e-3, seed=-1, _stats_window_size=100)
    >>> require_hyperparameters(model, {}, {})
    Traceback (most recent call last):
    ValueError: seed must be an integer within 0...4294967295; got -1.
    """
    for name in ("learning_rate", *integers, *numbers):
        setattr(model, name, plain(getattr(model, name)))
    with naming("seed"):
        model.seed = plain_seed(model.seed)
    if not callable(model.learning_rate):
        with naming("learning_rate"):
            require_number("learning_rate", model.learning_rate, "[0, inf)")
    with naming("stats_window_size"):
        require_integer("stats_window_size", model._stats_window_size, 1)
    model._stats_window_size = int(model._stats_window_size)
    for name, least in integers.items():
        with naming(name):
            require_integer(name, getattr(model, name), least)
    for name, interval in numbers.items():
        with naming(name):
            require_number(name, getattr(model, name), interval)
    for name in _CLASSES:
        given = model.policy_kwargs.get(name)
        if given is not None and not callable(given):
            raise TypeError(f"{name} in policy_kwargs must be a class; got {given!r}.")


def require_networks(
    net_arch: Any, names: Sequence[str], *, least: int = 0, all_of_them: bool = True
) -> Any:
    """Return hidden widths as Stable-Baselines3 takes them, or raise ``ValueError``.

    Parameters
    ----------
    net_arch : list of int or mapping of str to list of int, optional
        One list for each network, or one for all of them; None, the default, is returned.
    names : sequence of str
        Of the networks.
    least : int
        Hidden layers that each must have.
    all_of_them : bool
        Whether a mapping must hold every network, or one that it lacks has no hidden layer.

    Returns
    -------
    list of int, dict of str to list of int, or None

    Raises
    ------
    ValueError
        Says what is required and what came.

    Examples
    --------
    >>> require_networks({"pi": (64,), "qf": [64, 32]}, ("pi", "qf"))
    {'pi': [64], 'qf': [64, 32]}
    """
    if net_arch is None:
        return None
    if not isinstance(net_arch, Mapping):
        return _layers(net_arch, least)
    lacking = [name for name in names if name not in net_arch] if all_of_them else []
    if lacking or any(name not in names for name in net_arch):
        listed = " and ".join(map(repr, names))
        raise ValueError(
            f"net_arch must be a list of hidden widths, or a dict with one such list for {listed}"
            f"{' each' if all_of_them else ''}; got {net_arch!r}."
        )
    return {name: _layers(net_arch[name], least) for name in net_arch}


def _layers(net_arch: Any, least: int) -> list[int]:
    widths = list(require_widths(net_arch))
    if len(widths) < least:
        raise ValueError(f"net_arch must be {least} hidden width or more; got {net_arch!r}.")
    return widths


def require_rounds(model: Any) -> None:
    """Raise ``ValueError`` unless an off-policy learner ever trains; make NumPy's numbers Python's.

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
    given = model.train_freq
    with naming("train_freq"):
        pair = given if isinstance(given, tuple) else (given, "step")
        if len(pair) != 2:
            raise ValueError(
                "train_freq must be an integer >= 1, alone or with its unit as in (1, 'episode'); "
                f"got {given!r}."
            )
        require_integer("train_freq", pair[0], 1)
    if not isinstance(given, TrainFreq):
        model.train_freq = (int(pair[0]), pair[1])
    if model.gradient_steps != -1:
        with naming("gradient_steps"):
            require_integer("gradient_steps (or -1, one for each slot)", model.gradient_steps, 1)
    model.gradient_steps = int(model.gradient_steps)


def require_noise(noise: Any) -> None:
    """Raise ``TypeError`` unless an off-policy learner can explore by a noise.

    Parameters
    ----------
    noise : ActionNoise, optional
        What the caller gave.

    Raises
    ------
    TypeError
        Says what is required and what came.

    Examples
    --------
    >>> require_noise(0.1)
    Traceback (most recent call last):
    TypeError: action_noise must be an ActionNoise of Stable-Baselines3, or None; got 0.1.
    """
    if noise is not None and not isinstance(noise, ActionNoise):
        with naming("action_noise"):
            raise TypeError(
                f"action_noise must be an ActionNoise of Stable-Baselines3, or None; got {noise!r}."
            )


def require_policy(policy: Any, aliases: Mapping[str, Any], kind: type[Any], why: str = "") -> None:
    """Raise unless a policy is one that a learner can train.

    Parameters
    ----------
    policy : object
        What the caller gave.
    aliases : mapping
        Policies by name.
    kind : type
        What classes must descend from.
    why : str
        What that is for, for the message.

    Raises
    ------
    TypeError
        For anything but a name or such a class.
    ValueError
        For an unknown name.

    Examples
    --------
    >>> require_policy("MlpPolicy", {"MlpPolicy": object}, int)
    """
    if isinstance(policy, str):
        require_choice("policy", policy, tuple(aliases))
    elif not (isinstance(policy, type) and issubclass(policy, kind)):
        names = ", ".join(f'"{name}"' for name in aliases)
        with naming("policy"):
            raise TypeError(
                f"policy must be {names} or a subclass of {kind.__name__}{why}; got {policy!r}."
            )


def attributes(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of ``load()`` under the names that Stable-Baselines3's models keep them by.

    Parameters
    ----------
    given : mapping
        Arguments by the constructor's names.

    Returns
    -------
    dict

    Examples
    --------
    >>> attributes({"stats_window_size": 3, "seed": 0})
    {'_stats_window_size': 3, 'seed': 0}
    """
    private = ("stats_window_size",)
    return {f"_{name}" if name in private else name: value for name, value in given.items()}


@contextlib.contextmanager
def loading(path: Any, cls: type[Any], given: Collection[str] = ()) -> Iterator[None]:
    """Say whose fault it is that a model cannot be loaded: the file's, or the caller's.

    Parameters
    ----------
    path : str, path or binary file
        What is loaded.
    cls : type
        As what.
    given : collection of str
        Names of what the caller wants in place of the file's.

    Yields
    ------
    None

    Raises
    ------
    TypeError, ValueError
        For an argument of the caller's.
    ValueError
        In place of what a file of another kind, or an argument in it, ends in.

    Examples
    --------
    >>> with loading("model.zip", int), naming("batch_size"):
    ...     require_integer("batch_size", 0, 1)
    Traceback (most recent call last):
    ValueError: model.zip does not hold a usable int: batch_size must be an integer >= 1; got 0. ...
    >>> with loading("model.zip", int, ["batch_size"]), naming("batch_size"):
    ...     require_integer("batch_size", 0, 1)
    Traceback (most recent call last):
    ValueError: argument of load(): batch_size must be an integer >= 1; got 0.
    """
    try:
        yield
    except (AssertionError, TypeError, ValueError) as error:
        argument = getattr(error, _ARGUMENT, None)
        if argument == "policy":
            raise ValueError(
                f"{path} holds a model of another algorithm than {cls.__name__}: {error}"
            ) from error
        if argument in given:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"argument of load(): {error}") from error
        if argument is not None:
            raise ValueError(
                f"{path} does not hold a usable {cls.__name__}: {error} {argument} given to load() "
                "replaces the file's."
            ) from error
        if given:
            raise ValueError(
                f"{path} cannot be loaded as {cls.__name__} with {', '.join(given)} given to "
                f"load(): {error}"
            ) from error
        raise ValueError(f"{path} does not hold a usable {cls.__name__}: {error}") from error
