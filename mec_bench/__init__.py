"""Train any algorithm, measure it on frozen slots or episodes, compare the results.

Names are loaded when they are first used: reading, comparing and showing results does without
torch, and ``mec-gym --help`` without any heavy library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mec_bench.extras import lacking

if TYPE_CHECKING:
    from mec_bench.cards import Card, pretrained, pretrained_card, pretrained_names
    from mec_bench.check import AlgorithmReport, check_algorithm
    from mec_bench.comparing import aggregate, compare
    from mec_bench.evaluating import evaluate_again
    from mec_bench.registry import Algorithm, algorithm, names, rule_names
    from mec_bench.report import leaderboard, write_report
    from mec_bench.results import (
        CurvePoint,
        DecisionTime,
        Episodes,
        EpisodesPoint,
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
    from mec_bench.searching import Trial, TriedRun
    from mec_bench.tables import as_text
    from mec_bench.training import train
    from mec_bench.tuning import Tuned, tune

_NAMES = {
    "cards": ("Card", "pretrained", "pretrained_card", "pretrained_names"),
    "check": ("AlgorithmReport", "check_algorithm"),
    "comparing": ("aggregate", "compare"),
    "evaluating": ("evaluate_again",),
    "registry": ("Algorithm", "algorithm", "names", "rule_names"),
    "report": ("leaderboard", "write_report"),
    "run": ("RunFolder", "Settings", "Status"),
    "searching": ("Trial", "TriedRun"),
    "tables": ("as_text",),
    "training": ("train",),
    "tuning": ("Tuned", "tune"),
}
"""By module; all others are of the results."""

__all__ = [
    "Algorithm",
    "AlgorithmReport",
    "Card",
    "CurvePoint",
    "DecisionTime",
    "Episodes",
    "EpisodesPoint",
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
    "Trial",
    "TriedRun",
    "Tuned",
    "aggregate",
    "algorithm",
    "as_text",
    "check_algorithm",
    "compare",
    "evaluate_again",
    "leaderboard",
    "names",
    "pretrained",
    "pretrained_card",
    "pretrained_names",
    "read_result",
    "read_results",
    "rule_names",
    "train",
    "tune",
    "write_report",
    "write_result",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = next((one for one, names in _NAMES.items() if name in names), "results")
    try:
        return getattr(importlib.import_module(f"mec_bench.{module}"), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(lacking(error) or str(error), name=error.name) from error
