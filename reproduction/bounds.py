r"""What no allocation, channel or policy can undercut: the checks of the paper's printed numbers.

Both bounds take the transmission as free, so they hold for every data size, gain and bandwidth.
Tasks, devices and their speed are equal, as in Table I.

Notes
-----
A server of speed F_j computes k tasks of F cycles at equal shares in k² F/F_j seconds altogether;
no other shares take less (Cauchy-Schwarz). Over all servers, K tasks take at least K² F / Σ F_j.
"""

from __future__ import annotations

import numpy as np

from mec_gym import Scenario


def free_transmission_bound(scenario: Scenario) -> float:
    """Return the least objective if transmission cost nothing.

    Parameters
    ----------
    scenario : Scenario
        With equal tasks and devices.

    Returns
    -------
    float, [1]
        The N cheapest of N local executions and of the servers' places, the k-th of which costs
        φ_T F (2k − 1)/F_j.

    Raises
    ------
    ValueError
        If tasks or devices differ.

    Examples
    --------
    >>> free_transmission_bound(Scenario.preset("paper-200x10"))
    300.0
    """
    _require_equal(scenario)
    n = scenario.n_devices
    latency, energy = _local(scenario)
    weights = scenario.per_device("weight_latency")[0], scenario.per_device("weight_energy")[0]
    local = np.full(n, weights[0] * latency + weights[1] * energy)
    places = 2 * np.arange(1, n + 1) - 1
    work = weights[0] * scenario.per_device("cycles")[0]
    servers = work * places[:, None] / scenario.server_frequencies_hz
    return float(np.sort(np.concatenate([local, servers.ravel()]))[:n].sum())


def least_time(scenario: Scenario, energy_j: float) -> float:
    r"""Return the least mean latency of any policy that spends so much energy on the average.

    Parameters
    ----------
    scenario : Scenario
        With equal tasks and devices.
    energy_j : float, [J]
        Mean over slots, sum over devices.

    Returns
    -------
    float, [s]
        With energy E at most x = E/E_local devices execute locally, and the other N − x take
        (N − x)² F / Σ F_j at least. The bound is convex in x, so it holds for means over slots
        (Jensen), whatever the weights.

    Raises
    ------
    ValueError
        If tasks or devices differ.

    Examples
    --------
    >>> round(least_time(Scenario.preset("paper-200x10"), 40.0), 1)
    296.0
    """
    _require_equal(scenario)
    n = scenario.n_devices
    latency, energy = _local(scenario)
    per_square = scenario.per_device("cycles")[0] / scenario.server_frequencies_hz.sum()
    best = n - latency / (2 * per_square)  # where one device more at home saves nothing
    local = max(min(energy_j / energy, float(n), best), 0.0)
    return float(local * latency + (n - local) ** 2 * per_square)


def _local(scenario: Scenario) -> tuple[float, float]:
    """Return latency and energy of one local execution."""
    latency = scenario.per_device("cycles")[0] / scenario.per_device("local_frequency_hz")[0]
    return float(latency), float(latency * scenario.local_power_w[0])


def _require_equal(scenario: Scenario) -> None:
    for name in (
        "data_bits",
        "cycles",
        "local_frequency_hz",
        "switched_capacitance",
        "power_exponent",
        "weight_latency",
        "weight_energy",
    ):
        if not isinstance(getattr(scenario, name), float):
            raise ValueError(
                f"{name} must be the same number for every device here; got "
                f"{type(getattr(scenario, name)).__name__}."
            )
