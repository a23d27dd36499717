"""What the command says where something is amiss, so that its user can mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mec_bench import RunFolder, train, write_result
from mec_bench.cli import main
from mec_bench.demo import demonstrate
from mec_bench.results import EXAMPLE
from mec_bench.run import Status
from tests.mec_bench.harness_helpers import SMALL, quick

MINE = """
import numpy as np


class Mine:
    def __init__(self, env):
        self.env, self.local = env, np.zeros(env.action_space.shape, dtype=int)

    def learn(self, total_timesteps):
        self.env.reset()
        for _ in range(total_timesteps):
            self.env.step(self.local[None])

    def predict(self, observations):
        return np.tile(self.local, (len(observations), 1))


class Early(Mine):
    def learn(self, total_timesteps):
        super().learn(12)


class Broken(Mine):
    def learn(self, total_timesteps):
        super().learn(12)
        np.ones(3) + np.ones(4)
"""
WHERE = "(mine.py, line 26, in learn)"


@pytest.fixture
def here(user_folder: Path) -> Path:
    (user_folder / "mine.py").write_text(MINE)
    SMALL.to_json(user_folder / "small.json")
    return user_folder


def training(algo: str, *words: str) -> list[str]:
    options = ["--scenario", "small.json", "--timesteps", "2e1", "--quiet"]
    return ["train", "--algo", algo, *options, *words]


def refused(words: list[str], capsys: pytest.CaptureFixture[str], status: int = 1) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == status
    return capsys.readouterr().err


def test_a_run_that_was_done_before_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        main(training("mine:Mine"))
    words = "was done before; delete runs/small/mine-Mine-20/seed-0, or give another --out"
    assert capsys.readouterr().out.count(words) == 1


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named(
    device: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "error: device " in refused(training("mappo", "--device", device), capsys)
    assert not Path("runs").exists()


def test_a_fault_of_a_class_has_its_place(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(training("mine:Broken"), capsys)
    assert "could not be broadcast" in said
    assert f"{WHERE}\n" in said
    refusal = refused(training("mine:Broken", "--seed", "-1"), capsys)
    assert "seed must be" in refusal
    assert "(mine.py" not in refusal
    (file,) = Path("runs").rglob("status.json")
    status = RunFolder(file.parent).status()
    assert status is not None
    assert status.error.endswith(WHERE)


def test_no_result_is_no_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "empty").mkdir()
    assert "error: nothing to report" in refused(["report", "empty"], capsys)
    assert not (here / "report").exists()


def test_a_report_counts_runs_without_a_result(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, state in (("a", "failed"), ("b", "interrupted"), ("c", "done")):
        RunFolder(here / "runs" / name).path.mkdir(parents=True)
        RunFolder(here / "runs" / name).write_status(Status(state=state))
    write_result(here / "runs" / "c" / "result.json", EXAMPLE)
    assert main(["report", "runs", "runs/a"]) == 0
    assert "1 results, 2 runs without one (failed, stopped or" in capsys.readouterr().out


def test_a_demonstration_deletes_no_run_of_another(here: Path) -> None:
    mine = here / "runs" / quick("mappo", 8).place
    mine.mkdir(parents=True)
    with pytest.raises(FileExistsError, match=f"{mine} is no run of the demonstration"):
        demonstrate([SMALL], 8, 0, here)
    assert mine.exists()
    (mine / "of-the-demo").touch()  # one of a demonstration, and one that goes on now
    with RunFolder(mine).locked(), pytest.raises(BlockingIOError, match="another process"):
        demonstrate([SMALL], 8, 0, here)
    assert mine.exists()


@pytest.mark.parametrize("word", ["--timesteps=3000", "--seed=0", "--out=runs"])
def test_a_resumed_run_takes_no_other_settings(
    word: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Defaults that are given are meant, too."""
    assert "give nothing else" in refused(["train", "--resume", "x", word], capsys, 2)


def test_a_label_that_nobody_has_costs_no_figures(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["greedy", "local", "--scenario", "small.json", "--layouts", "2"]
    with pytest.raises(SystemExit):
        main(["evaluate", *words, "--against", "gredy"])
    told = capsys.readouterr()
    assert "\nlocal " in told.out
    assert "did you mean 'greedy'" in told.err
    broken = ["--algos", "mine:Broken", "local", "--scenarios", "small.json", "--timesteps", "20"]
    assert main(["benchmark", *broken, "--seeds", "1", "--against", "mine:Broken"]) == 1
    told = capsys.readouterr()
    assert "\nlocal " in told.out
    assert WHERE in told.out


def test_a_class_that_ended_early_is_not_trained_again(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stopped while it was measured; and a status that is deleted leaves no time of 0."""
    settings = quick("mine:Early", 20, checkpoints=0, measurements=1)
    with monkeypatch.context() as patch:
        patch.setattr("mec_bench.training.measured", lambda *_, **__: pytest.fail("stopped"))
        with pytest.raises(pytest.fail.Exception):
            train(settings, here / "run")
    (here / "run" / "status.json").write_text('{"state": "failed", "error": "a full disk"}')
    result = train(settings, here / "run")
    assert result.notes == ("it took 12 of 20 slots.",)  # and not that it went on
    assert result.seconds.training_cpu is None


def test_positionals_may_follow_options(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "greedy", "--layouts", "2", "--scenario", "small.json", "local"]
    assert main(words) == 0
    assert "\nlocal " in capsys.readouterr().out
    said = refused([*words, "--wrong"], capsys, 2)
    assert "evaluate: error: unrecognized arguments: --wrong" in said


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("MAPPO", "mappo"),
        ("experiments.mine", "experiments.mine:MyClass"),
        ("experiments/mine.py:Mine", "experiments.mine:Mine"),
        ("mine.py:Mine", "mine:Mine"),
    ],
)
def test_a_name_that_is_nearly_right_is_suggested(
    given: str, meant: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(training(given), capsys)
    assert f"did you mean '{meant}'?" in said
    assert len(said) < 400


def test_a_word_that_is_no_number_of_slots_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "argument --timesteps: must be a whole number >= 0; got '1.5'"
    assert words in refused(training("mine:Mine", "--timesteps", "1.5"), capsys, 2)
