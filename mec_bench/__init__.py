"""Train any algorithm, measure it on frozen slots, compare the results.

Names are loaded when they are first used: reading, comparing and showing results does without
torch, and ``mec-gym --help`` without any heavy library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mec_bench.check import AlgorithmReport, check_algorithm
    from mec_bench.comparing import aggregate, compare
    from mec_bench.evaluating import evaluate_again
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
    from mec_bench.training import train

_LATER = {
    "Algorithm": "registry",
    "AlgorithmReport": "check",
    "CurvePoint": "results",
    "DecisionTime": "results",
    "Evaluation": "results",
    "Found": "results",
    "Problem": "results",
    "Result": "results",
    "RunFolder": "run",
    "Seconds": "results",
    "Settings": "run",
    "Slots": "results",
    "Status": "run",
    "System": "results",
    "aggregate": "comparing",
    "algorithm": "registry",
    "as_text": "tables",
    "check_algorithm": "check",
    "compare": "comparing",
    "evaluate_again": "evaluating",
    "leaderboard": "report",
    "names": "registry",
    "read_result": "results",
    "read_results": "results",
    "rule_names": "registry",
    "train": "training",
    "write_report": "report",
    "write_result": "results",
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
