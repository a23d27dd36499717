"""What scripts cannot use they refuse: one sentence, the exit status, and nothing written."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("stable_baselines3")

from mec_bench import training, write_result
from mec_bench.results import EXAMPLE
from mec_gym import files as reading
from mec_gym.evaluation import Estimate
from reproduction.jobs import Measurement
from reproduction.variants import page, working

BEGIN_GAMES = "<!-- games: written by `reproduction/maddpg_games.py` -->"
ROOT = Path(__file__).resolve().parents[1]
Script = Callable[..., tuple[int, str, str]]


@pytest.fixture
def script(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Script:
    """Run a script in this process, in a folder of its own; return status, output and errors."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    def run(name: str, *options: str | Path) -> tuple[int, str, str]:
        folder = "scripts" if (ROOT / "scripts" / f"{name}.py").is_file() else "reproduction"
        path = str(ROOT / folder / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [path, *map(str, options)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        status: Any = 0
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as ended:
            status = ended.code or 0
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def sentence(status: int, printed: str, errors: str) -> str:
    """Return the one sentence that a script has ended with."""
    assert (status, printed) == (2, "")
    said, hint = errors.splitlines()
    assert hint == "(TRACEBACK=1 in the environment shows where.)"
    return said.removeprefix("error: ")


# -- counts ----------------------------------------------------------------------------------------

COUNTS = {
    "benchmark": ("--jobs", "--threads"),
    "dirs_results": ("--jobs", "--seeds", "--ablation-seeds", "--slots"),
    "evaluate": ("--layouts",),
    "maddpg_games": ("--seeds", "--steps"),
    "regimes": ("--layouts", "--slots"),
    "reproduce": ("--jobs",),
    "tune_learners": ("--jobs", "--trials", "--slots"),
    "tune_markdown": ("--layouts",),
    "tune_search": ("--slots", "--evaluations", "--many"),
}
NEEDED = {"benchmark": ["--algos", "greedy"], "evaluate": ["greedy"], "reproduce": ["table3"]}


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name, options in COUNTS.items() for option in options]
)
def test_none_of_something_is_refused_at_once(name: str, option: str, script: Script) -> None:
    for given in ("0", "-1", "x", "1.5"):
        status, printed, errors = script(name, *NEEDED.get(name, []), f"{option}={given}")
        assert (status, printed) == (2, "")
        words = f"argument {option}: must be a whole number >= 1; got {given!r}"
        assert errors.splitlines()[-1] == f"{name}.py: error: {words}"


# -- places ----------------------------------------------------------------------------------------

OUT: dict[str, list[str]] = {
    "dirs_results": [],
    "learners_page": [],
    "regimes": ["--layouts", "1", "--slots", "1"],
    "tune_learners": [],
    "tune_markdown": [],
    "tune_search": [],
}


@pytest.mark.parametrize("name", OUT)
def test_a_file_in_the_place_of_a_folder_is_refused_before_any_work(
    name: str, script: Script, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    options = ["--out", "--runs"] if name in ("dirs_results", "tune_learners") else ["--out"]
    for option in options:
        places = {"--out": tmp_path / "out"} | {option: taken}
        words = [str(one) for pair in places.items() for one in pair]
        said = sentence(*script(name, *OUT[name], *words))
        assert said.startswith(f"{option} must be a folder, or a place for one; {taken} is a file.")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


def test_games_look_at_their_places_before_they_train(script: Script, tmp_path: Path) -> None:
    taken, page_file = tmp_path / "taken", tmp_path / "page.md"
    taken.write_text("mine")
    page_file.write_text(f"Before.\n{BEGIN_GAMES}\nAfter.\n")
    places = ("--runs", tmp_path / "runs", "--json", tmp_path / "raw.json", "--page")
    assert "No such file" in sentence(*script("maddpg_games", *places, tmp_path / "missing.md"))
    said = sentence(*script("maddpg_games", *places, page_file))
    assert said.startswith(f"{page_file} must hold the line '<!-- games")
    page_file.write_text(page_file.read_text() + "<!-- end of games -->\n")
    for clone in (tmp_path / "missing", tmp_path):
        said = sentence(*script("maddpg_games", *places, page_file, "--public", clone))
        assert said == f"--public must be a clone of maddpg-pytorch; {clone} is none."
    said = sentence(*script("maddpg_games", *places, page_file, "--json", taken / "raw.json"))
    assert said.startswith("the folder of --json must be a folder")
    said = sentence(*script("maddpg_games", *places, page_file, "--json", tmp_path))
    assert said == f"--json must be a file; {tmp_path} is a folder."
    assert sorted(file.name for file in tmp_path.iterdir()) == ["page.md", "taken"]


@pytest.mark.parametrize(
    ("algo", "given", "what"),
    [
        ("dirs", "learning_rate=-1", "learning_rate"),
        ("dirs", "policy_kwargs.net_arch=x", "net_arch"),
        ("sb3:PPO", "batch_size=1", "batch_size"),
        ("pso", "max_evaluations=0", "max_evaluations"),
    ],
)
def test_a_run_that_cannot_begin_leaves_no_folder(
    script: Script, tmp_path: Path, algo: str, given: str, what: str
) -> None:
    options = ("--algo", algo, "--scenario", "paper-30x2", "--timesteps", "10", "--set")
    status, _, errors = script("train", *options, *given.split(), "--out", tmp_path)
    assert status == 1
    assert errors.startswith("error: ")
    assert what in errors.splitlines()[0]
    assert list(tmp_path.iterdir()) == []


# -- what pages are made of ------------------------------------------------------------------------

REGIMES = {"format": "mec-gym/regimes", "version": 2}
FIGURES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "must be JSON"),
    "no text": (b"\xff\xfe\x00", "must be JSON"),
    "a list": (b"[]", "must hold an object; got a list"),
    "an empty object": (b"{}", "must have the format 'mec-gym/regimes', version 2; got None"),
    "no regimes": (json.dumps(REGIMES).encode(), "is damaged (KeyError('regimes'))"),
    "an empty list": (json.dumps(REGIMES | {"regimes": []}).encode(), "holds no regimes"),
    "empty regimes": (json.dumps(REGIMES | {"regimes": [{}]}).encode(), "is damaged"),
    "other regimes": (json.dumps(REGIMES | {"regimes": [3]}).encode(), "is damaged"),
}


@pytest.mark.parametrize("kind", FIGURES)
def test_regimes_refuses_figures_that_are_none(kind: str, script: Script, tmp_path: Path) -> None:
    content, words = FIGURES[kind]
    (tmp_path / "regimes.json").write_bytes(content)
    said = sentence(*script("regimes", "--page", "--out", tmp_path))
    assert said.startswith(f"{tmp_path / 'regimes.json'} {words}")
    assert [file.name for file in tmp_path.iterdir()] == ["regimes.json"]


def test_regimes_without_figures_are_refused(script: Script, tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "missing"):
        said = sentence(*script("regimes", "--page", "--out", out))
        assert said == f"there is no {out / 'regimes.json'}: leave out --page to measure."
    assert list(tmp_path.iterdir()) == []


def test_learners_without_results_keep_their_page(script: Script, tmp_path: Path) -> None:
    out, empty = tmp_path / "out", tmp_path / "empty"
    empty.mkdir()
    said = sentence(*script("learners_page", tmp_path / "missing", "--out", out))
    assert said == f"there is no folder '{tmp_path / 'missing'}' to read results from."
    status, printed, errors = script("learners_page", empty, "--out", out)
    assert (status, printed) == (2, f"left out: {empty}: holds no result.json.\n")
    assert errors.startswith(f"error: {empty} holds no results to show")
    (empty / "result.json").write_text("{}")
    status, printed, errors = script("learners_page", empty, "--out", out)
    assert status == 2
    assert printed.startswith(f"left out: {empty / 'result.json'}: format must be")
    assert not out.exists()


def test_a_page_that_lacks_a_result_says_so_by_its_status(script: Script, tmp_path: Path) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    write_result(runs / "good" / "result.json", replace(EXAMPLE, label="dirs"))
    assert script("learners_page", runs, "--out", out) == (0, f"wrote {out / 'learners.md'}\n", "")
    (runs / "bad").mkdir()
    (runs / "bad" / "result.json").write_text("{}")
    status, printed, errors = script("learners_page", runs, "--out", out)
    assert (status, errors) == (1, "")
    first, last = printed.splitlines()
    assert first.startswith(f"left out: {runs / 'bad/result.json'}: format must be")
    assert last == f"wrote {out / 'learners.md'}"


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "must be JSON"), ("[]", "must hold an object"), ('{"kind": 1}', "lacks arguments")],
)
def test_a_measurement_that_is_none_is_named(content: str, words: str, tmp_path: Path) -> None:
    one = Measurement("optimum", {"seed": 0, "system": "paper-30x2", "changes": {}})
    one.file(tmp_path).parent.mkdir()
    one.file(tmp_path).write_text(content)
    for call in (one.record, one.system):
        with pytest.raises(ValueError, match=rf"{one.file(tmp_path).name} .*{words}"):
            call(tmp_path)


@pytest.mark.parametrize("name", ["dirs_results", "learners_page", "regimes", "regimes --page"])
def test_a_readme_without_marks_is_refused_before_any_work(
    name: str, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, readme, around = tmp_path / "out", tmp_path / "README.md", reading.around
    out.mkdir()
    readme.write_text("No marks.\n")
    monkeypatch.setattr(reading, "around", lambda _, begin, end: around(readme, begin, end))
    monkeypatch.setattr("baselines.regimes.measure_regime", None)
    monkeypatch.setattr(working, "work", None)
    there: list[Path] = []
    if name == "regimes --page":
        there = [Path(shutil.copy(ROOT / "docs/regimes.json", out))]
    if name == "learners_page":
        write_result(tmp_path / "runs/result.json", replace(EXAMPLE, label="dirs"))
        name += f" {tmp_path / 'runs'}"
    said = sentence(*script(*name.split(), "--out", out, "--readme"))
    assert said.startswith(f"{readme} must hold the line '<!-- ")
    assert list(out.iterdir()) == there
    assert readme.read_text() == "No marks.\n"


@pytest.mark.parametrize(
    ("ended", "status", "words"),
    [
        (MemoryError("too large"), 1, "error: too large\n"),
        (KeyboardInterrupt(), 130, "Nothing is kept"),
    ],
)
def test_regimes_tells_a_failure_from_a_refusal_and_what_is_kept(
    ended: BaseException,
    status: int,
    words: str,
    script: Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        raise ended

    monkeypatch.setattr("baselines.regimes.measure_regime", failing)
    found = script("regimes", "--out", tmp_path)
    assert found[:2] == (status, "")
    assert words in found[2]
    assert list(tmp_path.iterdir()) == []


# -- runs that fail --------------------------------------------------------------------------------

FEW = ("--presets", "paper-30x2", "--seeds", "1", "--ablations", "--slots", "10", "--jobs", "1")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of DIRS take no time, and price-posting agents fail."""

    def measured(run: Any) -> dict[str, Any]:
        if run.arguments["policy"] == "PricePolicy":
            raise FloatingPointError("diverged")
        stages = ("untrained", "imitation", "tenth", "final")
        seconds = {"imitation": 1.0, "online": 2.0, "all": 4.0}
        return {"nrr": dict.fromkeys(stages, 0.5), "seconds": seconds}

    rules = dict.fromkeys(("all local", "optimum"), Estimate(0.5, 0.4, 0.6))
    monkeypatch.setattr(working, "_measured", measured)
    monkeypatch.setattr(page, "rules_reached", lambda _: rules)


@pytest.mark.usefixtures("quick")
def test_dirs_results_names_runs_that_fail_by_its_status(script: Script, tmp_path: Path) -> None:
    places = ("--runs", tmp_path / "runs", "--out", tmp_path / "docs")
    status, printed, errors = script("dirs_results", *FEW, *places)
    assert (status, errors) == (1, "")
    failed = [line for line in printed.splitlines() if line.startswith("failed: ")]
    assert [line.split(": ", 1)[1].split("-10-seed-0: ") for line in failed] == [
        ["main-paper-30x2-price-posting-agents", "FloatingPointError: diverged"],
        ["main-paper-30x2-price-posting-agents-no-admission", "FloatingPointError: diverged"],
    ]
    written = json.loads((tmp_path / "docs/dirs-results.json").read_text())
    assert len(written["runs"]) == 2
    assert script("dirs_results", *FEW, *places, "--page")[0] == 0


@pytest.mark.usefixtures("quick")
def test_dirs_results_without_a_run_keep_their_page(script: Script, tmp_path: Path) -> None:
    places = ("--runs", tmp_path / "runs", "--out", tmp_path / "docs")
    status, _, errors = script("dirs_results", *FEW, *places, "--page")
    assert (status, errors.splitlines()[0]) == (
        2,
        f"error: {tmp_path / 'runs'} holds none of the runs that the page is to show.",
    )
    said = sentence(*script("dirs_results", "--presets", "paper-30x3", *places))
    assert said.startswith("preset must be one of 'paper-30x2'")
    assert list(tmp_path.iterdir()) == []
    script("dirs_results", *FEW, *places)
    kept = (tmp_path / "docs/dirs-results.md").read_text()
    run = next((tmp_path / "runs").glob("*paper-s-options*"))
    for content, words in (("{", "must be JSON"), ("{}", "lacks table, preset"), ("[]", "object")):
        run.write_text(content)
        status, _, errors = script("dirs_results", *FEW, *places, "--page")
        assert status == 2
        assert errors.startswith(f"error: {run} ")
        assert words in errors
    assert (tmp_path / "docs/dirs-results.md").read_text() == kept


def test_tuning_names_trials_that_fail_by_its_status(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = training.make_env

    def failing(settings: Any, chosen: Any) -> Any:
        if settings.algorithm == "ddpg":
            raise ValueError("no env today")
        return true(settings, chosen)

    monkeypatch.setattr(training, "make_env", failing)
    few = ("--algos", "ac", "ddpg", "--scenarios", "paper-30x2", "--trials", "1", "--slots", "5")
    places = ("--runs", tmp_path / "runs", "--out", tmp_path / "out")
    status, printed, errors = script("tune_learners", *few, "--jobs", "1", *places)
    assert (status, errors) == (1, "")
    assert "failed: ddpg 0 paper-30x2: ValueError: no env today\n" in printed
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["ac.json"]
    # A file that is no trial is named, and left as it is.
    trial = tmp_path / "runs/ac-0-paper-30x2-5.json"
    lacking = json.loads(trial.read_text())
    del lacking["nrr"]
    for content, words in (("[]", "must hold an object"), (json.dumps(lacking), "lacks nrr. Del")):
        trial.write_text(content)
        status, printed, _ = script("tune_learners", *few, "--jobs", "1", *places)
        assert status == 1
        assert f"failed: ac 0 paper-30x2: ValueError: {trial} " in printed
        assert words in printed
        assert trial.read_text() == content
