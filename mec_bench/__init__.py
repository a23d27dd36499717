"""Train any algorithm, measure it on frozen slots, compare the results.

What reads, compares and shows results does without torch; only what trains and measures needs it,
when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mec_bench.report.report import leaderboard, write_report
from mec_bench.report.text import as_text
from mec_bench.results.files import (
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
from mec_bench.statistics.aggregation import aggregate
from mec_bench.statistics.comparison import compare

if TYPE_CHECKING:
    from mec_bench.algorithms import Algorithm, algorithm, names, rule_names
    from mec_bench.conformance.check import AlgorithmReport, check_algorithm
    from mec_bench.running.evaluating import evaluate_again
    from mec_bench.running.folder import RunFolder, Status
    from mec_bench.running.training import train
    from mec_bench.settings import Settings

_LATER = {
    "Algorithm": "algorithms",
    "AlgorithmReport": "conformance.check",
    "RunFolder": "running.folder",
    "Settings": "settings",
    "Status": "running.folder",
    "algorithm": "algorithms",
    "check_algorithm": "conformance.check",
    "evaluate_again": "running.evaluating",
    "names": "algorithms",
    "rule_names": "algorithms",
    "train": "running.training",
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
        return getattr(importlib.import_module(f"experiments.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
