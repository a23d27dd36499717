"""Names of algorithms: the project's own, everyone of Stable-Baselines3, and a user's class.

Nothing here needs torch before an algorithm is asked for.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium as gym

from mec_bench.importing import dotted, found, name_of, users_code, users_place
from mec_gym import ENV_ID, Scenario
from mec_gym.validation import constructor_parameters, require_known, suggestion

NEEDED = ("learn", "predict", "save", "load", "set_logger", "num_timesteps")
"""What training calls and reads of a model; :func:`mec_bench.check_algorithm` says how.

:mod:`mec_bench.completing` supplies all but the first two to a class that lacks them.
"""

OFFERS = {
    "exact_resume": "if true, load(path, env=, device=, force_reset=False) brings the env and all "
    "generators back to where they were: its checkpoints may lie at any step",
    "logs_env_figures": "if true, it logs the env's figures, mec/..., itself",
    "record_averages": "record_averages() logs the means that it keeps; called before every row "
    "of the learning curve",
    "stage": "what it does while no slots pass, for the progress bar; meanwhile it calls "
    "on_pretraining_step() of the callbacks that have it, where it can be saved",
    "remark": "what a reader of its figures should know, for the notes of the result; a learner's "
    "is shown before training, too",
}
"""What an algorithm may have beside :data:`NEEDED`, and what the harness then does with it.

The harness asks every model for these names and knows no algorithm of the project. It knows three
bases, of which gradient steps are counted: ResumableAlgorithm, and Stable-Baselines3's
OnPolicyAlgorithm and OffPolicyAlgorithm. Checkpoints of the latter two lie between rollouts, and
what their files leave out is saved beside them.
"""


@dataclass(frozen=True)
class Algorithm:
    """What the name of an algorithm stands for.

    Attributes
    ----------
    name, cls : str, type
        As a user writes it, and the class, with ``learn`` and ``predict``; of a function, one made
        for it.
    arguments : mapping
        Constructor arguments that the name implies, and changes to them.
    observation : {"flat", "db", "raw"}
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
    observation: str = "flat"
    scores: bool = False
    learns: bool = True
    n_envs: int = 1

    @users_code()
    def build(self, env: Any, **common: Any) -> Any:
        """Return a new model on an env.

        `common` (seed, device, verbose, tensorboard_log) is passed on where the constructor has
        it. ``TypeError`` for an argument that the constructor does not have.
        """
        _require_arguments(self.name, self.cls, self.arguments)
        known, _ = constructor_parameters(self.cls)
        taken = {name: value for name, value in common.items() if name in known}
        # Copies: some of Stable-Baselines3's write into the policy_kwargs that they are given.
        given = _policy(self.cls) | {"env": env} | taken | copy.deepcopy(dict(self.arguments))
        if is_whole(self.cls):
            return self.cls(**given)
        from mec_bench.completing import Completed  # loads torch, which names alone do without

        return Completed.build(self.cls, env, given)

    def default(self, argument: str) -> Any:
        """Return the constructor's default of an argument; None where it has none."""
        parameter = constructor_parameters(self.cls)[0].get(argument)
        has = parameter is not None and parameter.default is not inspect.Parameter.empty
        return parameter.default if has else None  # type: ignore[union-attr]

    def arguments_of(self, model: Any) -> dict[str, Any]:
        """Return the constructor arguments of a model, as far as it keeps them by name."""
        kept = {
            name: getattr(model, name)
            for name in constructor_parameters(self.cls)[0]
            if hasattr(model, name) and name not in ("env", "policy")
        }
        return _policy(self.cls) | dict(self.arguments) | kept

    @users_code()
    def load(self, path: Any, env: Any = None, **common: Any) -> Any:
        """Return a saved model; `common`, such as device, goes to the ``load`` of its class."""
        if is_whole(self.cls):
            return self.cls.load(path, env=env, **common)
        from mec_bench.completing import Completed

        return Completed.load(self.cls, path, env)


def algorithm(
    given: str | Callable[..., Any], changes: Mapping[str, Any] | None = None
) -> Algorithm:
    """Return what a name stands for.

    Parameters
    ----------
    given : str, type or callable
        One of :func:`names`; ``sb3:PPO`` or ``sb3_contrib:TQC``, any class of these libraries; or
        ``module:Class`` or ``module:function``, your own, found like an import from the current
        folder; or that class or function itself. A function of (scenario, slot, rng) returns the
        assignment of one slot; it does not learn.
    changes : mapping, optional
        Constructor arguments that differ from what the name implies. A dot reaches into a
        dictionary: ``{"policy_kwargs.admission": False}``.

    Raises
    ------
    ValueError
        For an unknown name, with the nearest that is known, an argument that the run itself sets,
        or a class or function that its name does not find.
    ModuleNotFoundError, AttributeError
        For a module, class or function that does not exist.
    TypeError
        For a class that takes neither assignments nor scores as actions, a function with other
        parameters, or an unknown argument.

    Examples
    --------
    >>> algorithm("dirs", {"beta": 1.8}).arguments["beta"]
    1.8
    >>> algorithm("sb3:SAC").scores
    True
    """
    name: str = name_of("algorithm", given)
    if name in _OURS:
        chosen = _OURS[name].algorithm(name)
    elif ":" in name:
        chosen = _anyone(name)
    else:
        path, mine = {".", "/"} & {*name}, f"{dotted(name)}:MyClass"
        meant = f" (did you mean {mine!r}?)" if path else suggestion(name.lower(), _OURS)
        raise ValueError(
            "algorithm must be a name that mec-gym list shows, 'sb3:PPO' or any other class of "
            "Stable-Baselines3 or sb3_contrib, or a class or function of yours, "
            f"'my_module:MyClass'; got {name!r}{meant}."
        )
    changes = changes or {}
    for key in changes:
        if key in _RESERVED:
            raise ValueError(
                f"{key!r} is not an argument to change: the run sets it ({_RESERVED[key]})."
            )
    _require_arguments(name, chosen.cls, [key.split(".")[0] for key in changes])
    chosen = replace(chosen, arguments=_merged(chosen.arguments, changes))
    _require_policy_arguments(chosen)
    return chosen


def names() -> tuple[str, ...]:
    """Return the names of the project's own algorithms, learners first.

    Examples
    --------
    >>> "dirs" in names(), "posted-prices" in names()
    (True, True)
    """
    return tuple(_OURS)


def rule_names() -> tuple[str, ...]:
    """Return the names of the rules that decide at once: no learners, no searches."""
    return tuple(_RULES)


def title(name: str) -> str:
    """Return what tables and legends call an algorithm; an unknown label is its own title."""
    return _OURS[name].title if name in _OURS else name


def knows(name: str) -> str:
    """Return what an algorithm knows when it decides or learns, in a phrase.

    Nothing of one that is none of :func:`names`.
    """
    return _OURS[name].knows if name in _OURS else ""


def require_interface(model: Any) -> None:
    """Raise ``TypeError`` for a model that lacks something of :data:`NEEDED`.

    And for a `remark` that no result could hold.
    """
    missing = [name for name in NEEDED if not hasattr(model, name)]
    if missing:
        raise TypeError(
            "an algorithm that calls callbacks and keeps its own files must have "
            f"{', '.join(NEEDED)}; {type(model).__name__} lacks {', '.join(missing)}. A subclass "
            "of stable_baselines3.common.base_class.BaseAlgorithm has them all."
        )
    remark = getattr(model, "remark", "")
    if remark != "" and not (isinstance(remark, str) and remark.strip() and remark.isprintable()):
        raise TypeError(f"remark must be printable text, on one line; got {remark!r}.")


# -- the project's own -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """A row of the table of names; `cls` is of the baselines, or "module:class"."""

    title: str
    cls: str
    knows: str
    arguments: Mapping[str, Any] | Callable[[], Mapping[str, Any]] = field(default_factory=dict)
    n_envs: int = 1

    def algorithm(self, name: str) -> Algorithm:
        given = self.arguments() if callable(self.arguments) else self.arguments
        learns = name in _LEARNERS
        return Algorithm(name, _imported(self.cls), given, learns=learns, n_envs=self.n_envs)


def is_whole(cls: type[Any]) -> bool:
    """Return whether a class calls callbacks and keeps files, as Stable-Baselines3's do."""
    if not all(hasattr(cls, name) for name in ("save", "load", "set_logger")):
        return False
    taken = inspect.signature(cls.learn).parameters.values()
    return any(one.name == "callback" or one.kind is one.VAR_KEYWORD for one in taken)


def _imported(place: str) -> Any:
    module, _, name = place.rpartition(":")
    return getattr(importlib.import_module(module or "baselines"), name)


def _options(name: str) -> Callable[[], Mapping[str, Any]]:
    return lambda: dict(_imported("dirs_agents:options")(name))


SCALAR_REWARD = "a scalar reward"
"""How what a learner knows ends that has nothing but rewards to learn from."""

_REWARD = f"the observation, and {SCALAR_REWARD}"
_OWN_COLUMN = "when it decides, each server its own column; in training, "
_LINKS = (
    "the observation, what its entries mean, speeds of servers and devices, that costs add up over "
    f"devices and servers' loads, and {SCALAR_REWARD}"
)
_LINK_VIEW = (
    "the observation, what its entries mean, speeds of servers, local costs of devices, the past "
    "of links where the world moves"
)
_WHOLE_SLOT = "the whole slot: all gains, tasks and servers"
_NEAREST = "each device its distances to the servers"
_GAINS = "each device its own gains"
_SPEEDS = "each server the speeds of its devices"
_PRICES = "the observation, and what each of K decisions costs by the model of its slot"
_COLUMN = "each server its own column of gains and its devices' tasks"

_FREE: dict[str, Any] = {"admission_limit": False}
_LIMIT: dict[str, Any] = {"admission_limit": True}
_BY_GAIN: dict[str, Any] = {"by": "gain"}

_LEARNERS = {
    "dirs": _Entry(
        "DIRS, the paper's options",
        "dirs_agents:DIRS",
        f"{_OWN_COLUMN}labels of a search that prices decisions by the model",
        _options("paper"),
    ),
    "dirs:by-device": _Entry(
        "DIRS, search device by device, loss of the vote",
        "dirs_agents:DIRS",
        f"{_OWN_COLUMN}labels of a search that prices every device's change by the model",
        _options("by-device"),
    ),
    "dirs:ensemble": _Entry(
        "DIRS, optimal labels, loss of the vote",
        "dirs_agents:DIRS",
        f"{_OWN_COLUMN}the exact optimum of its slots",
        _options("ensemble"),
    ),
    "dirs:prices": _Entry(
        "DIRS, price-posting agents",
        "dirs_agents:DIRS",
        f"{_OWN_COLUMN}the exact optimum of its slots, and the closed-form cost of every choice",
        _options("prices"),
    ),
    "dirs:hindsight": _Entry(
        "DIRS, price-posting agents that look ahead",
        "dirs_agents:DIRS",
        f"{_OWN_COLUMN}hindsight of its episodes, the exact optimum of its slots, and the "
        "closed-form cost of every choice",
        _options("hindsight"),
    ),
    # One gradient step sees as many slots whatever the copies; 16 are several times faster.
    "ac": _Entry("AC", "ActorCritic", _REWARD, n_envs=16),
    "ac:links": _Entry(
        "AC, one network for all links",
        "ActorCritic",
        _LINKS,
        lambda: dict(_imported("baselines.learners.actor_critic:LINKS")),
        n_envs=16,
    ),
    "mappo": _Entry(
        "MAPPO, difference credit",
        "MAPPO",
        f"{_LINK_VIEW}, and in training what every other choice of each device would have cost "
        "at the true gains",
        n_envs=16,
    ),
    "mappo:learned": _Entry(
        "MAPPO, learned credit",
        "MAPPO",
        f"{_LINK_VIEW}, that costs add up over devices and servers' loads, and {SCALAR_REWARD}",
        {"credit": "learned", "policy_kwargs": {"together": 1.0}},
        n_envs=16,
    ),
    "mappo:team": _Entry(
        "MAPPO, team credit",
        "MAPPO",
        f"{_LINK_VIEW}, and {SCALAR_REWARD}",
        {"credit": "team"},
        n_envs=16,
    ),
    "ddpg": _Entry("DDPG", "DDPG", _REWARD),
    "ddpg:links": _Entry(
        "DDPG, one network for all links",
        "DDPG",
        _LINKS,
        lambda: dict(_imported("baselines.learners.ddpg:LINKS")),
        n_envs=16,
    ),
    "maddpg": _Entry("MADDPG", "MADDPG", f"{_OWN_COLUMN}{_REWARD}"),
    "maddpg:links": _Entry(
        "MADDPG, one network for all links",
        "MADDPG",
        f"{_OWN_COLUMN}{_LINKS}",
        lambda: dict(_imported("baselines.learners.maddpg:LINKS")),
        n_envs=16,
    ),
    "droo": _Entry("DROO", "DROO", _PRICES, n_envs=16),
    "droo:links": _Entry(
        "DROO, one network for all links",
        "DROO",
        f"{_PRICES}, what the entries mean, speeds of servers and local costs of devices",
        lambda: dict(_imported("baselines.learners.droo:LINKS")),
        n_envs=16,
    ),
}
_RULES = {
    "local": _Entry("all local", "LocalExecution", "nothing"),
    "random": _Entry("random", "RandomOffloading", "nothing", _FREE),
    "random:limit": _Entry("random, admission limit", "RandomOffloading", _SPEEDS, _LIMIT),
    "nearest": _Entry("nearest server", "RemoteOffloading", _NEAREST, _FREE),
    "nearest:limit": _Entry(
        "nearest server, admission limit", "RemoteOffloading", f"{_NEAREST}, {_SPEEDS}", _LIMIT
    ),
    "best-gain": _Entry("best gain", "RemoteOffloading", _GAINS, _FREE | _BY_GAIN),
    "best-gain:limit": _Entry(
        "best gain, admission limit", "RemoteOffloading", f"{_GAINS}, {_SPEEDS}", _LIMIT | _BY_GAIN
    ),
    "quota": _Entry(
        "best gains up to a quota",
        "QuotaOffloading",
        "each server its own column of gains, and a quota tuned on other slots",
    ),
    "keep-what-pays": _Entry(
        "no prices, servers keep what pays", "PostedPrices", _COLUMN, {"prices": 0.0}
    ),
    "posted-prices": _Entry(
        "posted prices",
        "PostedPrices",
        f"{_COLUMN}, and a price for each server, from the optimum of other slots",
    ),
    "greedy": _Entry("greedy", "GreedyOffloading", _WHOLE_SLOT),
    "optimal": _Entry("optimum", "Optimal", _WHOLE_SLOT),
}
_MOVING = {
    "blind": _Entry("blind to moves", "BlindOffloading", _WHOLE_SLOT),
    "never-move": _Entry(
        "place once, never move", "StaysOffloading", _WHOLE_SLOT, {"horizon": 0.0}
    ),
    "stays": _Entry("stays-H", "StaysOffloading", f"{_WHOLE_SLOT}, and H tuned on other episodes"),
    "by-class": _Entry(
        "stays-H by mean speed",
        "ByClassOffloading",
        f"{_WHOLE_SLOT}, the mean speed of each device, and c tuned on other episodes",
    ),
    "follow": _Entry("always follow", "FollowOffloading", _WHOLE_SLOT),
    "ski-rental": _Entry("ski rental", "SkiRentalOffloading", f"{_WHOLE_SLOT}, and those before"),
    "smoothed": _Entry(
        "smoothed links, stays-H",
        "SmoothedOffloading",
        f"{_WHOLE_SLOT}, those before, and two numbers tuned on other episodes",
    ),
    "measured-speed": _Entry(
        "stays-H by measured speed",
        "MeasuredSpeedOffloading",
        f"{_WHOLE_SLOT}, those before, and c tuned on other episodes",
    ),
    "forecast": _Entry(
        "forecast",
        "ForecastOffloading",
        f"{_WHOLE_SLOT}, where devices are and were, and how they move",
    ),
}
"""Rules for worlds in which decisions last; elsewhere all but "follow" decide the optimum."""
_SEARCHES = {
    "pso": _Entry("particle swarm", "ParticleSwarm", _WHOLE_SLOT),
    "de": _Entry("differential evolution", "DifferentialEvolution", _WHOLE_SLOT),
}
_OURS = _LEARNERS | _RULES | _MOVING | _SEARCHES
"""The one table of names."""


# -- anyone's ----------------------------------------------------------------------------------


def _anyone(name: str) -> Algorithm:
    return fitted(algorithm_of(name, found("algorithm", name)))


def algorithm_of(name: str, one: Any, arguments: Mapping[str, Any] | None = None) -> Algorithm:
    """Return an algorithm for a class, or for a function of (scenario, slot, rng), a rule."""
    given = arguments or {}
    if not isinstance(one, type):
        policy: type[Any] = _imported("baselines.rule_policy:policy_of")(one)
        return Algorithm(name, policy, given, learns=False)
    if missing := [method for method in ("learn", "predict") if not hasattr(one, method)]:
        raise TypeError(
            f"an algorithm must have learn(total_timesteps) and predict(observations); {name} "
            f"lacks {' and '.join(missing)}."
        )
    return Algorithm(name, one, given)


SMALL = Scenario(n_devices=4, n_servers=2, name="small")


def fitted(plain: Algorithm, scenario: Scenario = SMALL) -> Algorithm:
    """Return an algorithm with the kind of actions that its class takes, found by building it.

    ``TypeError`` for a class that can be built neither for assignments nor for scores.
    """
    from mec_gym.envs.sb3 import make_sb3_vec_env  # loads torch, which names alone do without

    refusals = []
    for scores in (False, True):
        env = make_sb3_vec_env(scenario, scores=scores, observation=plain.observation)
        try:
            plain.build(env, seed=0, device="cpu", verbose=0)
        except Exception as error:  # whatever it is, it is the class's
            lines = str(error).strip().splitlines() or ["no message"]
            refusals.append(f"{type(error).__name__}: {lines[0]}{users_place(error)}")
        else:
            return replace(plain, scores=scores)
    space = gym.make(ENV_ID, scenario=scenario).action_space
    raise TypeError(
        f"{plain.name} takes neither assignments, {space}, nor scores, Box(0, 1, (M * N,)). It "
        "must be built by Class(env=env), or by Class('MlpPolicy', env=env) where "
        "`policy` has no default; everything else needs a default. For assignments it said: "
        f"{refusals[0]} For scores: {refusals[1]} mec_bench.check_algorithm says what an "
        "algorithm needs."
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
"""What the run itself sets, and by which option: one seed for all runs would pass for several."""


def _require_arguments(name: str, cls: type[Any], given: Iterable[str]) -> None:
    known, takes_others = constructor_parameters(cls)
    if not takes_others:
        require_known(f"argument of {name}", given, known)


def _require_policy_arguments(chosen: Algorithm) -> None:
    """Refuse what the policy's constructor does not know, as far as a signature shows it."""
    given = chosen.arguments.get("policy_kwargs")
    policy = (_policy(chosen.cls) | dict(chosen.arguments)).get("policy", chosen.default("policy"))
    if isinstance(policy, str):
        policy = getattr(chosen.cls, "policy_aliases", {}).get(policy)
    if isinstance(given, Mapping) and isinstance(policy, type):
        _require_arguments(f"{chosen.name}'s policy_kwargs", policy, given)


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


def whole(text: str) -> int | None:
    """Return the whole number, at least 0, that a word means; None for any other word.

    >>> whole("1000"), whole("1e3"), whole("1.5"), whole("-1"), whole("paper")
    (1000, 1000, None, None, None)
    """
    if re.fullmatch(r"[0-9]{1,15}", text):
        return int(text)
    if re.fullmatch(r"[0-9](\.[0-9]+)?[eE][0-9]", text) and float(text).is_integer():
        return int(float(text))
    return None


def changes(pairs: Iterable[str]) -> dict[str, Any]:
    """Return what ``key=value`` pairs mean; values are JSON or else text.

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
