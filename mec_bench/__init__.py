"""Train any algorithm, measure it on frozen slots, compare the results.

Names, settings, folders and results do without torch; only what trains and measures needs it, when
it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mec_bench.comparing import aggregate, compare
from mec_bench.registry import Algorithm, algorithm, names, rule_names
from mec_bench.report import leaderboard, write_report
from mec_bench.results import (
    CurvePoint,
    DecisionTime,
    Evaluation,
    Found,
    Problem,
    Result,
    Seconds,
    Slots,
    System,
    read_result,
    read_results,
    write_result,
)
from mec_bench.run import RunFolder, Settings, Status
from mec_bench.tables import as_text

if TYPE_CHECKING:
    from mec_bench.check import AlgorithmReport, check_algorithm
    from mec_bench.evaluating import evaluate_again
    from mec_bench.training import train

_LATER = {
    "AlgorithmReport": "check",
    "check_algorithm": "check",
    "evaluate_again": "evaluating",
    "train": "training",
}

__all__ = [
    "Algorithm",
    "AlgorithmReport",
    "CurvePoint",
    "DecisionTime",
    "Evaluation",
    "Found",
    "Problem",
    "Result",
    "RunFolder",
    "Seconds",
    "Settings",
    "Slots",
    "Status",
    "System",
    "aggregate",
    "algorithm",
    "as_text",
    "check_algorithm",
    "compare",
    "evaluate_again",
    "leaderboard",
    "names",
    "read_result",
    "read_results",
    "rule_names",
    "train",
    "write_report",
    "write_result",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"mec_bench.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
