"""Conformance checks of the environments, bit by bit, for the presets and for users' scenarios.

Gymnasium's and PettingZoo's own checkers compare a step or two within 1e-5. These compare every
bit over many steps and seeds: results, spaces, infos, randomness, state, refusals, and all faces
of the world with each other.
"""

from __future__ import annotations

import copy
import importlib.util
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from numpy.typing import NDArray

from mec_gym.envs.observation import RESOLUTION, slot_from_observation
from mec_gym.envs.offloading import ENV_ID, MultiMECEnv
from mec_gym.envs.registration import parallel_env
from mec_gym.envs.scores import ScoreAction
from mec_gym.envs.vector import MultiMECVectorEnv
from mec_gym.fields import Uniform
from mec_gym.model.cost import NO_TASK
from mec_gym.model.episode import episode as draw_episode
from mec_gym.validation import require_choice

__all__ = ["CHECKS", "ConformanceError", "Report", "check_offloading_env"]

Env = gym.Env[Any, Any]

OPTIONS = ("reward", "observation", "optimum")
PATH = ("gains", "seen_gains", "data_bits", "cycles", "device_positions_m")
SLACK = 1e-9  # relative rounding up to which the optimum may exceed a decision's objective


class ConformanceError(AssertionError):
    """An environment broke a promise: which `check`, what `message`, at which `seed` and `step`.

    Examples
    --------
    >>> print(ConformanceError("info", "the key 'objective' is missing", 3, 0))
    check 'info' failed: the key 'objective' is missing (seed 3, step 0)
    """

    def __init__(
        self, check: str, message: str, seed: int | None = None, step: int | None = None
    ) -> None:
        super().__init__(check, message, seed, step)
        self.check, self.message, self.seed, self.step = check, message, seed, step

    def __str__(self) -> str:
        places = {"seed": self.seed, "step": self.step}
        known = [f"{name} {value}" for name, value in places.items() if value is not None]
        where = f" ({', '.join(known)})" if known else ""
        return f"check {self.check!r} failed: {self.message}{where}"


class Trial:
    """One run of the checks: what they look at, and where they are."""

    def __init__(
        self,
        make: Callable[[], Env],
        options: dict[str, Any],
        seeds: tuple[int, ...],
        episodes: int,
        steps: int,
    ) -> None:
        self.make, self.options, self.scenario = make, options, make().get_wrapper_attr("scenario")
        self.seeds, self.episodes, self.steps, self.taken = seeds, episodes, steps, 0
        self._place: tuple[str, int | None, int | None] = ("", None, None)

    def run(self, name: str, check: Callable[[Trial], str | None]) -> str | None:
        """Run one check; return why it does not apply, if so."""
        self._place = (name, None, None)
        try:
            return check(self)
        except ConformanceError:
            raise
        except Exception as error:
            self.require(False, f"{type(error).__name__}: {error}", error)
            raise

    def env(self) -> MultiMECEnv:
        """Return a new env without wrappers."""
        env = self.make().unwrapped
        assert isinstance(env, MultiMECEnv)
        return env

    def each_seed(self) -> Iterator[int]:
        """Give the seeds, each as the place where a failure shows."""
        for seed in self.seeds:
            self._place = (self._place[0], seed, None)
            yield seed

    def each_step(self) -> Iterator[int]:
        """Give the steps of an episode, each as the place where a failure shows."""
        for index in range(self.steps):
            check, seed, step = self._place
            self._place = (check, seed, 0 if step is None else step + 1)
            self.taken += 1
            yield index

    def each_start(self) -> Iterator[tuple[MultiMECEnv, np.random.Generator]]:
        """Give for each seed a new env, one step into an episode."""
        for seed in self.each_seed():
            env, rng = self.env(), np.random.default_rng(seed)
            env.reset(seed=seed)
            env.step(self.actions(rng))
            yield env, rng

    def actions(self, rng: np.random.Generator, *batch: int) -> NDArray[np.int64]:
        """Return random decisions that eq. (7) allows."""
        least = np.where(self.scenario.can_execute_locally, 0, 1)
        shape = (*batch, self.scenario.n_devices)
        return rng.integers(least, self.scenario.n_servers + 1, shape)

    def rollout(self, env: Env, seed: int, *, spoil: bool = False) -> list[tuple[Any, ...]]:
        """Return copies of all that an env gives over the episodes of a seed."""
        rng, found = np.random.default_rng(seed), []
        for episode in range(self.episodes):
            result: tuple[Any, ...] = env.reset(seed=None if episode else seed)
            found.append(copy.deepcopy(result))
            for _ in self.each_step():
                overwrite(*result if spoil else ())
                result = env.step(self.actions(rng))
                found.append(copy.deepcopy(result))
        return found

    def require(self, holds: Any, message: str, cause: Exception | None = None) -> None:
        """Raise ConformanceError with the present place unless `holds`."""
        if not holds:
            check, seed, step = self._place
            raise ConformanceError(check, message, seed, step) from cause

    def require_same(self, got: Any, wanted: Any, what: str) -> None:
        """Raise ConformanceError unless two results are equal in every bit and type."""
        if differs := difference(got, wanted, "it"):
            self.require(False, f"{what}: {differs}")

    def require_refusal(self, env: Any, action: Any, core: MultiMECEnv, state: Any) -> None:
        """Raise ConformanceError unless `env` refuses an action and its core stays as it was."""
        try:
            env.step(action)
        except (TypeError, ValueError):
            self.require_same(core.get_state(), state, f"refusing {action!r:.60} left a trace")
        else:
            self.require(False, f"an illegal action was accepted: {action!r:.60}")


def difference(got: Any, wanted: Any, path: str) -> str | None:
    """Return where and how two results differ, or None where every bit and type is equal."""
    own, other = described(got), described(wanted)
    if own != other:
        return f"{path} is {own}, not {other}"
    if isinstance(got, dict):
        pairs = [(got[key], wanted[key], f"{path}[{key!r}]") for key in got]
    elif isinstance(got, (tuple, list)) or (isinstance(got, np.ndarray) and got.dtype == object):
        pairs = [(one, wanted[index], f"{path}[{index}]") for index, one in enumerate(got)]
    elif isinstance(got, np.ndarray):
        return None if got.tobytes() == wanted.tobytes() else f"{path} has other values"
    else:
        return None if repr(got) == repr(wanted) else f"{path} is {got!r}, not {wanted!r}"
    return next((found for pair in pairs if (found := difference(*pair))), None)


def described(value: Any) -> str:
    """Return the type of a value, with keys, length, dtype and shape where it has them."""
    if isinstance(value, np.ndarray):
        return f"an array {value.dtype}{value.shape}"
    if isinstance(value, dict):
        return f"a dict of {sorted(value)}"
    size = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
    return f"a {type(value).__name__}{size}"


def overwrite(*results: Any) -> None:
    """Overwrite what a caller got: arrays with zeros, dicts with nothing."""
    for result in results:
        if isinstance(result, np.ndarray) and result.flags.writeable:
            result[...] = 0
        elif isinstance(result, dict):
            overwrite(*result.values())
            result.clear()
        elif isinstance(result, (tuple, list)):
            overwrite(*result)


# -- the checks: each returns why it does not apply, if so ----------------------------------------


def _check_gymnasium(trial: Trial) -> None:
    env = trial.env()
    # What eq. (7) forbids is in the action space, and must not be sampled from it.
    masks = env.action_masks().reshape(trial.scenario.n_devices, -1).astype(np.int8)
    vars(env.action_space)["sample"] = partial(env.action_space.sample, tuple(masks))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)


def _check_spaces(trial: Trial) -> None:
    env = trial.env()
    space = env.observation_space
    for seed in trial.each_seed():
        for observation, *rest, info in trial.rollout(env, seed):
            trial.require(isinstance(observation, np.ndarray), "an observation is no array")
            trial.require(observation.dtype == space.dtype, f"observation in {observation.dtype}")
            trial.require(space.contains(observation), "an observation lies outside its space")
            finite = all(np.isfinite(value).all() for value in info.values())
            trial.require(finite, f"info is not finite: {info}")
            if rest:
                real = type(rest[0]) is float and np.isfinite(rest[0])
                trial.require(real, f"the reward is {rest[0]!r}")
                trial.require(rest[1:] == [False, False], "an endless process ended")


def _check_info(trial: Trial) -> None:
    env = trial.env()
    for seed in trial.each_seed():
        forms = [
            {key: described(value) for key, value in info.items()}
            for *_, info in trial.rollout(env, seed)
        ]
        for index, form in enumerate(forms):
            trial.require_same(form, forms[0], f"info of result {index} against that of reset")


def _check_fresh(trial: Trial) -> None:
    for seed in trial.each_seed():
        env, rng = trial.env(), np.random.default_rng(seed)
        held: list[tuple[Any, ...]] = [env.reset(seed=seed)]
        kept = copy.deepcopy(held)
        for _ in trial.each_step():
            held.append(env.step(trial.actions(rng)))
            kept.append(copy.deepcopy(held[-1]))
            new, old = ((result[0], *result[-1].values()) for result in (held[-1], held[-2]))
            shared = any(np.may_share_memory(one, other) for one in new for other in old)
            trial.require(not shared, "results of two calls share memory")
        trial.require_same(held, kept, "a later call changed an earlier result")
        clean, spoilt = (trial.rollout(trial.env(), seed, spoil=spoil) for spoil in (False, True))
        trial.require_same(spoilt, clean, "writing into a result changed what came later")


def _check_determinism(trial: Trial) -> None:
    scenario, firsts = trial.scenario, set()
    random = scenario.fading == "rayleigh" or any(
        isinstance(task, Uniform) for task in (scenario.data_bits, scenario.cycles)
    )
    for seed in trial.each_seed():
        env = trial.env()
        found = trial.rollout(env, seed)
        trial.require_same(trial.rollout(env, seed), found, "the same seed in the same env")
        trial.require_same(trial.rollout(trial.env(), seed), found, "the same seed in a new env")
        seen = [result[0].tobytes() for result in found]
        if random:
            trial.require(len(set(seen)) == len(seen), "a random observation came twice in a run")
        firsts.add(seen[0])
    if random or scenario.layout == "redrawn":
        trial.require(len(firsts) == len(set(trial.seeds)), "two seeds began with the same bits")


def _check_reward(trial: Trial) -> None:
    n_devices, kind = trial.scenario.n_devices, trial.options.get("reward", "reciprocal")
    for env, rng in trial.each_start():
        for _ in trial.each_step():
            nearest, present = 1 + env.slot.gains.argmax(axis=-1), env.slot.cycles > NO_TASK
            local = env.evaluate(np.where(trial.scenario.can_execute_locally, 0, nearest))
            action = trial.actions(rng)
            outcome = env.evaluate(action)
            _, reward, *_, info = env.step(action)
            value = info["objective"]
            rewards = {"reciprocal": 0.0, "relative": 1.0, "negative": -value / n_devices}
            if present.any():
                rewards |= {"reciprocal": 1.0 / value, "relative": local.objective / value}
            wanted = kind(outcome) if callable(kind) else rewards[kind]
            trial.require_same(reward, float(wanted), f"{kind} reward of objective {value!r}")


def _check_evaluate(trial: Trial) -> None:
    for env, rng in trial.each_start():
        twin = copy.deepcopy(env)
        for _ in trial.each_step():
            actions, state = trial.actions(rng, 3), env.get_state()
            one, many = env.evaluate(actions[0]), env.evaluate(actions)
            same = many.objective[0] == one.objective
            trial.require(same, "evaluate() prices a decision among others differently")
            names = ("objective", "latency_s", "energy_j")
            wanted = {name: getattr(one, name).sum() for name in names}
            overwrite(*vars(many).values(), *vars(one).values())
            trial.require_same(env.get_state(), state, "evaluate() changed the state")
            found = env.step(actions[0])
            trial.require_same(found, twin.step(actions[0]), "evaluate() changed the next step")
            trial.require_same({name: found[-1][name] for name in names}, wanted, "step's info")


def _check_slot(trial: Trial) -> None:
    kind = trial.options.get("observation", "flat")
    for env, rng in trial.each_start():
        for _ in trial.each_step():
            observation = env.step(trial.actions(rng))[0]
            seen, slot = slot_from_observation(trial.scenario, observation, kind), env.seen
            trial.require_same(seen.hosts, slot.hosts, "hosts of slot_from_observation()")
            for name in ("gains", "data_bits", "cycles"):
                got, true = getattr(seen, name), getattr(slot, name)
                # A task is coded relative to its range, a gain relative to itself.
                scale = true if name == "gains" else true.max()
                close = (np.abs(got - true) <= RESOLUTION * scale).all()
                trial.require(close, f"slot_from_observation() does not give {name} back")


def _check_refusals(trial: Trial) -> None:
    scenario = trial.scenario
    for env, rng in trial.each_start():
        twin, state, legal = copy.deepcopy(env), env.get_state(), trial.actions(rng)
        illegal: list[Any] = [np.append(legal[:-1], scenario.n_servers + 1), -1 - legal, None, []]
        illegal += [legal + 0.0, legal > 0, legal[:-1], np.append(legal, 1), legal[None], "1", 1]
        for device in np.flatnonzero(~scenario.can_execute_locally):
            illegal.append(np.where(np.arange(legal.size) == device, 0, legal))
        for action in illegal:
            trial.require_refusal(env, action, env, state)
        scores = np.full(scenario.n_servers * scenario.n_devices, 0.7, dtype=np.float32)
        wrong = [np.append(scores[:-1], bad) for bad in (np.nan, np.inf, -0.1, 1.1)]
        for bad in (*wrong, scores[1:], scores[None], scores.astype(int), None):
            trial.require_refusal(ScoreAction(env), bad, env, state)
        for _ in trial.each_step():
            action = trial.actions(rng)
            trial.require_same(env.step(action), twin.step(action), "a refusal changed the future")


def _check_masks(trial: Trial) -> None:
    masks = trial.env().action_masks()
    wanted = np.ones((trial.scenario.n_devices, trial.scenario.n_servers + 1), dtype=bool)
    wanted[:, 0] = trial.scenario.can_execute_locally
    trial.require_same(masks, wanted.ravel(), "action_masks()")


def _check_state(trial: Trial) -> None:
    for env, rng in trial.each_start():
        state = env.get_state()
        kept = pickle.loads(pickle.dumps(state))
        overwrite(env.get_state())
        trial.require_same(env.get_state(), kept, "get_state() after its result was changed")
        actions = [trial.actions(rng) for _ in range(trial.steps)]
        wanted = [env.step(action) for action in actions]
        last = env.reset()
        trial.require_same(state, kept, "a state that was taken before the env moved on")
        for target in (env, trial.env()):
            given = copy.deepcopy(kept)
            target.set_state(given)
            trial.require_same(given, kept, "set_state() changed its argument")
            overwrite(given)
            trial.require_same(target.get_state(), state, "get_state() after set_state()")
            found = [target.step(actions[index]) for index in trial.each_step()]
            trial.require_same(found, wanted, "steps after set_state()")
            trial.require_same(target.reset(), last, "reset after set_state()")


def _check_copies(trial: Trial) -> None:
    for seed in trial.each_seed():
        env, rng = trial.make(), np.random.default_rng(seed)
        env.reset(seed=seed)
        env.step(trial.actions(rng))
        twins = {"pickle": pickle.loads(pickle.dumps(env)), "deep copy": copy.deepcopy(env)}
        for _ in trial.each_step():
            action = trial.actions(rng)
            wanted = env.step(action)
            for name, twin in twins.items():
                trial.require_same(twin.step(action), wanted, f"a {name} goes on differently")


def _check_path(trial: Trial) -> None:
    for seed in trial.each_seed():
        path, rng = draw_episode(trial.scenario, seed, trial.steps), np.random.default_rng(seed)
        envs = (trial.env(), trial.env())
        for env in envs:
            env.reset(seed=seed)
        for index in trial.each_step():
            for env in envs:
                wanted = [getattr(path, name)[index] for name in PATH]
                trial.require_same(_path(env), wanted, "the path against that of episode()")
                env.step(trial.actions(rng))
        # Whatever was decided, the next episode is the same.
        for env in envs:
            env.reset()
        trial.require_same(_path(envs[0]), _path(envs[1]), "the path after other decisions")


def _path(env: MultiMECEnv) -> list[NDArray[Any]]:
    """Return what an env shows of the path: arrays as in PATH."""
    slot = env.slot
    return [slot.gains, env.seen.gains, slot.data_bits, slot.cycles, env.device_positions_m]


def _check_replay(trial: Trial) -> None:
    for seed in trial.each_seed():
        path, rng = draw_episode(trial.scenario, seed, trial.steps), np.random.default_rng(seed)
        live, shown = trial.env(), trial.env()
        found = shown.reset(options={"episode": path})
        trial.require_same(found, live.reset(seed=seed), "reset of a replay")
        for index in trial.each_step():
            action, last = trial.actions(rng), index == trial.steps - 1
            got, wanted = list(shown.step(action)), list(live.step(action))
            wanted[3] = last
            if last:  # behind its end a path is not known
                got[0] = wanted[0]
            trial.require_same(got, wanted, "a step of a replayed episode")
        found = shown.reset(seed=seed + 1)
        trial.require_same(found, trial.env().reset(seed=seed + 1), "reset after a replay")


def _check_vector(trial: Trial) -> None:
    limit = max(2, trial.steps // 4)
    for mode in AutoresetMode:
        singles = SyncVectorEnv(
            [lambda: TimeLimit(trial.env(), max_episode_steps=limit)] * 3, autoreset_mode=mode
        )
        options: dict[str, Any] = {"max_episode_steps": limit, "autoreset_mode": mode}
        native = MultiMECVectorEnv(3, trial.scenario, **options, **trial.options)
        for seed in trial.each_seed():
            _compare_batches(trial, (native, singles), seed, mode)


def _compare_batches(
    trial: Trial, batches: tuple[Any, Any], seed: int, mode: AutoresetMode
) -> None:
    """Step and reset two vector envs side by side across the ends of episodes."""
    rng, ended = np.random.default_rng(seed), np.zeros(3, dtype=bool)

    def reset(seeds: Any = None, **options: Any) -> None:
        found, wanted = (one.reset(seed=seeds, options=dict(options)) for one in batches)
        trial.require_same(found, wanted, f"vector reset, seeds {seeds}, {options}, {mode}")

    reset(seed)
    for index in trial.each_step():
        if mode is AutoresetMode.DISABLED and ended.any():
            reset(reset_mask=ended)
        if index == 1:
            # From here on the copies end their episodes at different steps.
            reset([None, seed + 9, 5], reset_mask=np.array([False, True, False]))
        actions = trial.actions(rng, 3)
        found, wanted = (one.step(actions) for one in batches)
        trial.require_same(found, wanted, f"vector step, {mode}")
        ended = found[2] | found[3]
    reset([seed + 5, None, seed])
    reset()


def _check_pettingzoo(trial: Trial) -> str | None:
    if importlib.util.find_spec("pettingzoo") is None:
        return "PettingZoo is not installed"
    servers = np.arange(1, trial.scenario.n_servers + 1)[:, None]
    for seed in trial.each_seed():
        central, rng = trial.env(), np.random.default_rng(seed)
        apart = parallel_env(trial.scenario, max_cycles=trial.steps, **trial.options)
        _compare_agents(trial, apart, apart.reset(seed=seed), central.reset(seed=seed))
        for index in trial.each_step():
            action, agents, over = trial.actions(rng), apart.agents, index == trial.steps - 1
            votes = (action == servers).astype(np.float32)
            result = apart.step(dict(zip(agents, votes, strict=True)))
            wanted = central.step(action)
            _compare_agents(trial, apart, result, wanted)
            shared = [dict.fromkeys(agents, one) for one in (wanted[1], False, over)]
            trial.require_same(list(result[1:4]), shared, "rewards, terminations, truncations")
        trial.require(apart.agents == [], "agents live on after max_cycles")
    return None


def _compare_agents(trial: Trial, apart: Any, result: Any, wanted: Any) -> None:
    """Compare what the agents see with what the central env gives."""
    trial.require_same(apart.state(), wanted[0].ravel(), "state()")
    columns = wanted[0].reshape(trial.scenario.n_devices, -1).T
    gains, rest = np.split(columns, [trial.scenario.n_servers])
    tasks, hosts, present = rest, rest[:0], rest[:0]
    if trial.scenario.absences:
        tasks, present = tasks[:-1], tasks[-1:]
    if trial.scenario.migrates:
        tasks, hosts = np.split(tasks, [len(tasks) - trial.scenario.n_servers])
    for j, agent in enumerate(apart.possible_agents):
        guests = [hosts[j], np.delete(hosts, j, axis=0).sum(axis=0)] if len(hosts) else []
        own = np.concatenate([gains[j], *tasks, *guests, *present])
        trial.require_same(result[0][agent], own, f"observation of {agent}")
        inside = apart.observation_space(agent).contains(own)
        trial.require(inside, f"observation of {agent} lies outside its space")
        trial.require_same(result[-1][agent], wanted[-1], f"info of {agent}")


def _check_optimum(trial: Trial) -> str | None:
    if not trial.options.get("optimum"):
        return "it needs optimum=True"
    env = trial.env()
    for seed in trial.each_seed():
        for *_, info in trial.rollout(env, seed):
            bound, best, value = (info[key] for key in ("lower_bound", "optimum", "objective"))
            trial.require(bound <= best, f"lower_bound {bound!r} > optimum {best!r}")
            trial.require(best <= value * (1 + SLACK), f"optimum {best!r} > objective {value!r}")
            trial.require_same(info["nrr"], bound / value, "nrr = lower_bound / objective")
            trial.require(0.0 < info["nrr"] <= 1.0 + SLACK, f"nrr {info['nrr']!r}")
    return None


CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    name.removeprefix("_check_"): check
    for name, check in list(globals().items())
    if name.startswith("_check_")
}
"""All checks, by name, in the order in which they stand above."""

# -- running them ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """What :func:`check_offloading_env` ran; it returns only when all of it passed.

    Examples
    --------
    >>> check_offloading_env(checks=["reward"], seeds=[0, 1], steps=5).steps
    10
    """

    scenario: str  # its name
    checks: tuple[str, ...]  # those of CHECKS that ran
    skipped: tuple[str, ...]  # those that do not apply, each with the reason
    seeds: tuple[int, ...]  # that each check ran with
    steps: int  # that were compared in total


def check_offloading_env(
    scenario: Any = "paper-30x2",
    *,
    seeds: Sequence[int] = (0, 1, 2),
    episodes: int = 2,
    steps: int = 20,
    checks: Sequence[str] | None = None,
    **make_kwargs: Any,
) -> Report:
    """Check that an environment keeps its promises, bit by bit.

    Parameters
    ----------
    scenario : str, path, mapping, Scenario or env
        What ``gym.make`` takes as ``scenario``; or an env to check copies of: a MultiMECEnv (or a
        subclass), plain or as ``gym.make`` returns it.
    seeds : sequence of int
        Every check runs once with each.
    episodes, steps : int
        Resets per seed, and steps after each reset.
    checks : sequence of str, optional
        Names of :data:`CHECKS`; all by default.
    **make_kwargs
        As for ``gym.make``: reward, observation, optimum and any Scenario field. For an env
        that ``gym.make`` did not make, what it was made with.

    Raises
    ------
    ConformanceError
        At the first promise that is broken; names the check, the seed and the step.

    Examples
    --------
    >>> report = check_offloading_env("paper-30x2", seeds=[0], steps=3, n_devices=4)
    >>> "determinism" in report.checks
    True
    """
    each = tuple(map(int, seeds))
    if not each or episodes < 1 or steps < 1:
        raise ValueError("check_offloading_env needs at least one seed, one episode and one step.")
    for name in checks or ():
        require_choice("checks", name, CHECKS)
    trial = Trial(*subject(scenario, make_kwargs), each, episodes, steps)
    reasons = {
        name: trial.run(name, CHECKS[name]) for name in (CHECKS if checks is None else checks)
    }
    return Report(
        scenario=trial.scenario.name,
        checks=tuple(name for name, reason in reasons.items() if not reason),
        skipped=tuple(f"{name}: {reason}" for name, reason in reasons.items() if reason),
        seeds=trial.seeds,
        steps=trial.taken,
    )


def subject(scenario: Any, kwargs: dict[str, Any]) -> tuple[Callable[[], Env], dict[str, Any]]:
    """Return what makes a new env, and the options it has beside its scenario."""
    make: Callable[[], Env] = partial(gym.make, ENV_ID, scenario=scenario, **kwargs)
    if isinstance(scenario, gym.Env):
        if not isinstance(scenario.unwrapped, MultiMECEnv):
            raise TypeError(f"the env must be a MultiMECEnv; got {scenario.unwrapped}.")
        make = partial(copy.deepcopy, scenario)
        kwargs = (dict(scenario.spec.kwargs) if scenario.spec else {}) | kwargs
    return make, {name: kwargs[name] for name in OPTIONS if name in kwargs}
