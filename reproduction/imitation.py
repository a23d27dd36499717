"""Table II measured: how well agents imitate demonstrations, seen and unseen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dirs_agents import DIRS
from dirs_agents.hyperparameters import demonstration_search
from dirs_agents.labels import demonstrate, demonstration_slots
from mec_bench.registry import algorithm
from mec_bench.run import Settings
from mec_bench.training import make_env
from reproduction.jobs import rounded
from reproduction.systems import MEDIUM, scenario_of

_HELD_OUT_SEED = 77_000_000
"""Of the slots that agents are tested on; training draws seeds below 2^31 at random."""


def build(seed: int, arguments: dict[str, Any], *, timesteps: int = 0) -> DIRS:
    """Return DIRS with the paper's options in the medium system, untrained.

    Parameters
    ----------
    seed : int
        Of the run and of its map.
    arguments : dict
        Constructor arguments that differ.
    timesteps : int, [slot]
        That it will train for.

    Returns
    -------
    DIRS

    Examples
    --------
    >>> build(0, {"n_demonstrations": 8}).n_demonstrations
    8
    """
    settings = Settings(
        algorithm="dirs",
        scenario=scenario_of(MEDIUM, layout_seed=seed),
        timesteps=timesteps,
        seed=seed,
        arguments=arguments,
    )
    chosen = algorithm("dirs", arguments)
    model: DIRS = chosen.build(make_env(settings, chosen), seed=seed, device="cpu")
    return model


def imitation(
    *,
    seed: int,
    sizes: Sequence[int],
    held_out: int,
    sources: Sequence[str],
    arguments: dict[str, Any],
) -> dict[str, Any]:
    """Return the accuracies of Table II for one seed.

    Parameters
    ----------
    seed : int
        Of networks, demonstrations and map.
    sizes : sequence of int
        Numbers of demonstrations.
    held_out : int
        Further demonstrations, made in the same way, to test on.
    sources : sequence of {"levy", "optimal"}
        How demonstrations are made: by the paper's search, or by :func:`mec_gym.solve`.
    arguments : dict
        Of DIRS, where not the paper's.

    Returns
    -------
    dict
        ``rows``: per source, size and loss the training and testing accuracy of the agents' bits
        and of the vote. ``agreement``: how often two independent searches of the same slot agree
        on a bit and on a device's choice.
    """
    model = build(seed, arguments)
    observations, slots = demonstration_slots(model.scenario, held_out, _HELD_OUT_SEED + seed)
    # Where Algorithm 2's search begins: the untrained ensemble's decision.
    start, _ = model.predict(observations, deterministic=True)

    def labels(source: str, part: int) -> NDArray[np.int64]:
        rng, search = np.random.default_rng([seed, part]), demonstration_search(model)
        return demonstrate(model.scenario, slots, start, rng, source=source, search=search)

    rows = []
    for source in sources:
        wanted = labels(source, 0)
        for size in sizes:
            for loss, l2_weight in (("L1", model.l2_weight), ("LD", 0.0)):
                chosen = {"demonstrations": source, "n_demonstrations": size}
                taught = build(seed, {**arguments, **chosen, "l2_weight": l2_weight}).learn(0)
                found = _seen_and_unseen(taught, observations, wanted)
                rows.append({"source": source, "demonstrations": size, "loss": loss, **found})
    return {"rows": rows, "agreement": _agreement(model, labels("levy", 0), labels("levy", 1))}


def _seen_and_unseen(
    taught: DIRS, observations: NDArray[np.float32], wanted: NDArray[np.int64]
) -> dict[str, dict[str, float]]:
    pairs = taught.replay_buffer.get_state()
    seen = accuracies(taught, pairs["observations"], pairs["assignments"].astype(np.int64))
    return {"training": seen, "testing": accuracies(taught, observations, wanted)}


def _agreement(
    model: DIRS, labels: NDArray[np.int64], again: NDArray[np.int64]
) -> dict[str, float]:
    servers = model.scenario.n_servers
    return {
        "bits": rounded(float((_bits(labels, servers) == _bits(again, servers)).mean())),
        "vote": rounded(float((labels == again).mean())),
    }


def accuracies(
    model: DIRS, observations: NDArray[np.float32], assignments: NDArray[np.int64]
) -> dict[str, float]:
    """Return the share of right answers.

    Parameters
    ----------
    model : DIRS
        With any voting policy.
    observations : ndarray, shape (K, N, ...)
        What the agents see.
    assignments : ndarray, shape (K, N), int64
        What they should decide.

    Returns
    -------
    dict
        ``bits``: over agents and devices, whether the agent claims the device (score >= 0.5)
        exactly if the demonstration gives it to the agent's server. ``vote``: over devices,
        whether the vote is the demonstration's choice.

    Examples
    --------
    >>> import numpy as np
    >>> model = build(0, {})
    >>> seen = np.zeros((1, 30, 2), dtype=np.float32)
    >>> accuracies(model, seen, model.predict(seen)[0])["vote"]
    1.0
    """
    with torch.inference_mode():
        columns = model.policy.columns(torch.as_tensor(observations))
        decisions, scores = model.policy.decide(columns)
    claims = scores.cpu().numpy() >= 0.5
    return {
        "bits": rounded(float((claims == _bits(assignments, claims.shape[1])).mean())),
        "vote": rounded(float((decisions.cpu().numpy() == assignments).mean())),
    }


def _bits(assignments: NDArray[np.int64], n_servers: int) -> NDArray[np.bool_]:
    """Return a_ij, shape (K, M, N)."""
    return np.asarray(assignments[:, None] == np.arange(1, n_servers + 1)[:, None])
