"""Result files: read back equal, or refused by name; nothing disappears."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mec_bench.results import (
    DecisionTime,
    Found,
    Result,
    Seconds,
    Slots,
    read_result,
    read_results,
    write_result,
)
from tests.mec_bench.synthetic import result, study, write_all


def test_a_result_is_read_back_equal(tmp_path: Path) -> None:
    for one in study():
        write_result(tmp_path / "result.json", one)
        assert read_result(tmp_path / "result.json") == one


positive = st.floats(1e-300, 1e300)


@given(bound=positive, share=st.floats(1e-3, 1), energy=st.floats(0, 1e300), time=positive)
def test_floats_survive_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, bound: float, share: float, energy: float, time: float
) -> None:
    file = tmp_path_factory.getbasetemp() / "bits.json"
    slots = Slots.of(
        objective=[[bound / share]], latency_s=[[0]], energy_j=[[energy]], lower_bound=[[bound]]
    )
    one = dataclasses.replace(
        result(shape=(1, 1)), slots=slots, decision_ms=DecisionTime(time, time / 3)
    )
    write_result(file, one)
    back = read_result(file)
    assert back == one
    assert np.array(back.slots.objective).tobytes() == np.array(slots.objective).tobytes()


def test_the_file_holds_the_keys_of_the_design(tmp_path: Path) -> None:
    write_result(tmp_path / "result.json", result())
    record = json.loads((tmp_path / "result.json").read_text())
    assert (record["format"], record["version"]) == ("mec-gym/result", 4)
    assert list(record)[2:] == [field.name for field in dataclasses.fields(Result)]
    assert set(record["slots"]) == {"nrr", "objective", "latency_s", "energy_j", "lower_bound"}
    assert np.shape(record["slots"]["nrr"]) == (8, 3)
    assert set(record["curve"][0]) == {"timesteps", "seconds", "nrr"}


def broken(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change that sets what stands at a dotted key."""

    def change(record: dict[str, Any]) -> None:
        *way, last = key.split(".")
        inner: Any = record
        for step in way:
            inner = inner[int(step) if step.isdigit() else step]
        inner[int(last) if last.isdigit() else last] = value

    return change


def removed(key: str) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        del record[key]

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (broken("format", "other"), ["format", "'mec-gym/result'", "'other'"]),
        (broken("version", 5), ["version must be 4", "got 5"]),
        (broken("version", True), ["version must be 4", "got True"]),
        (removed("notes"), ["lacks notes"]),
        (broken("notes", "text"), ["notes must be a list", "'text'"]),
        (broken("notes", ["two\nlines"]), ["notes[0] must be printable text"]),
        (removed("seed"), ["lacks seed"]),
        (broken("extra", 1), ["unknown extra"]),
        (broken("evaluation", {"set": "v1"}), ["evaluation must have", "lacks layouts"]),
        (broken("evaluation.set", ""), ["evaluation.set must be printable text", "''"]),
        (broken("evaluation.layouts", 8.0), ["evaluation.layouts must be a whole number", "8.0"]),
        (broken("evaluation.layouts", 9), ["(9, 3)", "(8, 3)"]),
        (broken("evaluation.layouts", 0), ["evaluation.layouts must be at least 1", "0"]),
        (broken("evaluation.gap", -1), ["evaluation.gap", "-1"]),
        (broken("label", "two\nlines"), ["label must be printable text"]),
        (broken("learns", 1), ["learns must be true or false", "1"]),
        (broken("seed", None), ["seed must be a whole number", "None"]),
        (broken("seed", True), ["seed must be a whole number", "True"]),
        (broken("scenario_json", "{}"), ["scenario_json must be an object"]),
        (broken("arguments.rate", float("nan")), ["arguments.rate must be plain JSON", "nan"]),
        (broken("slots.nrr.2.1", float("nan")), ["slots.nrr[2][1] must be a finite", "nan"]),
        (broken("slots.energy_j.0.0", 10**400), ["slots.energy_j[0][0]"]),
        (
            broken("slots.objective.1", [1.0, 2.0]),
            ["slots.objective", "as many slots, (8, 3)", "[3, 2, 3"],
        ),
        (broken("slots.objective", []), ["slots.objective must be a list", "[]"]),
        (broken("slots.lower_bound", [[1.0]]), ["slots.lower_bound", "(8, 3)", "[1]"]),
        (broken("slots.nrr.0.0", 1.5), ["slots.nrr[0][0] must lie in (0, 1]", "1.5"]),
        (broken("slots.nrr.0.0", 0.5), ["slots.nrr[0][0] must be lower_bound / objective"]),
        (broken("seconds.measuring", None), ["seconds.measuring", "None"]),
        (broken("curve.1.nrr", float("nan")), ["curve[1].nrr must be a finite", "nan"]),
        (broken("curve.1", {"nrr": 1}), ["curve[1] must have", "lacks timesteps, seconds"]),
        (broken("curve.2.timesteps", 5), ["curve must rise in timesteps"]),
        (broken("system.modified", None), ["system.modified must be true or false", "None"]),
        (broken("system.commit", None), ["system.modified must be null without a commit"]),
        (broken("system.versions", {"numpy": 2}), ["system.versions.numpy", "2"]),
    ],
)
def test_what_is_no_record_is_refused_by_name(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], named: list[str]
) -> None:
    file = tmp_path / "result.json"
    write_result(file, result())
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"^result file ") as raised:
        read_result(file)
    for words in [str(file), *named]:
        assert words in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b'{"format"', b'{"a": 1, "a": 1}', b"[" * 100_000, b"\xff\xfe\x00"],
    ids=lambda content: repr(content[:20]),
)
def test_what_is_no_object_of_json_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "result.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"result\.json"):
        read_result(file)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "result.json"
    write_result(file, result(seed=1))

    def fail(_descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        write_result(file, result(seed=2))
    assert read_result(file).seed == 1
    assert list(tmp_path.iterdir()) == [file]


def test_notes_and_an_unknown_time_of_training_are_read_back(tmp_path: Path) -> None:
    one = dataclasses.replace(
        result(), notes=("hardly trained.",), seconds=Seconds(training=None, measuring=1.0)
    )
    write_result(tmp_path / "result.json", one)
    assert json.loads((tmp_path / "result.json").read_text())["seconds"]["training"] is None
    assert read_result(tmp_path / "result.json") == one


def test_tuples_in_arguments_are_lists_from_the_start(tmp_path: Path) -> None:
    one = dataclasses.replace(result(), arguments={"net_arch": (64, 64)})
    write_result(tmp_path / "result.json", one)
    assert read_result(tmp_path / "result.json").arguments == {"net_arch": [64, 64]}


def test_parts_are_refused_by_the_name_that_the_record_gives_them() -> None:
    with pytest.raises(ValueError, match=r"^decision_ms\.single must be at least 0; got -1\.$"):
        DecisionTime(single=-1, batched=1)
    with pytest.raises(ValueError, match=r"^seconds must have exactly .* lacks measuring"):
        Seconds(training=1)  # type: ignore[call-arg]


def test_slots_of_arrays_are_those_of_lists() -> None:
    lists = {"objective": [[4, 2]], "latency_s": [[1, 1]], "energy_j": [[3, 0]]}
    one = Slots.of(**lists, lower_bound=[[2, 2]])
    arrays = {name: np.array(figures) for name, figures in lists.items()}
    other = Slots.of(**arrays, lower_bound=np.array([[2, 2]], np.float32))
    assert one == other
    assert hash(one) == hash(other)
    assert {type(value) for value in one.nrr[0]} == {float}


def test_numbers_of_numpy_become_pythons() -> None:
    one = dataclasses.replace(result(), seed=np.int64(3), timesteps=np.int32(7), curve=[])
    assert (type(one.seed), type(one.timesteps)) == (int, int)
    assert type(DecisionTime(np.float32(0.5), np.float64(1)).single) is float
    with pytest.raises(ValueError, match="timesteps must be a whole number"):
        dataclasses.replace(one, timesteps=np.bool_(True))


def test_every_file_is_a_result_or_a_problem(tmp_path: Path) -> None:
    results = study()
    write_all(tmp_path / "runs", results)
    for name, text in {"empty": "", "list": "[]", "cut": '{"format": "mec-gym/'}.items():
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "result.json").write_text(text)
    (tmp_path / "none").mkdir()
    found = read_results([tmp_path / "runs", tmp_path / "none"])
    assert list(found.results) == results
    assert {Path(problem.file).name for problem in found.problems} == {"result.json", "none"}
    assert len(found.problems) == 4
    assert all(problem.reason for problem in found.problems)


def test_a_folder_named_twice_counts_once(tmp_path: Path) -> None:
    write_all(tmp_path, [result(seed=0), result(seed=1)])
    found = read_results([tmp_path, tmp_path / "run-0001", tmp_path / "run-0000" / "result.json"])
    assert [one.seed for one in found.results] == [0, 1]
    assert found.problems == ()


def test_a_second_result_of_the_same_run_is_a_problem(tmp_path: Path) -> None:
    one = result()
    again = dataclasses.replace(one, arguments={"learning_rate": 1.0})
    write_all(tmp_path, [one, again])
    found = read_results([tmp_path])
    assert found.results == (one,)
    (problem,) = found.problems
    assert "run-0001" in problem.file
    assert "run-0000" in problem.reason


def test_what_was_measured_twice_alike_is_one_result(tmp_path: Path) -> None:
    one = result()
    copy = dataclasses.replace(one, seconds=dataclasses.replace(one.seconds, measuring=9.0))
    write_all(tmp_path, [one, copy])
    assert read_results([tmp_path]) == Found((one,), ())
    write_all(tmp_path, [one, dataclasses.replace(one, slots=result(quality=0.8).slots)])
    assert len(read_results([tmp_path]).problems) == 1


def test_other_arguments_are_no_other_seed(tmp_path: Path) -> None:
    one = result(seed=0)
    other = dataclasses.replace(result(seed=1), arguments={"learning_rate": 1.0})
    write_all(tmp_path, [one, other])
    found = read_results([tmp_path])
    assert found.results == (one,)
    assert "other arguments" in found.problems[0].reason


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_results([tmp_path / "missing"])
