r"""How servers learn what a service is worth: from hindsight, then from decisions by that worth.

One who knew the path has values V_t(s) by dynamic programming, [H-2]: the first lesson. They are
too good, since no policy knows the path, so worth is learned anew from the cost of what is decided
with the worth learned so far: by a central exact solve of each slot with everyone's D, in which no
agent, price, vote or admission takes part. On a path each device can be followed from every host at
once, the servers' prices being those of the slots as they were decided:

    [C-2]  V_t(s) = cost of the choice a_t(s) + ν V_t+1(s') + (1 − ν)(V_t+1(0) − D_t(s')),

s' the host after it. ν = 1 counts what was paid up to the end, which differs much from path to
path; ν = 0 trusts the estimate one slot later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dirs_agents.continuation import AHEAD, WINDOW
from mec_gym import Scenario, Slot
from mec_gym.envs.observation import ObservationCoder, gains_of_units, units_of_gains
from mec_gym.fields import TASKS
from mec_gym.hindsight import hindsight, hosts_before
from mec_gym.model.arrays import sum_by_server
from mec_gym.model.cost import NO_TASK, hosts_after
from mec_gym.model.episode import Episode, episodes
from mec_gym.optimum import load_problems_apart, moving, with_toll

SLOTS = 100
"""Slots of an episode to learn from."""

TAIL = 15
"""Last slots of an episode, of which nothing is learned of worth: little of it is left to come."""

TRUST = 0.8
"""ν of [C-2]: below 1, as one path's end would say more of its luck than of its decisions."""

CREDIBLE = (-0.5, 1.5)
"""Ends of what a lesson says of D/μ, which is known to lie in [0, 1]: one path may say anything."""

ROWS = 1_000_000
"""Links in slots that are kept of a lesson, at most."""

_BATCH = 4096
"""Links per gradient step of a lesson: targets of single paths are noise, a mean of many less."""

_RATE = 3e-3
"""Adam's largest rate in a lesson, which goes up to it and down to 0: the network is small."""

_PART = 200_000
"""Links that are estimated at once: memory grows with them."""

Floats = NDArray[np.float64]


class Lesson(NamedTuple):
    """Links in slots: memories (R, W), worth D/μ (R,), units seen later (R, A)."""

    memory: NDArray[np.float32]
    worth: NDArray[np.float32]
    later: NDArray[np.float32]


def drawn(scenario: Scenario, count: int, seed: int) -> tuple[Episode, ...]:
    """Return episodes to learn from."""
    seeds = np.random.SeedSequence([_STREAM, seed]).generate_state(count)
    return episodes(scenario, seeds.tolist(), SLOTS)


_STREAM = 0x666F7265
"""Sets the episodes of learning apart from all others ("fore" in ASCII)."""


def _together(paths: Sequence[Episode], field: str) -> Floats:
    """Return a field of episodes by slot, (T, E, ...)."""
    return np.stack([getattr(one, field) for one in paths], axis=1)


def memories(paths: Sequence[Episode]) -> NDArray[np.float32]:
    """Return what servers remember in every slot of episodes, (T, E, M, N, W), in units."""
    seen = _together(paths, "seen_gains").swapaxes(-1, -2)
    units = np.asarray(units_of_gains(seen), dtype=np.float32)
    absent = _together(paths, "cycles") <= NO_TASK
    units = np.where(absent[:, :, None], np.float32(np.nan), units)
    before = np.full((WINDOW - 1, *units.shape[1:]), np.nan, dtype=np.float32)
    whole = np.concatenate([before, units])
    return np.lib.stride_tricks.sliding_window_view(whole, WINDOW, axis=0)


def estimated(network: Any, memory: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Return worth D/μ (...) and present units (...), by the network, of memories (..., W)."""
    shape = memory.shape[:-1]
    device = next(network.parameters()).device
    flat = memory.reshape(-1, WINDOW)
    worth, present = np.empty(len(flat)), np.empty(len(flat))
    with torch.no_grad():
        for first in range(0, len(flat), _PART):
            part = slice(first, first + _PART)
            found, ahead = network(torch.tensor(flat[part], device=device))
            worth[part], present[part] = found.cpu().numpy(), network.present(ahead).cpu().numpy()
    return worth.reshape(shape), present.reshape(shape)


# -- decisions that look ahead ------------------------------------------------------------------


def continuation_tolls(scenario: Scenario, slot: Slot, worth: Floats) -> Floats:
    """Return what choices lead to, (..., N, M + 1) [1] >= 0: moves at μ, and what is not worth it.

    `worth` is D (..., N, M) [1]. Local execution leaves a service at its host.
    """
    kappa = scenario.migration_cost[:, None]
    after = np.concatenate([np.zeros_like(worth[..., :1]), worth], axis=-1)
    after[..., :1] = np.take_along_axis(after, slot.known_hosts[..., None], axis=-1)
    return np.asarray(np.maximum(kappa * (1.0 + moving(slot)) - after, 0.0))


# -- lessons ------------------------------------------------------------------------------------


def hindsight_lesson(
    scenario: Scenario, paths: Sequence[Episode], rng: np.random.Generator
) -> Lesson:
    """Return worth by the values of one who knew the paths, [H-2]."""
    values = hindsight(scenario, paths).values.swapaxes(0, 1)  # (T + 1, E, N, M + 1)
    return _lesson(scenario, paths, memories(paths), values, rng)


def own_lesson(
    scenario: Scenario, paths: Sequence[Episode], network: Any, rng: np.random.Generator
) -> Lesson:
    """Return worth by what the decisions with the present worth cost on the paths, [C-2]."""
    memory = memories(paths)
    worth, present = (part.swapaxes(-1, -2) for part in estimated(network, memory))
    worth *= scenario.migration_cost[:, None]
    gains = gains_of_units(present) if network.replaces else None
    return _lesson(scenario, paths, memory, own_values(scenario, paths, worth, gains), rng)


def own_values(
    scenario: Scenario, paths: Sequence[Episode], worth: Floats, present: Floats | None = None
) -> Floats:
    """Return V_t(s), (T + 1, E, N, M + 1) [1], of the decisions with worth D (T, E, N, M), [C-2].

    `present` are the gains that decisions are made with, by default those that are seen.
    """
    seen_gains = _together(paths, "seen_gains") if present is None else present
    tasks = [_together(paths, name) for name in TASKS]
    hosts = np.zeros((len(paths), scenario.n_devices), dtype=np.int64)
    kinds = []
    for told_gains, gains, bits, cycles, after in zip(
        seen_gains, _together(paths, "gains"), *tasks, worth, strict=True
    ):
        seen = Slot.trusted(told_gains, bits, cycles, hosts)
        choice = with_toll(scenario, seen, continuation_tolls(scenario, seen, after))
        hosts = hosts_after(np, choice, hosts, cycles)
        told = load_problems_apart(scenario, seen)
        real = load_problems_apart(scenario, Slot.trusted(gains, bits, cycles))
        loads = np.asarray(sum_by_server(np, real.root_work, choice, scenario.n_servers))[..., 1:]
        prices = 2.0 * loads / scenario.server_frequencies_hz
        terms = prices[:, None, :] * real.root_work[..., None]
        kinds.append((told.cost, real.cost, terms, cycles <= NO_TASK))
    values = np.zeros((len(worth) + 1, *worth.shape[1:3], scenario.n_servers + 1))
    for time in range(len(worth) - 1, -1, -1):
        values[time] = _one_slot(scenario, *kinds[time], worth[time], values[time + 1])
    return values


def _one_slot(
    scenario: Scenario,
    told: Floats,
    real: Floats,
    terms: Floats,
    absent: NDArray[np.bool_],
    worth: Floats,
    after: Floats,
) -> Floats:
    """Return V_t(s) of the choices that seem best at each host, (E, N, M + 1)."""
    kappa = scenario.migration_cost[:, None]
    none = np.zeros_like(worth[..., :1])
    nowhere = np.full_like(none, np.inf)
    held = np.concatenate([none, worth], axis=-1)
    later = TRUST * after + (1.0 - TRUST) * (after[..., :1] - held)
    links, paid = told[..., 1:] + terms - worth, real[..., 1:] + terms + later[..., 1:]
    best = links.argmin(axis=-1)[..., None]
    home, move = told[..., :1] - held, kappa + np.take_along_axis(links, best, axis=-1)
    stay = np.concatenate([nowhere, links], axis=-1)
    stay_paid = np.concatenate([nowhere, paid], axis=-1)
    move_paid = kappa + np.take_along_axis(paid, best, axis=-1)
    found = np.where(stay <= move, stay_paid, move_paid)
    values = np.where(home <= np.minimum(stay, move), real[..., :1] + later, found)
    return np.where(absent[..., None], later, values)


def _lesson(
    scenario: Scenario,
    paths: Sequence[Episode],
    memory: NDArray[np.float32],
    values: Floats,
    rng: np.random.Generator,
) -> Lesson:
    """Return some of the links in slots of episodes with values (T + 1, E, N, M + 1)."""
    slots = max(1, paths[0].n_slots - TAIL)
    kappa = scenario.migration_cost
    unit = np.where(kappa > 0.0, kappa, 1.0)[:, None]
    worth = np.clip((values[1:, ..., :1] - values[1:, ..., 1:]) / unit, *CREDIBLE)
    seen = _together(paths, "gains").swapaxes(-1, -2)
    units = np.asarray(units_of_gains(seen), dtype=np.float32)
    last = np.arange(slots)[:, None] + AHEAD
    # Behind the end everything stays as it was: the tail is longer than a forecast.
    later = units[np.minimum(last, paths[0].n_slots - 1)]  # (T', A, E, M, N)
    there = _together(paths, "cycles")[:slots] > NO_TASK
    rows = np.flatnonzero(np.broadcast_to(there[:, :, None], memory[:slots].shape[:-1]))
    if len(rows) > ROWS:
        rows = rng.choice(rows, ROWS, replace=False)
    places = np.unravel_index(rows, memory[:slots].shape[:-1])
    time, episode, server, device = places
    return Lesson(
        memory[places],
        worth[time, episode, device, server].astype(np.float32),
        later[time, :, episode, server, device],
    )


def learn(network: Any, lesson: Lesson, steps: int, rng: np.random.Generator) -> float:
    """Take gradient steps of Adam towards a lesson; return the mean square error of D/μ [1]."""
    device = next(network.parameters()).device
    optimizer = torch.optim.Adam(network.parameters(), lr=_RATE)
    errors, squares = [], []
    for step in range(steps):
        # Up for a tenth of the way, then down to nothing.
        part = (step + 0.5) / steps
        rate = min(part / 0.1, (1.0 - part) / 0.9)
        optimizer.param_groups[0]["lr"] = _RATE * rate
        rows = rng.integers(len(lesson.worth), size=min(_BATCH, len(lesson.worth)))
        memory, worth, later = (torch.tensor(part[rows], device=device) for part in lesson)
        found, predicted = network(memory)
        loss = functional.mse_loss(found, worth)
        errors.append(float(loss.detach()))
        if network.forecast == "gru":
            loss = loss + functional.mse_loss(predicted, later)
        if network.forecast != "none":
            squares.append((predicted.detach() - later).square().mean(0))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    if squares:
        network.residual.copy_(torch.stack(squares[-_LAST:]).mean(0))
    return float(np.mean(errors[-_LAST:])) if errors else float("nan")


_LAST = 100


# -- demonstrations -------------------------------------------------------------------------------


class Demonstrations(NamedTuple):
    """Slots out of episodes as one who knew the paths decided them, B of each."""

    observations: NDArray[np.float32]
    memory: Tensor  # (B, M, N, W), before the slot
    assignment: NDArray[np.int64]


def hindsight_demonstrations(
    scenario: Scenario,
    paths: Sequence[Episode],
    count: int,
    rng: np.random.Generator,
    *,
    observation: str = "flat",
) -> Demonstrations:
    """Return slots of episodes with the decisions of the clairvoyant plan: Algorithm 2, line 1."""
    plan = hindsight(scenario, paths).assignment  # (E, T, N)
    cycles = np.stack([one.cycles for one in paths])
    hosts = hosts_before(plan, cycles, np.zeros_like(plan[:, 0]))
    slots = len(paths) * paths[0].n_slots
    chosen = rng.choice(slots, count, replace=count > slots)
    episode, time = np.divmod(chosen, paths[0].n_slots)
    gains = np.stack([one.seen_gains for one in paths])
    bits = np.stack([one.data_bits for one in paths])
    parts = (part[episode, time] for part in (gains, bits, cycles, hosts))
    coded = ObservationCoder(scenario, observation).encode(Slot.trusted(*parts))
    memory = torch.tensor(memories(paths)[time, episode])
    before = torch.cat([torch.full_like(memory[..., :1], torch.nan), memory[..., :-1]], dim=-1)
    return Demonstrations(coded, before, plan[episode, time])
