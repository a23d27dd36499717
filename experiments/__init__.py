"""Train any algorithm, measure it on frozen slots, compare the results."""

from experiments.algorithms import Algorithm, algorithm, names, rule_names
from experiments.comparison import compare
from experiments.evaluating import evaluate_again
from experiments.record import Result
from experiments.results import read_result, read_results, write_result
from experiments.runs import RunFolder, Status
from experiments.settings import Settings
from experiments.text import as_text
from experiments.training import train

__all__ = [
    "Algorithm",
    "Result",
    "RunFolder",
    "Settings",
    "Status",
    "algorithm",
    "as_text",
    "compare",
    "evaluate_again",
    "names",
    "read_result",
    "read_results",
    "rule_names",
    "train",
    "write_result",
]
