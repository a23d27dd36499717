"""The commands of pages and tuning leave what they promise, and refuse what they cannot use."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("stable_baselines3")

import mec_gym
from baselines.headroom import HeadRoom
from mec_gym.evaluation import Estimate
from reproduction import pages, regimes, summary, tune, variant_runs, variants
from reproduction.games import BEGIN as BEGIN_GAMES

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Command:
    """Run a module in this process, in a folder of its own; return status, output and errors."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    def run(words: str, *options: str | Path) -> tuple[int, str, str]:
        name, *first = words.split()
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *first, *map(str, options)])
        try:
            status: Any = importlib.import_module(f"reproduction.{name}").main() or 0
        except SystemExit as ended:
            status = ended.code or 0
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def sentence(status: int, printed: str, errors: str) -> str:
    """Return the one sentence that a command has ended with."""
    assert (status, printed) == (2, "")
    said, hint = errors.splitlines()
    assert hint == "(TRACEBACK=1 in the environment shows where.)"
    return said.removeprefix("error: ")


def test_the_page_of_section_five_loses_no_figures_on_record(
    command: Command, tmp_path: Path
) -> None:
    before = (pages.RESULTS / "reproduction.json").read_bytes()
    status, _, errors = command("main all --docs --page", "--runs", tmp_path)
    assert status != 0
    assert "must lose no figures" in errors
    assert (pages.RESULTS / "reproduction.json").read_bytes() == before


# -- places ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        *("variants", "learned", "stock", "regimes --layouts 1 --slots 1"),
        *("tune search", "tune markdown", "tune learners"),
    ],
)
def test_a_file_in_the_place_of_a_folder_is_refused_before_any_work(
    words: str, command: Command, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    runs = words.startswith(("variants", "learned", "tune")) and words != "tune learners"
    for option in ("--out", "--runs") if runs else ("--out",):
        places = {"--out": tmp_path / "out"} | {option: taken}
        given = [str(one) for pair in places.items() for one in pair]
        said = sentence(*command(words, *given))
        assert said.startswith(f"{option} must be a folder, or a place for one; {taken} is a file.")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


def test_games_look_at_their_places_before_they_train(command: Command, tmp_path: Path) -> None:
    taken, page_file = tmp_path / "taken", tmp_path / "page.md"
    taken.write_text("mine")
    page_file.write_text(f"Before.\n{BEGIN_GAMES}After.\n")
    places = ("--runs", tmp_path / "runs", "--json", tmp_path / "raw.json", "--page")
    assert "No such file" in sentence(*command("games", *places, tmp_path / "missing.md"))
    said = sentence(*command("games", *places, page_file))
    assert said.startswith(f"{page_file} must hold the line '<!-- games")
    page_file.write_text(page_file.read_text() + "<!-- end of games -->\n")
    for clone in (tmp_path / "missing", tmp_path):
        said = sentence(*command("games", *places, page_file, "--public", clone))
        assert said == f"--public must be a clone of maddpg-pytorch; {clone} is none."
    said = sentence(*command("games", *places, page_file, "--json", taken / "raw.json"))
    assert said.startswith("the folder of --json must be a folder")
    said = sentence(*command("games", *places, page_file, "--json", tmp_path))
    assert said == f"--json must be a file; {tmp_path} is a folder."
    assert sorted(file.name for file in tmp_path.iterdir()) == ["page.md", "taken"]


# -- regimes ---------------------------------------------------------------------------------------

REGIMES = {"format": "mec-gym/regimes", "version": 2}
FIGURES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "must be JSON"),
    "an empty object": (b"{}", "must have the format 'mec-gym/regimes', version 2; got None"),
    "no regimes": (json.dumps(REGIMES).encode(), "is damaged (regimes: "),
    "an empty list": (json.dumps(REGIMES | {"regimes": []}).encode(), "holds no regimes"),
    "empty regimes": (json.dumps(REGIMES | {"regimes": [{}]}).encode(), "is damaged (regimes.0.na"),
}


@pytest.mark.parametrize("kind", FIGURES)
def test_regimes_refuses_figures_that_are_none(kind: str, command: Command, tmp_path: Path) -> None:
    content, words = FIGURES[kind]
    (tmp_path / "regimes.json").write_bytes(content)
    said = sentence(*command("regimes", "--page", "--out", tmp_path))
    assert said.startswith(f"{tmp_path / 'regimes.json'} {words}")
    assert [file.name for file in tmp_path.iterdir()] == ["regimes.json"]


def test_figures_of_presets_that_are_not_asked_for_are_kept(tmp_path: Path) -> None:
    file, kind = tmp_path / "headroom.json", regimes.ROOMS
    half = Estimate(0.5, 0.4, 0.6)
    rooms = [
        HeadRoom(name, {"forecast": half}, {"forecast": 4}, half, half, 0.1, 2, 3)
        for name in ("crowd-30x4", "stale-200x10")
    ]
    regimes._update(file, kind, [])
    assert not file.exists()
    regimes._update(file, kind, rooms[:1])
    regimes._update(file, kind, rooms[1:])
    # In the order of the presets.
    assert regimes.read(file, kind) == rooms[::-1]
    newer = dataclasses.replace(rooms[0], n_slots=5)
    regimes._update(file, kind, [newer])
    assert regimes.read(file, kind) == [rooms[1], newer]


def test_the_page_says_which_rules_a_preset_lacks() -> None:
    half = Estimate(0.5, 0.4, 0.6)
    rules = {"old": ("follow", "forecast"), "new": ("follow", "measured speed", "forecast")}
    rules |= {"stale": ("follow", "measured speed", "forecast by positions")}
    rooms = [
        HeadRoom(name, dict.fromkeys(measured, half), {}, half, half, 0.1, 2, 3)
        for name, measured in rules.items()
    ]
    assert regimes._gaps(rooms) == [("old", "stays-H by measured speed")]


def test_regimes_without_figures_are_refused(command: Command, tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "missing"):
        said = sentence(*command("regimes", "--page", "--out", out))
        assert said == f"there is no {out / 'regimes.json'}: leave out --page to measure."
    assert list(tmp_path.iterdir()) == []


def test_regimes_says_what_is_kept_of_a_run_that_is_stopped(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(regimes, "measure_regime", stopped)
    status, printed, errors = command("regimes", "--out", tmp_path)
    assert (status, printed) == (130, "")
    assert "Nothing is kept" in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_regimes_writes_its_page_and_its_figures(command: Command, tmp_path: Path) -> None:
    options = ("--layouts", "2", "--slots", "1", "--out", tmp_path)
    assert command("regimes", *options)[0] == 0
    raw = json.loads((tmp_path / "regimes.json").read_text())
    assert raw["format"] == "mec-gym/regimes"
    assert raw["system"]["versions"]["mec-gym"] == mec_gym.__version__
    page = (tmp_path / "regimes.md").read_text()
    assert all(one["name"] in page for one in raw["regimes"])
    (tmp_path / "regimes.md").unlink()
    assert command("regimes", "--page", "--out", tmp_path)[0] == 0
    assert (tmp_path / "regimes.md").read_text() == page


# -- DIRS in all its variants ----------------------------------------------------------------------

FEW = ("--presets", "paper-30x2", "--seeds", "1", "--ablations", "--slots", "10", "--jobs", "1")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of DIRS take no time, and price-posting agents fail."""

    def measured(run: Any) -> dict[str, Any]:
        if run.arguments["policy"] == "PricePolicy":
            raise FloatingPointError("diverged")
        seconds = {"imitation": 1.0, "online": 2.0, "all": 4.0}
        if run.table == "labels":
            labels = {"agreement": 0.5, "chance": 0.4}
            return {"nrr": {"labels": 0.5}, "seconds": seconds, **labels}
        stages = ("untrained", "imitation", "tenth", "final")
        return {"nrr": dict.fromkeys(stages, 0.5), "seconds": seconds}

    rules = dict.fromkeys(("all local", "optimum"), Estimate(0.5, 0.4, 0.6))
    monkeypatch.setattr(variant_runs, "measured", measured)
    monkeypatch.setattr(variants, "rules_reached", lambda _: rules)


@pytest.mark.usefixtures("quick")
def test_variants_names_runs_that_fail_by_its_status(command: Command, tmp_path: Path) -> None:
    places = ("--runs", tmp_path / "runs", "--out", tmp_path / "docs")
    status, printed, errors = command("variants", *FEW, *places)
    assert (status, errors) == (1, "")
    failed = [line for line in printed.splitlines() if line.startswith("failed: ")]
    assert [line.split(": ", 1)[1].split("-10-seed-0: ") for line in failed] == [
        ["main-paper-30x2-price-posting-agents", "FloatingPointError: diverged"],
        ["main-paper-30x2-price-posting-agents-no-admission", "FloatingPointError: diverged"],
    ]
    written = json.loads((tmp_path / "docs/dirs-results.json").read_text())
    found = [run["table"] for run in written["runs"]]
    assert found.count("main") == len(variant_runs.MAIN) - len(failed)
    assert found.count("labels") == len(variant_runs.LABELS)
    assert command("variants", *FEW, *places, "--page")[0] == 0


@pytest.mark.usefixtures("quick")
def test_variants_without_a_run_keep_their_page(command: Command, tmp_path: Path) -> None:
    places = ("--runs", tmp_path / "runs", "--out", tmp_path / "docs")
    status, _, errors = command("variants", *FEW, *places, "--page")
    assert (status, errors.splitlines()[0]) == (
        2,
        f"error: {tmp_path / 'runs'} holds none of the runs that the page is to show.",
    )
    said = sentence(*command("variants", "--presets", "paper-30x3", *places))
    assert said.startswith("preset must be one of 'paper-30x2'")
    assert list(tmp_path.iterdir()) == []
    command("variants", *FEW, *places)
    kept = (tmp_path / "docs/dirs-results.md").read_text()
    run = next((tmp_path / "runs").glob("*paper-s-options*"))
    for content, words in (("{", "must be JSON"), ("{}", "lacks table, preset"), ("[]", "object")):
        run.write_text(content)
        status, _, errors = command("variants", *FEW, *places, "--page")
        assert status == 2
        assert errors.startswith(f"error: {run} ")
        assert words in errors
    assert (tmp_path / "docs/dirs-results.md").read_text() == kept


@pytest.mark.usefixtures("quick")
def test_variants_of_one_preset_keep_the_figures_of_others(
    command: Command, tmp_path: Path
) -> None:
    def figures(runs: str, preset: str) -> dict[str, Any]:
        options = ("--presets", preset, *FEW[2:], "--runs", tmp_path / runs, "--out", tmp_path)
        command("variants", *options)
        found: dict[str, Any] = json.loads((tmp_path / "dirs-results.json").read_text())
        return found

    other = figures("one", "paper-180x8")
    both = figures("two", "paper-30x2")
    assert both["runs"][: len(other["runs"])] == other["runs"]
    assert len(both["runs"]) == 2 * len(other["runs"])
    assert "| NRR | paper-30x2 | paper-180x8 |" in (tmp_path / "dirs-results.md").read_text()
    again = figures("three", "paper-30x2")
    assert len(again["runs"]) == len(both["runs"])
    said = sentence(*command("variants", "--slots", "10"))
    assert said == "--slots is for tests: give them an --out of their own."


@pytest.mark.slow
def test_variants_keep_their_runs_and_write_their_page(command: Command, tmp_path: Path) -> None:
    places = ("--runs", tmp_path / "runs", "--out", tmp_path / "docs")
    few = FEW[:-2]  # in processes of their own
    count = len(variant_runs.MAIN) + len(variant_runs.LABELS)
    assert command("variants", *few, *places, "--list")[1] == f"{count} runs, {count} to do\n"
    assert f"{count}/{count} " in command("variants", *few, *places)[1]
    raw = tmp_path / "docs/dirs-results.json"
    runs = json.loads(raw.read_text())["runs"]
    assert len(runs) == count
    assert all(0 < nrr <= 1 for one in runs for nrr in one["nrr"].values())
    page = (tmp_path / "docs/dirs-results.md").read_text()
    assert all(f"| {one['variant']} |" in page for one in runs)
    for again in (("--page",), ("--raw", raw)):
        (tmp_path / "docs/dirs-results.md").unlink()
        assert command("variants", *few, *places, *again)[0] == 0
        assert (tmp_path / "docs/dirs-results.md").read_text() == page


# -- tuning ----------------------------------------------------------------------------------------


def test_a_study_is_a_row_of_the_learner_as_it_is_and_the_best_that_was_tried(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    monkeypatch.setattr(tune, "STUDIED", {"paper-30x2": (16, ("ac",))})
    assert command("tune learners", "--trials", "2", "--out", tmp_path)[0] == 0
    record = json.loads((tmp_path / "ac-paper-30x2.json").read_text())
    first, best = record["trials"][0]["value"], max(one["value"] for one in record["trials"])
    ((*head, as_it_is, reached, changes, given_up),) = tune.studies(tmp_path)
    assert (*head, given_up) == ("paper-30x2", "AC", "16", "0 of 2")
    assert as_it_is.startswith(f"{first:.4f} (")
    assert reached.startswith(f"{best:.4f} (")
    assert (changes == "as it is") == (best == first)
    for done in (0, 1):  # while a study is under way, or where it was stopped
        under_way = record | {"trials": record["trials"][:done]}
        (tmp_path / "ac-paper-30x2.json").write_text(json.dumps(under_way))
        assert tune.studies(tmp_path) == []


def test_every_learner_was_tuned_with_the_same_budget() -> None:
    records = [json.loads(file.read_text()) for file in tune.STUDIES.glob("*.json")]
    planned = {(name, world) for world, (_, names) in tune.STUDIED.items() for name in names}
    found = {(one["algorithm"], *one["holds_for"]) for one in records}
    assert found
    assert found <= planned
    for one in records:
        slots = {world: tune.STUDIED[world][0] for world in one["holds_for"]}
        assert one["budget"] == {"trials": tune.TRIALS, "seeds": 3, "slots": slots}
        assert len(one["trials"]) == tune.TRIALS


@pytest.mark.slow
def test_tune_search_records_what_it_tries(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("pymoo")
    options = ("--slots", "1", "--evaluations", "25", "--many", "30", "--out", tmp_path)
    one = ("--algorithm", "differential_evolution", "--runs", tmp_path / "runs")
    assert command("tune search", *options, *one)[0] == 0
    text = (tmp_path / "differential_evolution.json").read_text()
    record = json.loads(text)
    assert set(record["best_by_encoding"]) == {"floor", "scores", "order", "prices"}
    assert all(0 < nrr <= 1 for one in record["finalists"] for nrr in one["nrr"].values())
    assert command("tune search", *options, *one)[0] == 0
    assert (tmp_path / "differential_evolution.json").read_text() == text


# -- README ----------------------------------------------------------------------------------------


def test_readme_gets_its_table_between_the_marks(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = tmp_path / "README.md"
    monkeypatch.setattr(pages, "README", readme)
    readme.write_text("No marks.\n")
    said = sentence(*command("summary", "--readme"))
    assert said.startswith(f"{readme} must hold the line '<!-- ")
    readme.write_text(f"Before.\n\n{summary.BEGIN}\nold\n{summary.END}\n\nAfter.\n")
    assert command("summary", "--readme") == (0, "", "")
    assert readme.read_text() == (
        f"Before.\n\n{summary.BEGIN}\n{summary.summary()}{summary.END}\n\nAfter.\n"
    )
    assert command("summary")[1] == summary.summary()


# -- games -----------------------------------------------------------------------------------------

PAGE = f"Before.\n{BEGIN_GAMES}<!-- end of games -->\nAfter.\n"
THEIRS = "maddpg-pytorch"
STAND_IN = """
import torch


class MADDPG:
    def __init__(self, agents, kinds, gamma, tau, lr):
        everything = sum(one["num_in_pol"] + one["num_out_pol"] for one in agents)
        assert [one["num_in_critic"] for one in agents] == [everything] * len(kinds)
        self.agents, self.training = agents, False

    def scale_noise(self, scale):
        self.scale = scale

    def prep_training(self, device):
        self.training = True

    def prep_rollouts(self, device):
        self.training = False

    def step(self, observations, explore):
        assert not self.training
        sizes = [one["num_in_pol"] for one in self.agents]
        assert [one.shape[1] for one in observations] == sizes
        return [torch.zeros(len(one), 1) for one in observations]

    def update(self, sample, agent):
        assert self.training
        seen, actions, rewards, after, final = sample
        assert len(seen) == len(actions) == len(rewards) == len(after) == len(final)
        # One number seen is the team, whose every step is an end; the regulator is only cut.
        assert final[agent].all() if seen[0].shape[1] == 1 else not final[agent].any()

    def update_all_targets(self):
        pass
"""
STAND_IN_BUFFER = """
class ReplayBuffer:
    def __init__(self, size, agents, observations, actions):
        self.kept = []

    def push(self, seen, actions, rewards, after, final):
        agents = range(len(actions))
        parts = [[part[:, one] for one in agents] for part in (seen, rewards, after, final)]
        self.kept.append((parts[0], actions, *parts[1:]))

    def sample(self, count):
        return self.kept[-1]
"""


def games(command: Command, folder: Path, *options: str) -> dict[str, dict[str, float]]:
    """Run the games with few steps; return the records by what the script calls them."""
    page, raw = folder / "page.md", folder / "raw.json"
    page.write_text(PAGE)
    places = ("--runs", folder / "runs", "--page", page, "--json", raw)
    assert command("games", "--seeds", "1", "--steps", "1200", *places, *options)[0] == 0
    written = page.read_text()
    assert written.startswith("Before.\n<!-- games")
    assert written.endswith("<!-- end of games -->\nAfter.\n")
    records = json.loads(raw.read_text())["runs"]
    for record in records:
        assert f"{record['share']:.3f}".lstrip("-") in written or abs(record["share"]) >= 1
    return {f"{r['who']} {r['learning_rate']} {r['game']}": r for r in records}


@pytest.mark.slow
def test_the_games_table_is_that_of_its_runs(command: Command, tmp_path: Path) -> None:
    ours = games(command, tmp_path)
    assert list(ours) == ["MADDPG 0.003 team", "MADDPG 0.003 regulator"]
    assert all(record["share"] != record["untrained"] for record in ours.values())
    # What is there already is read, not trained again.
    (file,) = (tmp_path / "runs").glob("*team*")
    file.write_text(json.dumps({**json.loads(file.read_text()), "share": 0.123}))
    assert games(command, tmp_path)["MADDPG 0.003 team"]["share"] == 0.123
    # But not what ran otherwise.
    file.write_text(json.dumps({**json.loads(file.read_text()), "tau": 0.5}))
    assert "MADDPG 0.003 team" not in games(command, tmp_path, "--table")
    assert games(command, tmp_path)["MADDPG 0.003 team"] == {
        **ours["MADDPG 0.003 team"],
        "cpu_seconds": pytest.approx(0.0, abs=1e3),
    }


@pytest.mark.slow
def test_the_public_implementation_gets_the_same_games_and_gradient_steps(
    command: Command, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    for name, text in (("algorithms/maddpg.py", STAND_IN), ("utils/buffer.py", STAND_IN_BUFFER)):
        (clone / name).parent.mkdir(parents=True)
        (clone / name).write_text(text)
    who = ("-c", "user.name=someone", "-c", "user.email=someone@example.org")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "all")):
        subprocess.run(["git", "-C", str(clone), *words], check=True, capture_output=True)
    records = games(command, tmp_path, "--public", str(clone))
    for game in ("team", "regulator"):
        ours = records[f"MADDPG 0.003 {game}"]
        assert ours["gradient_steps"] > 0
        for who, rate in itertools.product((THEIRS, f"{THEIRS} with its own noise"), (0.001, 0.01)):
            theirs = records[f"{who} {rate} {game}"]
            for name in ("gradient_steps", "gamma", "tau", "learning_starts", "steps"):
                assert theirs[name] == ours[name]
            assert theirs["share"] == pytest.approx(0.0)  # it does nothing
            assert len(theirs["commit"]) == 40
