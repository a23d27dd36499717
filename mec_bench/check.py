"""Try everything that the harness asks of an algorithm, and tell its faults in words.

Each check is a function whose docstring says what is needed. The checks of `CHECKS` must pass; what
those of `OPTIONS` find is only noted.
"""

from __future__ import annotations

import itertools
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecMonitor

from mec_bench.checkpoints import generators, set_generators
from mec_bench.importing import users_place
from mec_bench.registry import (
    OFFERS,
    SMALL,
    Algorithm,
    algorithm,
    algorithm_of,
    fitted,
    require_interface,
)
from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.validation import constructor_parameters

_EPISODE = 8
"""Slots of an episode."""
_PATIENCE = 8_000
"""Slots beyond the budget after which a training counts as one that does not end: room for three
copies of PPO's default rollout of 2,048."""


@dataclass(frozen=True)
class AlgorithmReport:
    """What :func:`check_algorithm` found.

    `problems` say which check failed, what is needed and what came; `notes` what it could do
    beyond, and `offers` what it has of :data:`mec_bench.registry.OFFERS`.

    Examples
    --------
    >>> print(AlgorithmReport("mine:Mine", False, ("load: it must ...",), (), ("load",)))
    mine:Mine fails 1 of 1 checks:
    - load: it must ...
    """

    name: str
    passed: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    checks: tuple[str, ...]
    offers: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.name} passes all {len(self.checks)} checks."]
        if self.problems:
            count = f"{len(self.problems)} of {len(self.checks)}"
            lines = [f"{self.name} fails {count} checks:", *(f"- {text}" for text in self.problems)]
        if self.notes:
            lines += ["Optional, and not there:", *(f"- {text}" for text in self.notes)]
        if self.offers:
            lines += ["Beyond what is needed, it has:", *(f"- {text}" for text in self.offers)]
        return "\n".join(lines)


def check_algorithm(
    cls: type[Any] | Callable[..., Any] | str,
    *,
    scenario: Any = None,
    arguments: Mapping[str, Any] | None = None,
    timesteps: int = 64,
) -> AlgorithmReport:
    """Try everything that the harness asks of an algorithm, on a small env.

    Parameters
    ----------
    cls : type, callable or str
        A class with ``learn`` and ``predict``, a function of (scenario, slot, rng) that returns an
        assignment, or a name as the harness takes it: ``"my_module:MyClass"``, ``"sb3:PPO"``.
    scenario, arguments : optional
        Where to try it, by default 4 devices and 2 servers, and constructor arguments, e.g. such
        that it trains within `timesteps`.
    timesteps : int, [slot]
        Of one training; there are about ten of them.

    Raises
    ------
    TypeError, ValueError, ModuleNotFoundError, AttributeError
        If `cls` is no class, function or name of one. Faults of the class are in the report.

    Examples
    --------
    >>> from baselines import GreedyOffloading
    >>> report = check_algorithm(GreedyOffloading)
    >>> report.passed, report.problems
    (True, ())
    """
    if not isinstance(cls, str) and not callable(cls):
        raise TypeError(
            "cls must be a class, a function (scenario, slot, rng) or a name such as "
            f"'my_module:MyClass'; got {cls!r}."
        )
    world = SMALL if scenario is None else Scenario.resolve(scenario)
    name = cls if isinstance(cls, str) else _called(cls)
    with _undisturbed():
        try:
            subject = _Subject(_chosen(name, cls, dict(arguments or {}), world), world, timesteps)
        except TypeError as error:
            return AlgorithmReport(name, False, (f"construct: {error}",), (), ("construct",))
        problems, ran = [], ["construct"]
        for check, run in CHECKS.items():
            ran.append(check)
            if fault := _fault(run, subject):
                problems.append(f"{check}: {fault}")
            if fault and check in ("interface", "learn", "predict"):
                break  # the others would stumble over the same
        notes: list[str] = []
        offers: list[str] = []
        if not problems:
            faults = {option: _fault(run, subject) for option, run in OPTIONS.items()}
            notes = [f"{option}: {fault}" for option, fault in faults.items() if fault]
            model = subject.trained()
            there = [name for name in OFFERS if getattr(model, name, False) is not False]
            offers = [f"{name}: {OFFERS[name]}." for name in there]
    return AlgorithmReport(name, not problems, *map(tuple, (problems, notes, ran, offers)))


def _called(one: Any) -> str:
    return f"{one.__module__}:{getattr(one, '__qualname__', type(one).__qualname__)}"


def _chosen(name: str, cls: Any, arguments: dict[str, Any], world: Scenario) -> Algorithm:
    """Return the algorithm with the kind of env that it can be built on, or ``TypeError``."""
    if isinstance(cls, str):
        return algorithm(cls, arguments)
    return fitted(algorithm_of(name, cls, arguments), world)


def _fault(check: Callable[[_Subject], None], subject: _Subject) -> str:
    try:
        check(subject)
    except _LackingError as lacking:
        return str(lacking)
    except (Exception, SystemExit) as error:
        needed = (check.__doc__ or "").strip().splitlines()[0]
        said = f"{type(error).__name__}: {str(error).strip() or 'no message'}{users_place(error)}"
        return f"it must {needed[0].lower()}{needed[1:]} It raised {said}"
    return ""


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep warnings of the class quiet, and leave the caller's generators as they were."""
    kept = generators()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        set_generators(kept)


# -- the algorithm under test ----------------------------------------------------------------------


class _LackingError(Exception):
    """An algorithm lacks something; the message says what is needed, what came, and the cure."""


def _need(holds: Any, message: str) -> None:
    if not holds:
        raise _LackingError(message)


class _Counter(BaseCallback):
    """Counts its calls, stops training at one of them, and gives up after `limit` slots."""

    def __init__(self, stop_at: int | None = None, limit: int = _PATIENCE) -> None:
        super().__init__()
        self.stop_at, self.limit = stop_at, limit
        self.events: list[str] = []
        self.seen: list[int] = []

    def _on_training_start(self) -> None:
        self.events.append("training start")

    def _on_training_end(self) -> None:
        self.events.append("training end")

    def _on_step(self) -> bool:
        self.seen.append(self.model.num_timesteps)
        if len(self.seen) * self.training_env.num_envs > self.limit:
            raise _LackingError(f"learn must end; it went on for {self.limit} slots.")
        return self.stop_at is None or len(self.seen) < self.stop_at


class _Subject:
    """The algorithm under test, and what the checks share; one training has `timesteps` slots."""

    def __init__(self, chosen: Algorithm, scenario: Scenario, timesteps: int) -> None:
        self.chosen, self.scenario, self.timesteps = chosen, scenario, timesteps
        self._trained: Any = None

    def env(self, n_envs: int = 1, seed: int = 0) -> Any:
        """Return an env as the harness makes it."""
        return VecMonitor(
            make_sb3_vec_env(
                self.scenario,
                n_envs=n_envs,
                seed=seed,
                scores=self.chosen.scores,
                observation=self.chosen.observation,
                max_episode_steps=_EPISODE,
            )
        )

    def build(self, n_envs: int = 1, seed: int = 0) -> Any:
        """Return a new model as the harness builds it."""
        return self.chosen.build(self.env(n_envs), seed=seed, device="cpu", verbose=0)

    def learn(self, model: Any, **options: Any) -> Any:
        """Train a model as the harness does, but not for ever."""
        callback = options.pop("callback", None) or _Counter(limit=self.timesteps + _PATIENCE)
        found = model.learn(self.timesteps, callback=callback, **options)
        _need(found is model, f"learn must return the model itself; got {found!r:.60}.")
        return model

    def trained(self) -> Any:
        """Return a model after one training, the same at every call: only to be asked."""
        if self._trained is None:
            self._trained = self.learn(self.build())
        return self._trained

    def observations(self, count: int) -> NDArray[Any]:
        """Return so many observations, the same at every call."""
        return np.asarray(self.env(count, seed=77).reset())

    def decisions(self, model: Any, count: int = 16) -> NDArray[Any]:
        """Return a model's deterministic actions for these observations."""
        return np.asarray(model.predict(self.observations(count), deterministic=True)[0])

    def need_alike(self, first: Any, second: Any, what: str) -> None:
        """Raise _LackingError unless two models decide alike."""
        ours, theirs = self.decisions(first), self.decisions(second)
        differ = int((ours != theirs).reshape(len(ours), -1).any(1).sum())
        _need(not differ, f"{what}; {differ} of {len(ours)} decisions differ.")


# -- what is needed ----------------------------------------------------------------------------


def _check_interface(subject: _Subject) -> None:
    """Have learn, predict, and with callbacks save, load, set_logger, num_timesteps."""
    try:
        require_interface(subject.build())
    except TypeError as error:
        raise _LackingError(str(error)) from error


def _check_learn(subject: _Subject) -> None:
    """Train for learn(total_timesteps, callback=) and return the model."""
    model = subject.learn(subject.build())
    _need(
        model.num_timesteps >= subject.timesteps,
        f"learn({subject.timesteps}) must take so many slots of the env, and num_timesteps count "
        f"them: it is {model.num_timesteps}. The env counts for a class with learn and predict "
        "alone; any other adds the number of copies after every step.",
    )


def _check_callbacks(subject: _Subject) -> None:
    """Call the callback once in every step of the env, and at both ends of training."""
    counter = _Counter(limit=subject.timesteps + _PATIENCE)
    model = subject.learn(subject.build(), callback=counter)
    _need(
        len(counter.seen) == model.num_timesteps,
        f"on_step must be called once in every step of the env: {model.num_timesteps} steps, "
        f"{len(counter.seen)} calls. Checkpoints, curves and evaluations depend on it.",
    )
    _need(
        all(one < two for one, two in itertools.pairwise(counter.seen)),
        "num_timesteps must have grown when on_step is called: count before you call.",
    )
    _need(
        counter.events == ["training start", "training end"],
        "on_training_start must come first and on_training_end last, once each; got "
        f"{counter.events}.",
    )


def _check_continue(subject: _Subject) -> None:
    """Go on counting in learn(..., reset_num_timesteps=False), and else begin anew."""
    model = subject.learn(subject.build())
    before = model.num_timesteps
    subject.learn(model, reset_num_timesteps=False)
    _need(
        model.num_timesteps >= before + subject.timesteps,
        f"learn(n, reset_num_timesteps=False) must take n more slots: {before} before, "
        f"{model.num_timesteps} after learn({subject.timesteps}).",
    )
    subject.learn(model, reset_num_timesteps=True)
    _need(
        model.num_timesteps <= before,
        f"learn(n) must count from 0 again; num_timesteps is {model.num_timesteps}.",
    )


def _check_predict(subject: _Subject) -> None:
    """Return legal actions and a state from predict(observation, deterministic=)."""
    model, env = subject.trained(), subject.env()
    many = subject.observations(5)
    for observations, batch in ((many, (5,)), (many[0], ())):
        for deterministic in (True, False):
            result = model.predict(observations, deterministic=deterministic)
            _need(
                isinstance(result, tuple) and len(result) == 2,
                f"predict must return (actions, state); got {type(result).__name__}.",
            )
            _require_legal(subject, np.asarray(result[0]), batch, env.action_space)


def _require_legal(
    subject: _Subject, actions: NDArray[Any], batch: tuple[int, ...], space: Any
) -> None:
    shape = (*batch, *space.shape)
    _need(
        actions.shape == shape,
        f"predict must return actions of shape {shape} for observations of batch shape {batch}; "
        f"got {actions.shape}.",
    )
    _need(
        np.can_cast(actions.dtype, space.dtype, "same_kind") and actions.dtype.kind != "b",
        f"predict must return actions of dtype {space.dtype}; got {actions.dtype}.",
    )
    each = actions.reshape(-1, *space.shape).astype(space.dtype)
    _need(
        all(map(space.contains, each)),
        f"predict must return actions of the env, {space}; got values from {actions.min()} to "
        f"{actions.max()}.",
    )


def _check_deterministic(subject: _Subject) -> None:
    """Give equal observations equal actions in predict(..., deterministic=True)."""
    what = "predict(observation, deterministic=True) must return the same when asked twice"
    subject.need_alike(subject.trained(), subject.trained(), what)


def _check_pure(subject: _Subject) -> None:
    """Leave the env, the observation and the global generators alone in predict."""
    model = subject.learn(subject.build())
    observations = subject.observations(4)
    before = _surroundings(model, observations)
    model.predict(observations, deterministic=True)
    after = _surroundings(model, observations)
    changed = [name for name, value in before.items() if after[name] != value]
    _need(
        not changed,
        f"predict(..., deterministic=True) must leave all around it as it is; it changed "
        f"{', '.join(changed)}. Measuring during training would change the training.",
    )


def _surroundings(model: Any, observations: NDArray[Any]) -> dict[str, bytes]:
    found = {
        "NumPy's global generator": pickle.dumps(np.random.get_state()),  # noqa: NPY002
        "torch's global generator": torch.get_rng_state().numpy().tobytes(),
        "its argument": observations.tobytes(),
    }
    env = getattr(model, "get_env", lambda: None)()
    if env is not None:
        found["the env"] = pickle.dumps(env.unwrapped.venv.unwrapped.get_state())
    return found


def _check_seed(subject: _Subject) -> None:
    """Train alike from equal seeds."""
    first = subject.learn(subject.build(seed=5))
    # What is drawn elsewhere in the process must not matter.
    np.random.seed(99)  # noqa: NPY002
    torch.manual_seed(98)
    second = subject.learn(subject.build(seed=5))
    subject.need_alike(
        first,
        second,
        "two trainings of equal seeds must decide alike: take all randomness from `seed` "
        "(set_random_seed of BaseAlgorithm)",
    )


def _check_save(subject: _Subject) -> None:
    """Give back a model that decides alike from save(path) and load(path, env=)."""
    model = subject.trained()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.zip"
        model.save(path)
        there = sorted(one.name for one in Path(folder).iterdir())
        _need(
            there == ["model.zip"],
            f"save('model.zip') must write the file model.zip and no other; found {there}.",
        )
        loaded = [
            subject.chosen.load(path, env=subject.env(), device="cpu"),
            subject.chosen.load(path),
        ]
    for again, how in zip(loaded, ("load(path, env=env)", "load(path)"), strict=True):
        _need(
            type(again) is type(model),
            f"{how} must return a {type(model).__name__}; got {type(again).__name__}.",
        )
        subject.need_alike(again, model, f"{how} must give back a model that decides alike")
        _need(
            again.num_timesteps == model.num_timesteps,
            f"{how} must give back num_timesteps, {model.num_timesteps}; got "
            f"{again.num_timesteps}. A run that goes on counts from there.",
        )
    subject.learn(loaded[0], reset_num_timesteps=False)


def _check_logger(subject: _Subject) -> None:
    """Keep the logger of set_logger(logger) in the next training."""
    model, logger = subject.build(), Logger(None, [])
    model.set_logger(logger)
    subject.learn(model)
    _need(
        model.logger is logger,
        "learn must keep the logger that set_logger gave it: only where there is none may it "
        "configure one (_setup_learn of BaseAlgorithm does so).",
    )


def _check_evaluate(subject: _Subject) -> None:
    """Work in evaluate_policy of Stable-Baselines3, on several copies of the env."""
    rewards, lengths = evaluate_policy(
        subject.trained(), subject.env(3), n_eval_episodes=4, return_episode_rewards=True
    )
    _need(
        np.isfinite(rewards).all() and lengths == [_EPISODE] * 4,
        f"evaluate_policy must see four whole episodes; got rewards {rewards} and lengths "
        f"{lengths}.",
    )


# -- what would be good to have ------------------------------------------------------------------


def _option_parameters(subject: _Subject) -> None:
    """Take verbose, tensorboard_log and device in the constructor."""
    known, takes_others = constructor_parameters(subject.chosen.cls)
    missing = {"verbose", "tensorboard_log", "device"} - set(known)
    _need(not missing or takes_others, f"the constructor takes no {', '.join(sorted(missing))}.")


def _option_stop(subject: _Subject) -> None:
    """End training at once where a callback returns False."""
    stopped = subject.learn(subject.build(), callback=_Counter(stop_at=3))
    _need(
        stopped.num_timesteps == 3,
        "learn should end at once where on_step returns False: stopped in step 3, it went on to "
        f"{stopped.num_timesteps}. Early stopping needs it.",
    )


def _option_copies(subject: _Subject) -> None:
    """Train on several copies of the env at once."""
    model = subject.learn(subject.build(n_envs=3))
    _need(
        model.num_timesteps % 3 == 0,
        f"on three copies num_timesteps must grow by 3 a step; it is {model.num_timesteps}.",
    )


def _option_exact(subject: _Subject) -> None:
    """End alike whether a run was stopped, saved and loaded, or not."""
    whole = subject.learn(subject.build(seed=4))
    subject.learn(whole, reset_num_timesteps=False)
    half = subject.learn(subject.build(seed=4))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.zip"
        half.save(path)
        env = subject.env()
        env.reset()
        again = subject.chosen.load(path, env=env, force_reset=False)
    np.random.seed(97)  # noqa: NPY002
    torch.manual_seed(96)
    subject.learn(again, reset_num_timesteps=False)
    subject.need_alike(
        whole,
        again,
        "a run that was stopped, saved and loaded ends elsewhere than one that was not: the file "
        "lacks the env's state, the generators or the experience",
    )


def _named(prefix: str) -> dict[str, Callable[[_Subject], None]]:
    functions = list(globals().items())
    return {name.removeprefix(prefix): one for name, one in functions if name.startswith(prefix)}


CHECKS, OPTIONS = _named("_check_"), _named("_option_")
"""What is needed, and what is only noted, in the order of this file."""
