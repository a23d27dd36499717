"""Checks of plain JSON values, each naming the key, what is required and what came."""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mec_gym.files import write_whole

Grid = tuple[tuple[float, ...], ...]
"""One number per slot: layouts, each with its slots."""


def shown(value: Any) -> str:
    """Return a value as a message shows it, cut where it is long.

    Parameters
    ----------
    value : object
        Whatever came.

    Returns
    -------
    str

    Examples
    --------
    >>> shown("a")
    "'a'"
    """
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def real(key: str, value: Any, *, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number as a float.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : float or int
        Not a bool, not NaN.
    low, high : float
        What it may be at least and at most.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> real("gap", 0, low=0)
    0.0
    """
    good = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        good = good and math.isfinite(value) and low <= value <= high
    except OverflowError:  # a whole number beyond every float
        good = False
    if not good:
        between = "" if (low, high) == (-math.inf, math.inf) else f" in [{low:g}, {high:g}]"
        raise ValueError(f"{key} must be a finite number{between}; got {shown(value)}.")
    return float(value)


def whole(key: str, value: Any, *, low: int = 0) -> int:
    """Return a whole number.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : int
        Not a bool, not a float.
    low : int
        What it may be at least.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> whole("layouts", 40, low=1)
    40
    """
    good = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not (good and value >= low):
        raise ValueError(f"{key} must be a whole number >= {low}; got {shown(value)}.")
    return int(value)


def text(key: str, value: Any) -> str:
    """Return text of one line that is not empty.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : str
        Printable, and not spaces alone: it stands in tables.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> text("label", "DIRS")
    'DIRS'
    """
    if not (isinstance(value, str) and value.strip() and value.isprintable()):
        raise ValueError(f"{key} must be printable text, not empty; got {shown(value)}.")
    return value


def flag(key: str, value: Any) -> bool:
    """Return true or false.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : bool
        Neither 0 nor 1.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> flag("learns", True)
    True
    """
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false; got {shown(value)}.")
    return value


def plain(key: str, value: Any) -> Any:
    """Return a value as JSON gives it back: tuples become lists, numbers stay.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : None, bool, int, float, str, list, tuple or mapping of text to such
        Settings.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        For anything else, NaN and infinity included, naming the place.

    Examples
    --------
    >>> plain("arguments", {"net_arch": (64, 64)})
    {'net_arch': [64, 64]}
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(f"{key}[{index}]", one) for index, one in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: plain(f"{key}.{name}", one) for name, one in value.items()}
    raise ValueError(
        f"{key} must be plain JSON (null, true, false, finite numbers, text, lists, "
        f"objects with text as keys); got {shown(value)}."
    )


def mapping(key: str, value: Any) -> dict[str, Any]:
    """Return a JSON object.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : mapping of str to plain JSON
        See :func:`plain`.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> mapping("arguments", {})
    {}
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{key} must be an object; got {shown(value)}.")
    return dict(plain(key, value))


def grid(key: str, value: Any, *, low: float = -math.inf) -> Grid:
    """Return one number per slot: a list of layouts, each a list of as many slots.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : sequence of sequences of float
        Lists, tuples or an array; every layout has as many slots, at least one.
    low : float
        What a number may be at least.

    Returns
    -------
    tuple of tuple of float

    Raises
    ------
    ValueError
        For anything else, naming the layout, and the slot where it is one number's fault.

    Examples
    --------
    >>> grid("slots.nrr", [[1, 0.5]])
    ((1.0, 0.5),)
    """
    rows = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(rows, (list, tuple)) or not rows:
        raise ValueError(f"{key} must be a list of layouts, not empty; got {shown(value)}.")
    for index, row in enumerate(rows):
        if not isinstance(row, (list, tuple)) or not row:
            raise ValueError(
                f"{key}[{index}] must be a list of slots, not empty; got {shown(row)}."
            )
        if len(row) != len(rows[0]):
            raise ValueError(
                f"{key} must have as many slots in every layout; layout 0 has {len(rows[0])}, "
                f"layout {index} has {len(row)}."
            )
    return tuple(
        tuple(real(f"{key}[{i}][{j}]", one, low=low) for j, one in enumerate(row))
        for i, row in enumerate(rows)
    )


def require_keys(name: str, given: Any, keys: Iterable[str]) -> None:
    """Refuse anything but an object with exactly these keys.

    Parameters
    ----------
    name : str
        What the record calls the object.
    given : object
        What came.
    keys : iterable of str
        The keys that it must have.

    Raises
    ------
    ValueError
        If it is no object, lacks a key or has one too many.

    Examples
    --------
    >>> require_keys("seconds", {"training": 1.0, "measuring": 1.0}, ["training", "measuring"])
    """
    keys = list(keys)
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} must be an object with {', '.join(keys)}; got {shown(given)}.")
    missing = [key for key in keys if key not in given]
    unknown = [key for key in given if key not in keys]
    if missing or unknown:
        faults = [f"lacks {', '.join(missing)}"] * bool(missing)
        faults += [f"has unknown {', '.join(map(str, unknown))}"] * bool(unknown)
        raise ValueError(
            f"{name} must have exactly the keys {', '.join(keys)}; it {' and '.join(faults)}."
        )


def replace(record: Any, **values: Any) -> None:
    """Set fields of a frozen dataclass while it is being made.

    Parameters
    ----------
    record : dataclass instance
        In its ``__post_init__``.
    **values : object
        By field.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> one = SimpleNamespace(gap=0)
    >>> replace(one, gap=0.0)
    >>> one.gap
    0.0
    """
    for name, value in values.items():
        object.__setattr__(record, name, value)


ROUNDING = 1e-9
"""By how much an NRR may exceed 1: both of its parts are rounded, each to about 1e-16, after
sums over up to thousands of devices."""


@dataclass(frozen=True)
class Evaluation:
    """Which frozen slots a policy was measured on.

    Attributes
    ----------
    set : str
        Name and version of the set, e.g. "v1".
    layouts, slots_per_layout : int
        How many.
    seed : int
        Of the set.
    own_layout : bool
        Whether every layout is the scenario's own map.
    gap : float, [1]
        Largest relative gap between the solver's decision and its bound.

    Examples
    --------
    >>> Evaluation("v1", layouts=40, slots_per_layout=5, seed=1, own_layout=True, gap=0).gap
    0.0
    """

    set: str
    layouts: int
    slots_per_layout: int
    seed: int
    own_layout: bool
    gap: float

    def __post_init__(self) -> None:
        text("evaluation.set", self.set)
        replace(
            self,
            layouts=whole("evaluation.layouts", self.layouts, low=1),
            slots_per_layout=whole("evaluation.slots_per_layout", self.slots_per_layout, low=1),
            seed=whole("evaluation.seed", self.seed),
            own_layout=flag("evaluation.own_layout", self.own_layout),
            gap=real("evaluation.gap", self.gap, low=0),
        )


@dataclass(frozen=True)
class Slots:
    """Every figure of every slot: layouts, each with its slots.

    Attributes
    ----------
    nrr : tuple of tuple of float, [1]
        ``lower_bound / objective``, in (0, 1].
    objective : tuple of tuple of float, [1]
        What the policy's decision costs.
    latency_s, energy_j : tuple of tuple of float, [s], [J]
        Sums over the devices.
    lower_bound : tuple of tuple of float, [1]
        What no decision undercuts; the optimum where the solver is exact.

    Examples
    --------
    >>> Slots(((0.5,),), ((4.0,),), ((1.0,),), ((3.0,),), ((2.0,),)).objective
    ((4.0,),)
    """

    nrr: Grid
    objective: Grid
    latency_s: Grid
    energy_j: Grid
    lower_bound: Grid

    @classmethod
    def of(
        cls,
        *,
        objective: ArrayLike,
        latency_s: ArrayLike,
        energy_j: ArrayLike,
        lower_bound: ArrayLike,
    ) -> Slots:
        """Return the figures of measured slots, with their NRR.

        Parameters
        ----------
        objective, latency_s, energy_j, lower_bound : array_like, shape (layouts, slots)
            As the attributes.

        Returns
        -------
        Slots

        Examples
        --------
        >>> Slots.of(objective=[[4]], latency_s=[[1]], energy_j=[[3]], lower_bound=[[2]]).nrr
        ((0.5,),)
        """
        nrr = np.asarray(lower_bound, dtype=np.float64) / np.asarray(objective, dtype=np.float64)
        given = (objective, latency_s, energy_j, lower_bound)
        return cls(nrr.tolist(), *(np.asarray(one, np.float64).tolist() for one in given))

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            key = f"slots.{field.name}"
            replace(self, **{field.name: grid(key, getattr(self, field.name), low=0)})
        for field in dataclasses.fields(self):
            shape, first = np.shape(getattr(self, field.name)), np.shape(self.nrr)
            if shape != first:
                raise ValueError(
                    f"slots.{field.name} must have as many layouts and slots as slots.nrr, "
                    f"{first}; got {shape}."
                )
        self._require_ratio()

    def _require_ratio(self) -> None:
        """Refuse an NRR that is not what it is defined to be."""
        nrr, objective, bound = map(np.asarray, (self.nrr, self.objective, self.lower_bound))
        outside = ~((nrr > 0) & (nrr <= 1 + ROUNDING))
        wrong = ~(np.abs(nrr * objective - bound) <= 1e-6 * bound)
        for bad, required in (
            (outside, "lie in (0, 1]"),
            (wrong, "be lower_bound / objective (to 1e-6)"),
        ):
            if bad.any():
                i, j = map(int, np.argwhere(bad)[0])
                raise ValueError(
                    f"slots.nrr[{i}][{j}] must {required}; got {nrr[i, j]:.17g} with "
                    f"lower_bound {bound[i, j]:.17g} and objective {objective[i, j]:.17g}."
                )


@dataclass(frozen=True)
class DecisionTime:
    """How long one slot's decision takes.

    Attributes
    ----------
    single, batched : float, [ms]
        Slot by slot, and per slot of a batch.

    Examples
    --------
    >>> DecisionTime(single=1, batched=0.1).single
    1.0
    """

    single: float
    batched: float

    def __post_init__(self) -> None:
        replace(
            self,
            single=real("decision_ms.single", self.single, low=0),
            batched=real("decision_ms.batched", self.batched, low=0),
        )


@dataclass(frozen=True)
class CurvePoint:
    """What the policy reached during training.

    Attributes
    ----------
    timesteps : int
        Slots trained on so far.
    seconds : float, [s]
        Of training so far, without measuring.
    nrr : float, [1]
        Mean, in (0, 1].

    Examples
    --------
    >>> CurvePoint(timesteps=100, seconds=2, nrr=0.5).seconds
    2.0
    """

    timesteps: int
    seconds: float
    nrr: float

    def __post_init__(self) -> None:
        replace(
            self,
            timesteps=whole("timesteps", self.timesteps),
            seconds=real("seconds", self.seconds, low=0),
            nrr=real("nrr", self.nrr, low=0, high=1 + ROUNDING),
        )


@dataclass(frozen=True)
class Seconds:
    """How long the run took.

    Attributes
    ----------
    training : float or None, [s]
        Wall time; None where nobody knows, as of a model that came as a file.
    measuring : float, [s]
        Wall time.

    Examples
    --------
    >>> Seconds(training=10, measuring=2).training
    10.0
    """

    training: float | None
    measuring: float

    def __post_init__(self) -> None:
        replace(
            self,
            training=None
            if self.training is None
            else real("seconds.training", self.training, low=0),
            measuring=real("seconds.measuring", self.measuring, low=0),
        )


@dataclass(frozen=True)
class System:
    """What it ran on.

    Attributes
    ----------
    versions : mapping of str to str
        Of Python and of the packages that matter.
    commit : str or None
        Of the repository; None outside of one.
    modified : bool or None
        Whether files differed from that commit; None without a commit.
    processor : str
        Its name.
    cores, threads : int
        Cores of the machine, and threads that the process may use.

    Examples
    --------
    >>> System({"numpy": "2"}, "a1b2", False, "some processor", cores=8, threads=1).cores
    8
    """

    versions: Mapping[str, str]
    commit: str | None
    modified: bool | None
    processor: str
    cores: int
    threads: int

    def __post_init__(self) -> None:
        versions = mapping("system.versions", self.versions)
        for name, version in versions.items():
            text(f"system.versions.{name}", version)
        text("system.processor", self.processor)
        if self.commit is not None:
            text("system.commit", self.commit)
            flag("system.modified", self.modified)
        elif self.modified is not None:
            raise ValueError(
                f"system.modified must be null without a commit; got {shown(self.modified)}."
            )
        replace(
            self,
            versions=versions,
            cores=whole("system.cores", self.cores, low=1),
            threads=whole("system.threads", self.threads, low=1),
        )


@dataclass(frozen=True)
class Result:
    """What one policy reached: the record of ``result.json``.

    Whatever is constructed is valid, is written as it is and read back equal.

    Attributes
    ----------
    algorithm : str
        The name as given, e.g. "dirs:prices".
    label : str
        Shown in tables; results of equal label, scenario and timesteps differ by seed only.
    learns : bool
        Whether training changes it. A rule does not learn.
    scenario : str
        The name shown.
    scenario_json : mapping
        The whole scenario; its JSON text is taken, too.
    seed : int or None
        Of training; None for a rule that has none.
    timesteps : int
        Of training; 0 for a rule.
    arguments : mapping
        Of the constructor, as given.
    evaluation : Evaluation
        Which slots.
    slots : Slots
        Every figure of every slot.
    decision_ms : DecisionTime
        Per slot.
    curve : tuple of CurvePoint
        During training, timesteps rising; may be empty.
    seconds : Seconds
        Wall time.
    system : System
        What it ran on.
    notes : tuple of str
        What a reader of its figures should know, one sentence each: that it was hardly trained.

    Raises
    ------
    ValueError
        For a value that is not what its key requires: names the key, the requirement and what
        came.

    Examples
    --------
    >>> EXAMPLE.slots.nrr
    ((0.5, 1.0),)
    """

    algorithm: str
    label: str
    learns: bool
    scenario: str
    scenario_json: Mapping[str, Any]
    seed: int | None
    timesteps: int
    arguments: Mapping[str, Any]
    evaluation: Evaluation
    slots: Slots
    decision_ms: DecisionTime
    curve: Sequence[CurvePoint]
    seconds: Seconds
    system: System
    notes: Sequence[str]

    def __post_init__(self) -> None:
        for key in ("algorithm", "label", "scenario"):
            text(key, getattr(self, key))
        flag("learns", self.learns)
        if self.seed is None and self.learns:
            raise ValueError("seed must be a whole number >= 0 where learns is true; got None.")
        scenario = self.scenario_json
        replace(
            self,
            scenario_json=mapping(
                "scenario_json", json.loads(scenario) if isinstance(scenario, str) else scenario
            ),
            seed=None if self.seed is None else whole("seed", self.seed),
            timesteps=whole("timesteps", self.timesteps),
            arguments=mapping("arguments", self.arguments),
            curve=tuple(self.curve),
            notes=_notes(self.notes),
        )
        for key, kind in PARTS.items():
            if not isinstance(getattr(self, key), kind):
                raise ValueError(
                    f"{key} must be a {kind.__name__}; got {shown(getattr(self, key))}."
                )
        self._require_shape()
        self._require_order()

    def _require_shape(self) -> None:
        shape = (self.evaluation.layouts, self.evaluation.slots_per_layout)
        if np.shape(self.slots.nrr) != shape:
            raise ValueError(
                f"slots must have evaluation.layouts x evaluation.slots_per_layout, {shape}, "
                f"numbers per figure; got {np.shape(self.slots.nrr)}."
            )

    def _require_order(self) -> None:
        for before, after in zip(self.curve, self.curve[1:], strict=False):
            if after.timesteps <= before.timesteps or after.seconds < before.seconds:
                raise ValueError(
                    "curve must rise in timesteps and not fall in seconds; got "
                    f"{shown(before)} before {shown(after)}."
                )


def _notes(given: Any) -> tuple[str, ...]:
    if not isinstance(given, (list, tuple)):
        raise ValueError(f"notes must be a list of text; got {shown(given)}.")
    return tuple(text(f"notes[{index}]", one) for index, one in enumerate(given))


PARTS: Mapping[str, type] = {
    "evaluation": Evaluation,
    "slots": Slots,
    "decision_ms": DecisionTime,
    "seconds": Seconds,
    "system": System,
}
"""The keys of a record that are objects of fixed keys."""

EXAMPLE = Result(
    algorithm="local",
    label="all local",
    learns=False,
    scenario="two devices",
    scenario_json={"n_devices": 2, "n_servers": 1},
    seed=None,
    timesteps=0,
    arguments={},
    evaluation=Evaluation("v1", layouts=1, slots_per_layout=2, seed=1, own_layout=True, gap=0),
    slots=Slots.of(objective=[[2, 1]], latency_s=[[1, 1]], energy_j=[[1, 0]], lower_bound=[[1, 1]]),
    decision_ms=DecisionTime(single=0.1, batched=0.01),
    curve=(),
    seconds=Seconds(training=0, measuring=1),
    system=System({"numpy": "2"}, None, None, "a processor", cores=1, threads=1),
    notes=(),
)
"""The smallest record, for examples."""


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
    ValueError: result file ...results.py is not valid JSON: ...
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
