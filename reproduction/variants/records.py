"""What runs reached: the records that are kept of them, and the cells that show these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from mec_bench.statistics import half_interval
from mec_bench.tables import NONE, plus_minus

Record = dict[str, Any]
"""A run's fields with ``nrr`` by stage, ``seconds`` and ``system``, as its file has them."""

REACHED = ("nrr", "seconds")
"""What every record holds beside the run's fields; old ones have no ``system``."""


def commit_of(record: Record) -> str | None:
    """Return the commit that a run says it comes from.

    Parameters
    ----------
    record : dict
        Of a run.

    Returns
    -------
    str or None
        None where it does not say.

    Examples
    --------
    >>> commit_of({"system": {"commit": "a1b2c3d"}}), commit_of({})
    ('a1b2c3d', None)
    """
    commit: str | None = record.get("system", {}).get("commit")
    return commit


def chosen(
    records: Sequence[Record], preset: str, variant: str, *, table: str = "main"
) -> list[Record]:
    """Return the records of a variant on a scenario, one for each seed.

    Parameters
    ----------
    records : sequence of dict
        Of all runs.
    preset, variant, table : str
        As in :class:`~reproduction.variants.runs.Run`.

    Returns
    -------
    list of dict

    Examples
    --------
    >>> run = {"table": "main", "preset": "paper-30x2", "variant": "the paper's options"}
    >>> len(chosen([run], "paper-30x2", "the paper's options"))
    1
    """
    key = (table, preset, variant)
    return [one for one in records if (one["table"], one["preset"], one["variant"]) == key]


def cell(values: Sequence[float], *, seeds: int = 0) -> str:
    """Return a cell of a table: mean ± half of the 95 % interval.

    Parameters
    ----------
    values : sequence of float
        NRR by seed.
    seeds : int
        How many there should be; a cell that rests on fewer says so.

    Returns
    -------
    str

    Examples
    --------
    >>> cell([0.9, 0.9]), cell([]), cell([0.9, 0.9], seeds=5)
    ('0.9000 ± 0', '–', '0.9000 ± 0 (2 seeds)')
    """
    if not values:
        return NONE
    few = f" ({len(values)} seeds)" if len(values) < seeds else ""
    return plus_minus(float(np.mean(values)), half_interval(values)) + few


def origins(records: Sequence[Record]) -> str:
    r"""Say how many runs come from which commit.

    Parameters
    ----------
    records : sequence of dict
        Of all runs.

    Returns
    -------
    str

    Examples
    --------
    >>> origins([{"system": {"commit": "a1b2c3d4"}}])
    '1 runs: 1 from commit a1b2c3d.\n'
    """
    counts = Counter(map(commit_of, records))
    traced = [f"{n} from commit {commit[:7]}" for commit, n in counts.items() if commit]
    missing = [f"{counts[None]} from code that they do not name"] if counts[None] else []
    several = (
        " Those of different commits agree in law, not run by run: where code rounds otherwise, "
        "training ends with other weights."
    )
    where = f"{len(records)} runs: {', '.join([*sorted(traced), *missing])}."
    return where + (several if len(counts) > 1 else "") + "\n"
