"""Result files: strict JSON, one record each; tables and pages are made of nothing else."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mec_bench.results.fields import require_keys, shown
from mec_bench.results.measured import Evaluation, Slots
from mec_bench.results.record import (
    EXAMPLE,
    PARTS,
    CurvePoint,
    DecisionTime,
    Result,
    Seconds,
    System,
)
from mec_bench.writing import write_whole

__all__ = [
    "EXAMPLE",
    "CurvePoint",
    "DecisionTime",
    "Evaluation",
    "Found",
    "Problem",
    "Result",
    "Seconds",
    "Slots",
    "System",
    "read_result",
    "read_results",
    "write_result",
]

FORMAT = "mec-gym/result"
VERSION = 2
LATER: Mapping[int, Mapping[str, Any]] = {1: {"notes": []}, VERSION: {}}
"""By version of a file, what later ones brought, with what it then was."""
FILE_NAME = "result.json"


@dataclass(frozen=True)
class Problem:
    """Why a file gave no result.

    Attributes
    ----------
    file : str
        Its path, or the folder's.
    reason : str
        A sentence.

    Examples
    --------
    >>> Problem("runs/a/result.json", "is not valid JSON").file
    'runs/a/result.json'
    """

    file: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What folders hold.

    Attributes
    ----------
    results : tuple of Result
        The good ones, by path.
    problems : tuple of Problem
        Everything that is not among them, and why.

    Examples
    --------
    >>> Found((), ()).results
    ()
    """

    results: tuple[Result, ...]
    problems: tuple[Problem, ...]


def write_result(path: str | os.PathLike[str], result: Result) -> None:
    """Write a result, whole or not at all; a reader never sees a part of it.

    Parameters
    ----------
    path : str or path
        The file; missing folders are made. A file that is there is replaced.
    result : Result
        What to write.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_result(Path(folder) / "run" / "result.json", EXAMPLE)
    ...     read_result(Path(folder) / "run" / "result.json") == EXAMPLE
    True
    """
    write_whole(Path(path), written(result))


def written(result: Result) -> str:
    """Return a result as JSON text, one line per key.

    Parameters
    ----------
    result : Result
        What to write.

    Returns
    -------
    str

    Examples
    --------
    >>> written(EXAMPLE).splitlines()[1]
    ' "format": "mec-gym/result",'
    """
    record = {"format": FORMAT, "version": VERSION} | dataclasses.asdict(result)
    # Python writes the shortest digits that give the same double back.
    lines = [f' "{key}": {json.dumps(value, allow_nan=False)}' for key, value in record.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_result(path: str | os.PathLike[str]) -> Result:
    """Read a result, strictly: what is not exactly a record is refused.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    Result
        Equal to what was written, bit for bit.

    Raises
    ------
    ValueError
        Names the file, the key, what is required and what came.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> read_result(__file__)
    Traceback (most recent call last):
    ValueError: result file ...files.py is not valid JSON: ...
    """
    where = f"result file {os.fspath(path)}"
    try:
        # JSONDecodeError and UnicodeDecodeError are ValueErrors, a repeated key is, too.
        text = Path(path).read_text(encoding="utf-8")
        record = json.loads(text, object_pairs_hook=_without_repetition)
    except RecursionError:
        raise ValueError(f"{where} is not valid JSON: nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"{where} is not valid JSON: {error}") from None
    try:
        return _result(record)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"{', '.join(twice)} stands there more than once.")
    return values


def _result(record: Any) -> Result:
    """Return the result that plain JSON describes."""
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        came = record.get("format") if isinstance(record, dict) else record
        raise ValueError(f"format must be {FORMAT!r}; got {shown(came)}.")
    version = record.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version not in LATER:
        raise ValueError(
            f"version must be {' or '.join(map(str, LATER))}, which this release reads; got "
            f"{shown(version)}. Read it with the release that wrote it, or with a later one."
        )
    later = LATER[version]
    keys = [key for key in _names(Result) if key not in later]
    require_keys("the record", record, ["format", "version", *keys])
    values = {key: record[key] for key in keys} | dict(later)
    if not isinstance(values["scenario_json"], dict):
        raise ValueError(f"scenario_json must be an object; got {shown(values['scenario_json'])}.")
    for key, kind in PARTS.items():
        require_keys(key, values[key], _names(kind))
        values[key] = kind(**values[key])
    return Result(**values | {"curve": _curve(values["curve"])})


def _curve(points: Any) -> list[CurvePoint]:
    if not isinstance(points, list):
        raise ValueError(f"curve must be a list; got {shown(points)}.")
    curve = []
    for index, point in enumerate(points):
        require_keys(f"curve[{index}]", point, _names(CurvePoint))
        try:
            curve.append(CurvePoint(**point))
        except ValueError as error:
            raise ValueError(f"curve[{index}].{error}") from None
    return curve


def _names(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def read_results(folders: Iterable[str | os.PathLike[str]]) -> Found:
    """Read every ``result.json`` below some folders.

    Parameters
    ----------
    folders : iterable of str or path
        Searched at every depth; one may be a file itself. A file that is found twice counts once.

    Returns
    -------
    Found
        Nothing is left out in silence: a file that cannot be read, a folder without any, a second
        result of the same label, scenario, slots, timesteps and seed, and one that shares all these
        but the seed and has other arguments are problems.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     read_results([folder]).problems[0].reason
    'holds no result.json.'
    """
    files: dict[Path, Path] = {}
    problems = []
    for folder in map(Path, folders):
        if not folder.exists():
            raise FileNotFoundError(f"there is no folder {str(folder)!r} to read results from.")
        below = [folder] if folder.is_file() else sorted(folder.rglob(FILE_NAME))
        if not below:
            problems.append(Problem(str(folder), f"holds no {FILE_NAME}."))
        for file in below:
            files.setdefault(file.resolve(), file)
    results: dict[Any, tuple[Path, Result]] = {}
    kinds: dict[Any, tuple[Path, Any]] = {}
    for file in files.values():
        try:
            result = read_result(file)
        except (OSError, ValueError) as error:
            reason = str(error).removeprefix(f"result file {file}").removeprefix(":").strip()
            problems.append(Problem(str(file), reason))
            continue
        alike, arguments = kinds.setdefault(_identity(result)[:-1], (file, result.arguments))
        if result.arguments != arguments:
            problems.append(Problem(str(file), _unlike(alike)))
            continue
        first, _ = results.setdefault(_identity(result), (file, result))
        if first is not file:
            problems.append(Problem(str(file), _twice(first)))
    return Found(tuple(result for _, result in results.values()), tuple(problems))


def _identity(result: Result) -> Any:
    """Return what no two results may share."""
    asked = dataclasses.replace(result.evaluation, gap=0.0)
    scenario = json.dumps(result.scenario_json, sort_keys=True)
    return (result.label, result.scenario, scenario, asked, result.timesteps, result.seed)


def _unlike(first: Path) -> str:
    return (
        f"has the label, scenario, slots and timesteps of {first}, but other arguments: it is no "
        "other seed of the same; give it another label."
    )


def _twice(first: Path) -> str:
    return (
        f"has the label, scenario, slots, timesteps and seed of {first}, which was read instead; "
        "give one of them another label or remove it."
    )
