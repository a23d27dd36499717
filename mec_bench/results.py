"""Results: one versioned record of what a policy reached, its file, and what folders hold.

A record is checked when it is made, so what is written is valid and is read back equal. Numbers,
text and flags are taken strictly (1 is no flag, "1" no number), lists and tuples as equals.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass as validated
from pydantic_core import PydanticCustomError
from typing_extensions import Self, dataclass_transform

from mec_gym.files import read_object, write_whole

# -- what a value must be, and how a message says so ---------------------------------------------

ROUNDING = 1e-9
"""By how much a score may exceed 1: both of its parts are rounded, each to about 1e-16, after
sums over up to thousands of devices."""


def is_text(value: Any) -> bool:
    """Return whether a value is text of one line that is not empty: it stands in tables."""
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _printable(text: str) -> str:
    if not is_text(text):
        raise PydanticCustomError("text", _REQUIRED["string_type"])
    return text


def plain_json(value: Any, place: str = "") -> Any:
    """Return a value as JSON gives it back (NumPy numbers as Python's), or ``ValueError``."""
    value = _native(value)
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, (list, tuple)):
        return [plain_json(one, f"{place}[{index}]") for index, one in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: plain_json(one, f"{place}.{name}") for name, one in value.items()}
    raise ValueError(
        f"{place} must be plain JSON (null, true, false, finite numbers, text, lists, "
        f"objects with text as keys); got {_shown(value)}."
    )


def _native(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True), AfterValidator(_printable)]
Whole = Annotated[int, Field(strict=True, ge=0), BeforeValidator(_native)]
Count = Annotated[int, Field(strict=True, ge=1), BeforeValidator(_native)]
Amount = Annotated[float, Field(strict=True, ge=0), BeforeValidator(_native)]
Json = Annotated[Mapping[str, Any], AfterValidator(plain_json)]
Grid = Annotated[
    tuple[Annotated[tuple[Amount, ...], Field(min_length=1)], ...], Field(min_length=1)
]
"""One number per slot: layouts, each with its slots."""
Row = Annotated[tuple[Amount, ...], Field(min_length=1)]
"""One number per episode."""

_REQUIRED = {
    "bool_type": "true or false",
    "dataclass_type": "an object",
    "dict_type": "an object",
    "finite_number": "a finite number",
    "float_type": "a finite number",
    "greater_than_equal": "at least {ge:g}",
    "int_type": "a whole number",
    "is_instance_of": "a list",
    "less_than_equal": "at most {le:g}",
    "mapping_type": "an object",
    "sequence_str": "a list",
    "string_type": "printable text, not empty",
    "too_short": "a list, not empty",
    "tuple_type": "a list",
}
"""What pydantic's errors say, by their type."""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _sentence(key: str, failed: ValidationError) -> str:
    """Return the first fault of a record: its place, what is required there, and what came."""
    faults = failed.errors(include_url=False)
    first = faults[0]
    place = _place(key, first["loc"])
    if first["type"] in ("missing", "unexpected_keyword_argument"):
        near = [one for one in faults if one["loc"][:-1] == first["loc"][:-1]]
        names = {
            kind: [str(one["loc"][-1]) for one in near if one["type"] == kind]
            for kind in ("missing", "unexpected_keyword_argument")
        }
        return _wrong_keys(_place(key, first["loc"][:-1]) or "the record", *names.values())
    if first["type"] == "value_error":  # of a check of ours, which says all but the place
        return f"{place}{first['ctx']['error']}"
    if first["type"] in _REQUIRED:
        required = _REQUIRED[first["type"]].format(**first.get("ctx", {}))
    else:
        required = first["msg"].removeprefix("Input should be ")
    return f"{place} must be {required}; got {_shown(first['input'])}."


def _place(key: str, steps: Sequence[int | str]) -> str:
    keys = [step for step in steps if step not in _KINDS]
    names = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in keys)
    return "".join([key, *names]).removeprefix(".")


def _wrong_keys(name: str, missing: Sequence[str], unknown: Sequence[str]) -> str:
    faults = [f"lacks {', '.join(missing)}"] * bool(missing)
    faults += [f"has unknown {', '.join(unknown)}"] * bool(unknown)
    return f"{name} must have exactly the keys of its version; it {' and '.join(faults)}."


def require_keys(name: str, given: Any, keys: Iterable[str]) -> None:
    """Raise ``ValueError`` for anything but an object with exactly these keys."""
    keys = list(keys)
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} must be an object with {', '.join(keys)}; got {_shown(given)}.")
    missing = [key for key in keys if key not in given]
    unknown = [str(key) for key in given if key not in keys]
    if missing or unknown:
        raise ValueError(_wrong_keys(name, missing, unknown))


# -- the record ----------------------------------------------------------------------------------

Kind = TypeVar("Kind")


@dataclass_transform(frozen_default=True)
def _record(key: str) -> Callable[[type[Kind]], type[Kind]]:
    """Make a class a frozen dataclass that checks its values; messages begin with `key`."""

    def made(cls: type[Kind]) -> type[Kind]:
        strict = ConfigDict(extra="forbid", allow_inf_nan=False)
        checked: Any = validated(frozen=True, config=strict)(cls)
        construct = checked.__init__

        @functools.wraps(construct)
        def refusing(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                construct(self, *args, **kwargs)
            except ValidationError as error:
                raise ValueError(_sentence(key, error)) from None

        checked.__init__ = refusing
        return checked  # type: ignore[no-any-return]

    return made


@dataclasses.dataclass(frozen=True)
class Measure:
    """What a policy's score is: a share of the best that is possible, of slots or of episodes.

    `key` is its name in records, JSON and tags, `title` in tables and figures, `definition` a
    sentence and `ratio` a phrase that say what it is. `sample` is what is measured, `grid` how it
    is counted, `units` what intervals are over, and `best` what scores 1.
    """

    key: str
    title: str
    definition: str
    ratio: str
    sample: str
    grid: str
    units: str
    best: str


NRR = Measure(
    key="nrr",
    title="NRR",
    definition="NRR is optimum / objective in the same slot: 1 is perfect.",
    ratio="optimum / objective",
    sample="slots",
    grid="batches × slots",
    units="batches of slots",
    best="optimum",
)
"""Of worlds whose slots are independent of each other, [E-1]."""

HINDSIGHT_RATIO = Measure(
    key="hindsight_ratio",
    title="hindsight ratio",
    definition=(
        "The hindsight ratio, of worlds that move, is a bound divided by what the policy pays for "
        "a whole episode. No plan costs less than the bound, even one that knows the episode "
        "beforehand: nobody passes 1, and without such knowledge 1 may be out of reach."
    ),
    ratio="hindsight bound / cost of an episode",
    sample="episodes",
    grid="episodes × slots",
    units="episodes",
    best="hindsight bound",
)
"""Of worlds in which slots are coupled, [E-2]."""


class _Scored:
    """A record with a score, which it names as its measure does."""

    measure: ClassVar[Measure]

    @property
    def score(self) -> Any:
        """The score, whatever it is called."""
        return getattr(self, self.measure.key)


class _Figures(_Scored):
    """All that was measured, with its score."""

    @classmethod
    def of(cls, *, objective: ArrayLike, lower_bound: ArrayLike, **others: ArrayLike) -> Self:
        """Return figures, of shape (layouts, slots) or (episodes,), with their score."""
        given = others | {"objective": objective, "lower_bound": lower_bound}
        arrays = {name: np.asarray(one, np.float64) for name, one in given.items()}
        arrays[cls.measure.key] = arrays["lower_bound"] / arrays["objective"]
        return cls(**{name: one.tolist() for name, one in arrays.items()})


@_record("evaluation")
class Evaluation:
    """Which frozen slots a policy was measured on: a version of the set, "v1", and its size.

    `own_layout` says whether every layout is the scenario's own map; `gap`, [1], is the largest
    relative gap between the solver's decision and its bound. Of a world that moves the slots of a
    layout follow each other in time: an episode.
    """

    set: Text
    layouts: Count
    slots_per_layout: Count
    seed: Whole
    own_layout: Flag
    gap: Amount


@_record("slots")
class Slots(_Figures):
    """Every figure of every slot: layouts, each with its slots.

    ``nrr = lower_bound / objective``, in (0, 1]. Latency and energy are sums over the devices. No
    decision undercuts the lower bound, the optimum where the solver is exact.

    Examples
    --------
    >>> Slots.of(objective=[[4]], latency_s=[[1]], energy_j=[[3]], lower_bound=[[2]]).nrr
    ((0.5,),)
    """

    measure: ClassVar[Measure] = NRR

    nrr: Grid
    objective: Grid
    latency_s: Grid
    energy_j: Grid
    lower_bound: Grid

    @model_validator(mode="after")
    def _consistent(self) -> Slots:
        """Refuse figures of other slots, and an NRR that is not what it is defined to be."""
        shape = (len(self.nrr), len(self.nrr[0]))
        for name in _names(Slots):
            slots = [len(layout) for layout in getattr(self, name)]
            if slots != [shape[1]] * shape[0]:
                raise ValueError(
                    f".{name} must have as many layouts as slots.nrr, each of as many slots, "
                    f"{shape}; got layouts of {_shown(slots)} slots."
                )
        _require_score(self)
        return self


@_record("slots")
class Episodes(_Figures):
    """Every figure of every episode, means per slot, of a world that moves.

    ``hindsight_ratio = lower_bound / objective``, in (0, 1]. Latency, energy and migrations, which
    the first three count, are sums over the devices. No policy undercuts the lower bound.

    Examples
    --------
    >>> Episodes.of(
    ...     objective=[4], latency_s=[1], energy_j=[3], migrations=[0.5], lower_bound=[2]
    ... ).hindsight_ratio
    (0.5,)
    """

    measure: ClassVar[Measure] = HINDSIGHT_RATIO

    hindsight_ratio: Row
    objective: Row
    latency_s: Row
    energy_j: Row
    migrations: Row
    lower_bound: Row

    @model_validator(mode="after")
    def _consistent(self) -> Episodes:
        """Refuse figures of other episodes, and a ratio that is not what it is defined to be."""
        for name in _names(Episodes):
            if len(getattr(self, name)) != len(self.hindsight_ratio):
                raise ValueError(
                    f".{name} must have as many episodes as slots.hindsight_ratio, "
                    f"{len(self.hindsight_ratio)}; got {len(getattr(self, name))}."
                )
        _require_score(self)
        return self


def _require_score(record: Any) -> None:
    """Raise ``ValueError`` unless scores lie in (0, 1] and are bound over objective."""
    score, objective, bound = map(np.asarray, (record.score, record.objective, record.lower_bound))
    outside = ~((score > 0) & (score <= 1 + ROUNDING))
    wrong = ~(np.abs(score * objective - bound) <= 1e-6 * bound)
    for bad, required in (
        (outside, "lie in (0, 1]"),
        (wrong, "be lower_bound / objective (to 1e-6)"),
    ):
        if bad.any():
            at = tuple(map(int, np.argwhere(bad)[0]))
            place = "".join(f"[{index}]" for index in at)
            raise ValueError(
                f".{record.measure.key}{place} must {required}; got {score[at]:.17g} with "
                f"lower_bound {bound[at]:.17g} and objective {objective[at]:.17g}."
            )


@_record("decision_ms")
class DecisionTime:
    """How long one slot's decision takes, slot by slot and per slot of a batch, [ms]."""

    single: Amount
    batched: Amount


Ratio = Annotated[Amount, Field(le=1 + ROUNDING)]


@_record("")
class CurvePoint(_Scored):
    """Mean NRR after so many slots and seconds of training, measuring apart."""

    measure: ClassVar[Measure] = NRR

    timesteps: Whole
    seconds: Amount
    nrr: Ratio


@_record("")
class EpisodesPoint(_Scored):
    """Mean hindsight ratio after so many slots and seconds of training, measuring apart."""

    measure: ClassVar[Measure] = HINDSIGHT_RATIO

    timesteps: Whole
    seconds: Amount
    hindsight_ratio: Ratio


_KINDS = ("of slots", "of episodes")


def _kind(value: Any) -> str:
    """Return which of two records is meant, by the name of its score."""
    key = HINDSIGHT_RATIO.key
    return _KINDS[key in value if isinstance(value, Mapping) else hasattr(value, key)]


_Measured = Annotated[
    Annotated[Slots, Tag(_KINDS[0])] | Annotated[Episodes, Tag(_KINDS[1])], Discriminator(_kind)
]
_Point = Annotated[
    Annotated[CurvePoint, Tag(_KINDS[0])] | Annotated[EpisodesPoint, Tag(_KINDS[1])],
    Discriminator(_kind),
]


def curve_point(values: Mapping[str, Any]) -> CurvePoint | EpisodesPoint:
    """Return the point of a learning curve with these fields."""
    of_episodes = _kind(values) == _KINDS[1]
    return EpisodesPoint(**values) if of_episodes else CurvePoint(**values)


@_record("seconds")
class Seconds:
    """Wall time of the run, [s]; None where nobody knows, as of a model that came as a file.

    `training_cpu` is the processor's time in the run's process, which other work on the machine
    does not lengthen; of several threads it is their sum.
    """

    training: Amount | None
    measuring: Amount
    training_cpu: Amount | None = None


@_record("system")
class System:
    """What it ran on: versions of Python and packages, commit, processor.

    `modified` says whether files differed from the commit; both are None outside a repository.
    `cores` are the machine's, `threads` those that the process may use.
    """

    versions: Annotated[Mapping[str, Text], AfterValidator(dict)]
    commit: Text | None
    modified: Flag | None
    processor: Text
    cores: Count
    threads: Count

    @model_validator(mode="after")
    def _consistent(self) -> System:
        if (self.commit is None) != (self.modified is None):
            required = "null without a commit" if self.commit is None else "true or false with one"
            raise ValueError(f".modified must be {required}; got {self.modified}.")
        return self


@_record("")
class Result:
    """What one policy reached: the record of ``result.json``.

    Whatever is constructed is valid, is written as it is and read back equal.

    Attributes
    ----------
    algorithm, label : str
        The name as given, "dirs:prices", and the one in tables; results of equal label, scenario
        and timesteps differ by seed only.
    learns : bool
        Whether training changes it. A rule does not learn.
    scenario, scenario_json : str, mapping
        The name shown, and the whole scenario.
    seed : int or None
        Of training; None for a rule that has none.
    timesteps : int, [slot]
        Of training; 0 for a rule.
    arguments : mapping
        Of the constructor, as given.
    evaluation, slots, decision_ms, curve, seconds, system
        Which slots, their figures, times, progress during training, and the machine. The figures
        are :class:`Slots`, or where slots are coupled :class:`Episodes`.
    notes : tuple of str
        What a reader of its figures should know, one sentence each: that it was hardly trained.

    Raises
    ------
    ValueError
        Names the key, what it requires and what came.

    Examples
    --------
    >>> dataclasses.replace(EXAMPLE, timesteps=-1)
    Traceback (most recent call last):
    ValueError: timesteps must be at least 0; got -1.
    """

    algorithm: Text
    label: Text
    learns: Flag
    scenario: Text
    scenario_json: Json
    seed: Whole | None
    timesteps: Whole
    arguments: Json
    evaluation: Evaluation
    slots: _Measured
    decision_ms: DecisionTime
    curve: Annotated[Sequence[_Point], AfterValidator(tuple)]
    seconds: Seconds
    system: System
    notes: Annotated[Sequence[Text], AfterValidator(tuple)]

    @model_validator(mode="after")
    def _consistent(self) -> Result:
        if self.seed is None and self.learns:
            raise ValueError("seed must be a whole number where learns is true; got None.")
        sizes = {"layouts": self.evaluation.layouts}
        if self.measure is NRR:
            sizes["slots_per_layout"] = self.evaluation.slots_per_layout
        if np.shape(self.slots.score) != tuple(sizes.values()):
            wanted = " x ".join(f"evaluation.{name}" for name in sizes)
            raise ValueError(
                f"slots must have {wanted}, {tuple(sizes.values())}, numbers per figure; got "
                f"{np.shape(self.slots.score)}."
            )
        for place, point in enumerate(self.curve):
            if point.measure is not self.measure:
                raise ValueError(
                    f"curve[{place}] must have the score of slots, {self.measure.key}; got "
                    f"{point.measure.key}."
                )
        for before, after in zip(self.curve, self.curve[1:], strict=False):
            if after.timesteps <= before.timesteps or after.seconds < before.seconds:
                raise ValueError(
                    "curve must rise in timesteps and not fall in seconds; got "
                    f"{_shown(before)} before {_shown(after)}."
                )
        return self

    @property
    def measure(self) -> Measure:
        """What the policy was measured by: :data:`NRR` or :data:`HINDSIGHT_RATIO`."""
        return self.slots.measure


def _names(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


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

# -- its file ------------------------------------------------------------------------------------

FORMAT, VERSION, FILE_NAME = "mec-gym/result", 4, "result.json"


def write_result(path: str | os.PathLike[str], result: Result) -> None:
    """Write a result, whole or not at all, also over an older one; missing folders are made.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_result(Path(folder) / "run" / "result.json", EXAMPLE)
    ...     read_result(Path(folder) / "run" / "result.json") == EXAMPLE
    True
    """
    record = {"format": FORMAT, "version": VERSION} | dataclasses.asdict(result)
    # One line per key. Python writes the shortest digits that give the same double back.
    lines = [f' "{key}": {json.dumps(value, allow_nan=False)}' for key, value in record.items()]
    write_whole(Path(path), "{\n" + ",\n".join(lines) + "\n}\n")


def read_result(path: str | os.PathLike[str]) -> Result:
    """Read a result, strictly: what is not exactly a record is refused.

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
    ValueError: ...results.py must be JSON: ...
    """
    record = read_object(path)
    try:
        return _result(record)
    except ValueError as error:
        raise ValueError(f"result file {os.fspath(path)}: {error}") from None


def _result(record: dict[str, Any]) -> Result:
    """Return the result that plain JSON describes."""
    if record.get("format") != FORMAT:
        raise ValueError(f"format must be {FORMAT!r}; got {_shown(record.get('format'))}.")
    version = record.get("version")
    if type(version) is not int or version != VERSION:
        raise ValueError(
            f"version must be {VERSION}, which this release reads; got {_shown(version)}. Read it "
            "with the release that wrote it, or with a later one."
        )
    keys = _names(Result)
    require_keys("the record", record, ["format", "version", *keys])
    return Result(**{key: record[key] for key in keys})


# -- what folders hold ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Problem:
    """A file, or a folder, that gave no result, and a sentence that says why."""

    file: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Found:
    """What folders hold: the good results by path, and why everything else is not among them."""

    results: tuple[Result, ...]
    problems: tuple[Problem, ...]


def read_results(folders: Iterable[str | os.PathLike[str]]) -> Found:
    """Read every ``result.json`` below some folders, at any depth; a file counts once.

    Nothing is left out in silence. Problems are a file that cannot be read, a folder without any,
    a second result of the same label, scenario, slots, timesteps and seed, and one that shares all
    these but the seed and has other arguments.

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
        alike = (result.label, *asked(result), result.timesteps)
        known, arguments = kinds.setdefault(alike, (file, result.arguments))
        if result.arguments != arguments:
            reason = f"{_alike(known)}, but other arguments: it is no other seed of the same"
            problems.append(Problem(str(file), f"{reason}; give it another label."))
            continue
        first, kept = results.setdefault((*alike, result.seed), (file, result))
        # A rule that was measured in both folders says the same twice.
        if first is not file and not np.array_equal(kept.slots.score, result.slots.score):
            reason = f"{_alike(first)} and its seed, and that one was read instead"
            reason += "; give one of them another label or remove it."
            problems.append(Problem(str(file), reason))
    return Found(tuple(result for _, result in results.values()), tuple(problems))


def asked(result: Result) -> tuple[str, str, Evaluation]:
    """Return what a result's slots were asked for with; the gap is an answer."""
    scenario = json.dumps(result.scenario_json, sort_keys=True)
    return result.scenario, scenario, dataclasses.replace(result.evaluation, gap=0.0)


def _alike(first: Path) -> str:
    return f"has the label, scenario, slots and timesteps of {first}"
