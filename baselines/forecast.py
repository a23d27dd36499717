"""Forecast: the planner that knows the model, looks some slots ahead, then decides the slot.

Devices go on at their last velocity and turn back at the area's border; what shadowing and fading
add to a gain falls back to its mean as [D-3] and [D-4] say. On the path that this predicts the
dynamic program of the hindsight bound, [H-2], finds V_j, what is still to pay with a service at
server j, and the decision is the slot's best where choice j costs V_j more, and μ where it moves:
model predictive control by certainty equivalence. Where decisions see old gains it predicts the
present ones, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import spence

from baselines.moving import Assignment, Memory, Place
from baselines.tolls import Floats, tolls
from mec_gym import Scenario, Slot
from mec_gym.fields import TASKS
from mec_gym.hindsight import Coupled
from mec_gym.model.channel import path_gain
from mec_gym.model.cost import NO_TASK
from mec_gym.model.layout import Layout
from mec_gym.model.motion import reflected
from mec_gym.optimum import with_toll
from mec_gym.validation import LARGEST, SMALLEST, require_integer

STEPS = 4
"""Steps of the prices on the path ahead; more change the decisions' cost by 0.1 % at most."""

HORIZONS = (4, 6, 8, 12, 16)
"""Horizons [slots] that tuning tries."""

FADING_MEAN, FADING_VARIANCE = -float(np.euler_gamma), np.pi**2 / 6.0
"""Of the logarithm of a unit-mean exponential power, l_ij of eq. (3)."""


def gains_say_positions(scenario: Scenario) -> bool:
    """Return whether seen gains depend on present distances alone."""
    blurred = scenario.fading != "none" or scenario.shadowing_db or scenario.csi_delay_slots
    return not blurred


@dataclass(frozen=True)
class Forecast:
    """Decide by what hosts are worth on the path that the model predicts; see the module.

    Attributes
    ----------
    horizon : int, [slots]
        How far it looks ahead; 0: not at all, μ is all that counts.

    Examples
    --------
    >>> from mec_gym.evaluation import episode_set, hindsight_ratio
    >>> from baselines.moving import Acting
    >>> episodes = episode_set(Scenario.preset("crowd-30x4"), n_episodes=2, n_slots=20)
    >>> near, far = (hindsight_ratio(episodes, Acting(Forecast(slots))) for slots in (1, 8))
    >>> bool((near < far).all())
    True
    """

    horizon: int = 8

    def __post_init__(self) -> None:
        require_integer("horizon", self.horizon, 0)

    def step(
        self, scenario: Scenario, slot: Slot, layout: Place, memory: Memory = None
    ) -> tuple[Assignment, Floats]:
        """Return decisions (B, N), and the last positions (B, K, N, 2) [m], the oldest first."""
        assert layout is not None
        now = layout.device_positions_m
        past = np.repeat(now[:, None], max(1, scenario.csi_delay_slots), axis=1)
        if memory is not None:
            past = np.where(np.isnan(memory), past, memory)
        gains = self.expected_gains(scenario, slot.gains, layout, past)
        slot = Slot.trusted(gains[0], slot.data_bits, slot.cycles, slot.hosts)
        decision = with_toll(scenario, slot, self._tolls(scenario, slot, gains))
        return decision, np.concatenate([past[:, 1:], now[:, None]], axis=1)

    def expected_gains(
        self, scenario: Scenario, seen: Floats, layout: Layout, past: Floats
    ) -> Floats:
        """Return the gains to expect now and in the slots ahead, (H + 1, B, N, M).

        `past` are the positions (B, K, N, 2) [m] of the last slots, as old as the gains `seen`.
        """
        now, delay = layout.device_positions_m, scenario.csi_delay_slots
        way = now - past[:, -1]
        ahead = np.arange(self.horizon + 1.0)[:, None, None]
        positions, _ = reflected(now + ahead[..., None] * way, np.array(scenario.area_m))
        model = {
            "reference_gain": scenario.reference_gain,
            "min_distance_m": scenario.min_distance_m,
        }
        gains = path_gain(positions, layout.server_positions_m, **model)
        if scenario.fading == "none" and not scenario.shadowing_db:
            return gains
        then = path_gain(past[:, 0] if delay else now, layout.server_positions_m, **model)
        moved = (ahead + delay) * np.hypot(way[..., 0], way[..., 1])
        # The best linear prediction of a logarithm that is the sum of two; weak links cost as much
        # as 1 / h, so what is not known counts as it does in 1 / E[1 / h].
        shadow, fading = _variances(scenario)
        mean = FADING_MEAN if fading else 0.0
        kept = _correlation(scenario, ahead + delay, moved)[..., None]
        unknown = (shadow + fading) * (1.0 - kept**2)
        excess = mean + kept * (np.log(seen / then) - mean) - unknown / 2.0
        return np.clip(gains * np.exp(excess), SMALLEST, LARGEST)

    def _tolls(self, scenario: Scenario, slot: Slot, gains: Floats) -> Floats:
        """Return what choices of the slot lead to: μ where they move, and what is to pay later."""
        toll = tolls(scenario, slot)
        if not self.horizon or not scenario.migrates:
            return toll
        slots, (batch, n, m) = len(gains), slot.gains.shape
        there = np.repeat(slot.cycles > NO_TASK, slots, axis=0)  # who is absent stays so
        tasks = [np.where(there, scenario.mean_task(name), NO_TASK) for name in TASKS]
        path = Slot.trusted(gains.swapaxes(0, 1).reshape(-1, n, m), *tasks)
        hosts = slot.known_hosts
        problem = Coupled(scenario, path, batch, hosts)
        prices = problem.first_prices()
        for step in range(STEPS):
            _, _, prices = problem.responded(prices, step)
        later = np.moveaxis(problem.values(problem.priced(prices))[1], 0, -1)
        # Local execution leaves a service at its host.
        home = np.take_along_axis(later, hosts[..., None], axis=-1)
        return np.asarray(toll + np.concatenate([home, later[..., 1:]], axis=-1))


def _variances(scenario: Scenario) -> tuple[float, float]:
    """Return the variances of the logarithms of shadowing and fading."""
    fading = FADING_VARIANCE if scenario.fading == "rayleigh" else 0.0
    return (scenario.shadowing_db * np.log(10.0) / 10.0) ** 2, fading


def _correlation(scenario: Scenario, slots: Floats, moved_m: Floats) -> Floats:
    """Return the correlation of log gains, paths aside, over some slots and a way: (H + 1, B, N).

    That of the logarithms of two Rayleigh powers whose amplitudes have the correlation r is
    Li2(r²) / (π²/6).
    """
    shadow, fading = _variances(scenario)
    amplitude = scenario.fading_correlation ** np.asarray(slots, dtype=np.float64)
    power = np.asarray(spence(1.0 - amplitude**2)) / FADING_VARIANCE
    kept = shadow * np.exp(-moved_m / scenario.decorrelation_m) + fading * power
    return np.asarray(kept / (shadow + fading))
