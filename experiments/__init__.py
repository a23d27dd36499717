"""Train any algorithm, measure it on frozen slots, compare the results."""

from __future__ import annotations

from experiments.aggregation import aggregate
from experiments.comparison import compare
from experiments.report import leaderboard, write_report
from experiments.results import (
    CurvePoint,
    DecisionTime,
    Evaluation,
    Result,
    Seconds,
    Slots,
    System,
    read_result,
    read_results,
    write_result,
)

__all__ = [
    "CurvePoint",
    "DecisionTime",
    "Evaluation",
    "Result",
    "Seconds",
    "Slots",
    "System",
    "aggregate",
    "compare",
    "leaderboard",
    "read_result",
    "read_results",
    "write_report",
    "write_result",
]
