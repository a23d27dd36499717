"""The checks, one function each; each returns why it does not apply, if so."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from mec_gym.envs.observation import slot_from_observation
from mec_gym.envs.registration import parallel_env
from mec_gym.envs.scores import ScoreAction
from mec_gym.envs.vector import MultiMECVectorEnv
from mec_gym.fields import Uniform
from mec_gym.testing.trial import (
    RESOLUTION,
    SLACK,
    Trial,
    described,
    overwrite,
)


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
            nearest = 1 + env.slot.gains.argmax(axis=-1)
            local = env.evaluate(np.where(trial.scenario.can_execute_locally, 0, nearest))
            _, reward, *_, info = env.step(trial.actions(rng))
            value = info["objective"]
            rewards = {"reciprocal": 1.0 / value, "negative": -value / n_devices}
            rewards["relative"] = float(local.objective) / value
            trial.require_same(reward, rewards[kind], f"{kind} reward of objective {value!r}")


def _check_evaluate(trial: Trial) -> None:
    for env, rng in trial.each_start():
        twin = copy.deepcopy(env)
        for _ in trial.each_step():
            actions, state = trial.actions(rng, 3), env.get_state()
            one, many = env.evaluate(actions[0]), env.evaluate(actions)
            same = many.objective[0] == one.objective
            trial.require(same, "evaluate() prices a decision among others differently")
            names = ("objective", "latency_s", "energy_j")
            wanted = {name: float(getattr(one, name).sum()) for name in names}
            overwrite(*vars(many).values(), *vars(one).values())
            trial.require_same(env.get_state(), state, "evaluate() changed the state")
            found = env.step(actions[0])
            trial.require_same(found, twin.step(actions[0]), "evaluate() changed the next step")
            trial.require_same({name: found[-1][name] for name in names}, wanted, "step's info")


def _check_slot(trial: Trial) -> None:
    kind = trial.options.get("observation", "db")
    for env, rng in trial.each_start():
        for _ in trial.each_step():
            observation = env.step(trial.actions(rng))[0]
            seen, slot = slot_from_observation(trial.scenario, observation, kind), env.slot
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
    for j, agent in enumerate(apart.possible_agents):
        own = np.concatenate([columns[j], *columns[trial.scenario.n_servers :]])
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
            trial.require_same(info["nrr"], best / value, "nrr = optimum / objective")
            trial.require(0.0 < info["nrr"] <= 1.0 + SLACK, f"nrr {info['nrr']!r}")
    return None


CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    check.__name__.removeprefix("_check_"): check
    for check in (
        _check_gymnasium,
        _check_spaces,
        _check_info,
        _check_fresh,
        _check_determinism,
        _check_reward,
        _check_evaluate,
        _check_slot,
        _check_refusals,
        _check_masks,
        _check_state,
        _check_copies,
        _check_vector,
        _check_pettingzoo,
        _check_optimum,
    )
}
"""The checks that there are, by name."""
