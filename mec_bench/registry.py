"""Names of algorithms: the project's own, everyone of Stable-Baselines3, and a user's class."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium as gym

from mec_gym import ENV_ID, Scenario
from mec_gym.validation import constructor_parameters, require_known, suggestion


@dataclass(frozen=True)
class Algorithm:
    """What the name of an algorithm stands for.

    Attributes
    ----------
    name : str
        As a user writes it.
    cls : type
        With Stable-Baselines3's ``learn``, ``predict``, ``save`` and ``load``.
    arguments : mapping
        Constructor arguments that the name implies, and changes to them.
    observation : {"db", "raw", "flat"}
        The `observation` of its env.
    scores : bool
        Whether its env takes scores, which are voted on, instead of assignments.
    learns : bool
        Whether steps in the env change it. A rule tunes at most, on slots of its own.
    n_envs : int
        Copies of the env that serve it best.

    Examples
    --------
    >>> algorithm("dirs:prices").cls.__name__
    'DIRS'
    """

    name: str
    cls: type[Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    observation: str = "db"
    scores: bool = False
    learns: bool = True
    n_envs: int = 1

    def build(self, env: Any, **common: Any) -> Any:
        """Return a new model.

        Parameters
        ----------
        env : VecEnv
            What it trains on.
        **common
            seed, tensorboard_log, verbose, device: passed on where its constructor has them.

        Returns
        -------
        object
            Of `cls`.

        Raises
        ------
        TypeError
            For an argument that its constructor does not have.
        """
        _require_arguments(self.name, self.cls, self.arguments)
        known, _ = constructor_parameters(self.cls)
        taken = {name: value for name, value in common.items() if name in known}
        return self.cls(**(_policy(self.cls) | {"env": env} | taken | dict(self.arguments)))

    def default(self, argument: str) -> Any:
        """Return the constructor's own value of an argument.

        Parameters
        ----------
        argument : str
            Its name.

        Returns
        -------
        object
            None for an argument without default, or that there is not.
        """
        parameter = constructor_parameters(self.cls)[0].get(argument)
        has = parameter is not None and parameter.default is not inspect.Parameter.empty
        return parameter.default if has else None  # type: ignore[union-attr]

    def arguments_of(self, model: Any) -> dict[str, Any]:
        """Return every constructor argument of a model as it came to be.

        Parameters
        ----------
        model : object
            Of `cls`.

        Returns
        -------
        dict
            Those that it keeps under the same names.
        """
        known = [
            name for name in constructor_parameters(self.cls)[0] if name not in ("env", "policy")
        ]
        kept = {name: vars(model)[name] for name in known if name in vars(model)}
        return _policy(self.cls) | dict(self.arguments) | kept

    def load(self, path: Any, env: Any = None, **common: Any) -> Any:
        """Return a model that was saved.

        Parameters
        ----------
        path : path
            Of its file.
        env : VecEnv, optional
            To go on training on.
        **common
            For its ``load``, e.g. device.

        Returns
        -------
        object
            Of `cls`.
        """
        return self.cls.load(path, env=env, **common)


def algorithm(name: str, changes: Mapping[str, Any] | None = None) -> Algorithm:
    """Return what a name stands for.

    Parameters
    ----------
    name : str
        One of :func:`names`; ``sb3:PPO`` or ``sb3_contrib:TQC``, any class of these libraries; or
        ``module:Class``, a class of your own, found like an import from the current folder.
    changes : mapping, optional
        Constructor arguments that differ from what the name implies. A dot reaches into a
        dictionary: ``{"policy_kwargs.admission": False}``.

    Returns
    -------
    Algorithm

    Raises
    ------
    ValueError
        For a name that is not known: lists those that are, with the nearest.
    ModuleNotFoundError, AttributeError
        For a module or class that is not there.
    TypeError
        For a class that takes neither assignments nor scores as actions, or an unknown argument.
    ValueError
        For an argument that the run sets itself, such as seed.

    Examples
    --------
    >>> algorithm("random").arguments["admission_limit"]
    False
    >>> algorithm("dirs", {"beta": 1.8}).arguments["beta"]
    1.8
    >>> algorithm("sb3:SAC").scores
    True
    """
    known = _known()
    if name in known:
        found = replace(known[name](), name=name)
    elif ":" in name:
        found = _anyone(name)
    else:
        raise ValueError(
            f"algorithm must be one of {', '.join(known)}, 'sb3:PPO' or any other class of "
            f"Stable-Baselines3 or sb3_contrib, or 'my_module:MyClass'; got {name!r}"
            f"{suggestion(name, known)}."
        )
    _require_free(changes or ())
    _require_arguments(name, found.cls, [key.split(".")[0] for key in changes or ()])
    found = replace(found, arguments=_merged(found.arguments, changes or {}))
    _require_policy_arguments(found)
    return found


def names() -> tuple[str, ...]:
    """Return the names of the project's own algorithms, learners first.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> "dirs" in names(), "posted-prices" in names()
    (True, True)
    """
    return tuple(_known())


def rule_names() -> tuple[str, ...]:
    """Return the names of the rules that decide at once: no learners, no searches.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> rule_names()[0]
    'local'
    """
    return tuple(_rules())


NEEDED = ("learn", "predict", "save", "load", "set_logger", "num_timesteps")
"""What training calls and reads of a model; :func:`mec_bench.check_algorithm` says how."""


def require_interface(model: Any) -> None:
    """Raise ``TypeError`` for a model that lacks something training calls or reads.

    Parameters
    ----------
    model : object
        New.

    Raises
    ------
    TypeError
        Says what it lacks, and where that is to be had.

    Examples
    --------
    >>> require_interface(object())
    Traceback (most recent call last):
    TypeError: an algorithm must have learn, predict, ...; object lacks learn, predict, ...
    """
    missing = [name for name in NEEDED if not hasattr(model, name)]
    if missing:
        raise TypeError(
            f"an algorithm must have {', '.join(NEEDED)}; {type(model).__name__} lacks "
            f"{', '.join(missing)}. A subclass of "
            "stable_baselines3.common.base_class.BaseAlgorithm has them all."
        )


# -- the project's own -------------------------------------------------------------------------


def _known() -> dict[str, Callable[[], Algorithm]]:
    return _learners() | _rules() | _searches()


def _learners() -> dict[str, Callable[[], Algorithm]]:
    def dirs(name: str) -> Callable[[], Algorithm]:
        def make() -> Algorithm:
            from dirs_agents import DIRS, options

            return Algorithm("", DIRS, options(name))

        return make

    def links() -> Algorithm:
        from baselines.learners.actor_critic import LINKS, ActorCritic

        return Algorithm("", ActorCritic, LINKS, n_envs=16)

    return {
        "dirs": dirs("paper"),
        "dirs:ensemble": dirs("ensemble"),
        "dirs:prices": dirs("prices"),
        # One gradient step sees as many slots whatever the copies; 16 are several times faster.
        "ac": _baseline("ActorCritic", learns=True, n_envs=16),
        "ac:links": links,
        "ddpg": _baseline("DDPG", learns=True),
        "maddpg": _baseline("MADDPG", learns=True),
    }


def _baseline(
    cls: str, *, learns: bool = False, n_envs: int = 1, **arguments: Any
) -> Callable[[], Algorithm]:
    def make() -> Algorithm:
        found = getattr(importlib.import_module("baselines"), cls)
        return Algorithm("", found, arguments, learns=learns, n_envs=n_envs)

    return make


def _rules() -> dict[str, Callable[[], Algorithm]]:
    return {
        "local": _baseline("LocalExecution"),
        "random": _baseline("RandomOffloading", admission_limit=False),
        "random:limit": _baseline("RandomOffloading", admission_limit=True),
        "nearest": _baseline("RemoteOffloading", admission_limit=False),
        "nearest:limit": _baseline("RemoteOffloading", admission_limit=True),
        "best-gain": _baseline("RemoteOffloading", admission_limit=False, by="gain"),
        "best-gain:limit": _baseline("RemoteOffloading", admission_limit=True, by="gain"),
        "quota": _baseline("QuotaOffloading"),
        "keep-what-pays": _baseline("PostedPrices", prices=0.0),
        "posted-prices": _baseline("PostedPrices"),
        "greedy": _baseline("GreedyOffloading"),
        "optimal": _baseline("Optimal"),
    }


def _searches() -> dict[str, Callable[[], Algorithm]]:
    return {"pso": _baseline("ParticleSwarm"), "de": _baseline("DifferentialEvolution")}


# -- anyone's ----------------------------------------------------------------------------------

_LIBRARIES = {
    "sb3": "stable_baselines3",
    "sb3_contrib": "sb3_contrib",
    "sb3-contrib": "sb3_contrib",
}


def _anyone(name: str) -> Algorithm:
    module_name, _, class_name = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module_name = _LIBRARIES.get(module_name, module_name)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name.split(".")[0] and error.name != module_name:
            raise  # it is there, and needs something that is not
        raise ModuleNotFoundError(
            f"algorithm {name!r}: there is no module {module_name!r} here. It is looked for where "
            f"Python looks, the current folder first."
        ) from error
    cls = getattr(module, class_name, None)
    if not inspect.isclass(cls):
        there = [key for key, value in vars(module).items() if inspect.isclass(value)]
        raise AttributeError(
            f"algorithm {name!r}: {module_name} has no class {class_name!r}"
            f"{suggestion(class_name, there)}."
        )
    ours = module_name not in _LIBRARIES.values()
    return Algorithm(
        name, cls, observation="db" if ours else "flat", scores=_wants_scores(name, cls)
    )


_SMALL = Scenario(n_devices=4, n_servers=2, name="small")


def _wants_scores(name: str, cls: type[Any]) -> bool:
    """Find out by building it on a small env what actions a class takes."""
    from mec_gym.envs.sb3 import make_sb3_vec_env  # loads torch, which names alone do without

    refusals = []
    for scores in (False, True):
        env = make_sb3_vec_env(_SMALL, scores=scores, observation="flat")
        try:
            Algorithm(name, cls).build(env, device="cpu")
        except Exception as error:  # whatever it is, it is the class's
            refusals.append(str(error).strip().splitlines()[0] if str(error) else repr(error))
        else:
            return scores
    raise TypeError(
        f"{name} takes neither assignments, {gym.make(ENV_ID, scenario=_SMALL).action_space}, nor "
        f"scores, Box(0, 1, (M * N,)). It said: {refusals[0]} And: {refusals[1]} "
        "mec_bench.check_algorithm says what an algorithm needs."
    )


# -- constructors ------------------------------------------------------------------------------


_RESERVED = {
    "seed": "--seed",
    "device": "--device",
    "env": "--scenario",
    "tensorboard_log": "--out",
    "verbose": "--quiet",
    "_init_setup_model": "nothing",
}


def _require_free(changes: Iterable[str]) -> None:
    """Refuse what the run itself sets: one seed for all runs would pass for several."""
    for name in changes:
        if name in _RESERVED:
            raise ValueError(
                f"{name!r} is not an argument to change: the run sets it ({_RESERVED[name]})."
            )


def _require_arguments(name: str, cls: type[Any], given: Iterable[str]) -> None:
    known, takes_others = constructor_parameters(cls)
    if not takes_others:
        require_known(f"argument of {name}", given, known)


def _require_policy_arguments(found: Algorithm) -> None:
    """Refuse what the policy's constructor does not know, as far as a signature shows it."""
    given = found.arguments.get("policy_kwargs")
    policy = (_policy(found.cls) | dict(found.arguments)).get("policy", found.default("policy"))
    if isinstance(policy, str):
        policy = getattr(found.cls, "policy_aliases", {}).get(policy)
    if isinstance(given, Mapping) and isinstance(policy, type):
        _require_arguments(f"{found.name}'s policy_kwargs", policy, given)


def _policy(cls: type[Any]) -> dict[str, Any]:
    """Return the policy argument for a constructor that insists on one."""
    parameter = constructor_parameters(cls)[0].get("policy")
    if parameter is None or parameter.default is not inspect.Parameter.empty:
        return {}
    aliases = list(getattr(cls, "policy_aliases", {}))
    return {"policy": aliases[0] if aliases and "MlpPolicy" not in aliases else "MlpPolicy"}


def _merged(arguments: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(arguments)
    for key, value in changes.items():
        first, _, rest = key.partition(".")
        if rest:
            inner = merged.get(first)
            merged[first] = _merged(inner if isinstance(inner, Mapping) else {}, {rest: value})
        else:
            merged[first] = value
    return merged


# -- from a command line -----------------------------------------------------------------------


def changes(pairs: Iterable[str]) -> dict[str, Any]:
    """Return what ``key=value`` pairs mean; values are JSON or else text.

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
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = {"True": True, "False": False, "None": None}.get(value, value)
    return found
