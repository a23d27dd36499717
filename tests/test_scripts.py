"""The command and its scripts run as a user runs them and leave what they promise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mec_gym
from mec_gym import Scenario
from mec_gym.presets import PRESETS

pytest.importorskip("stable_baselines3")

from mec_bench import names, write_result
from mec_bench.cli import complain, main
from mec_bench.results import EXAMPLE

ROOT = Path(__file__).resolve().parents[1]


def called(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


QUICK_HELP = """
import runpy, sys
program, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = program
try:
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
finally:
    heavy = {"torch", "stable_baselines3", "matplotlib", "scipy.stats", "ray"}
    if not program.endswith("reproduce.py"):
        heavy |= {"jinja2", "pydantic"}
    assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
VERBS = ("train", "evaluate", "benchmark", "report", "demo")


@pytest.mark.parametrize(
    "words",
    [
        *([f"scripts/{verb}.py", "--help"] for verb in (*VERBS, "reproduce")),
        *(["mec_gym", verb, "--help"] for verb in (*VERBS, "list", "check", "tune")),
        ["mec_gym", "--help"],
        ["mec_gym", "list"],
    ],
    ids=" ".join,
)
def test_help_does_not_wait_for_heavy_libraries(words: list[str]) -> None:
    done = called("-c", QUICK_HELP, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if words[0] == "mec_gym" and "--help" in words:
        assert f"example{'s' * (len(words) > 2)}:\n  python" in done.stdout


def test_list_names_every_scenario_and_algorithm() -> None:
    listed = {
        line.split()[0] for line in called("-m", "mec_gym", "list").stdout.splitlines() if line
    }
    assert {*PRESETS, *names()} <= listed


def test_the_version_is_the_packages() -> None:
    assert called("-m", "mec_gym", "--version").stdout == f"mec-gym {mec_gym.__version__}\n"


HIDING = """
import runpy, sys
from importlib.machinery import PathFinder

hidden, *sys.argv[1:] = sys.argv[1:]

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in hidden.split(",") else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
runpy.run_module("mec_gym", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("given", ["0", "-1", "x", "1.5"])
def test_none_of_something_is_refused_at_once(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", "--algos", "greedy", f"--jobs={given}"])
    assert ended.value.code == 2
    words = f"error: argument --jobs: must be a whole number >= 1; got {given!r}"
    assert capsys.readouterr().err.splitlines()[-1].endswith(words)


@pytest.mark.parametrize("lacking", ["torch", "filelock,stable_baselines3,threadpoolctl,torch"])
def test_without_the_extra_there_is_one_sentence(lacking: str) -> None:
    words = ("train", "--algo", "greedy", "--scenario", "paper-30x2")
    done = called("-c", HIDING, lacking, *words)
    assert done.returncode == 1
    said = f'error: this needs {lacking.replace(",", ", ")}: pip install "mec-gym[train]", or '
    assert done.stderr.startswith(said)
    assert called("-c", HIDING, lacking, "list").returncode == 0


def test_a_report_is_made_without_torch(tmp_path: Path) -> None:
    write_result(tmp_path / "runs" / "result.json", EXAMPLE)
    done = called("-c", HIDING, "torch,stable_baselines3", "report", "runs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_an_import_that_fails_names_its_extra(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), complain():
        raise ModuleNotFoundError("No module named 'pymoo'", name="pymoo")
    assert 'error: this needs pymoo: pip install "mec-gym[search]", or ' in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError), complain():  # a fault of the code
        raise ModuleNotFoundError("No module named 'other'", name="other")


MINE = """
from stable_baselines3 import A2C

class Forgetful(A2C):
    def save(self, *args, **kwargs):
        pass
"""


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("greedy", 0, "passes all"),
        ("mine:Forgetful", 1, "- save: "),
        ("mine:Missing", 2, "mine has no class or function 'Missing'"),
    ],
)
def test_check_says_what_an_algorithm_lacks(
    name: str, status: int, words: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    done = called("-m", "mec_gym", "check", name, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["train.py", "--resume=runs/x", "--timesteps=10"], 2, "give nothing else but --quiet"),
        (["evaluate.py", "greedy", "--scenario-set", "noise_w=1e-6"], 2, "give both"),
        (
            ["benchmark.py", "--algos", "greedy", "random", "--against", "gready"],
            1,
            "did you mean 'greedy'",
        ),
    ],
)
def test_an_option_is_heeded_or_refused(words: list[str], status: int, message: str) -> None:
    done = called(str(ROOT / "scripts" / words[0]), *words[1:])
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


OUT: dict[str, list[str]] = {
    "train": ["--algo", "greedy", "--scenario", "paper-30x2"],
    "evaluate": ["greedy", "--scenario", "paper-30x2"],
    "benchmark": ["--algos", "greedy"],
    "report": ["."],
    "demo": ["--timesteps", "5", "--scenario", "paper-30x2"],
}


@pytest.mark.parametrize("below", ["", "further/down"])
@pytest.mark.parametrize("script", OUT)
def test_a_file_in_the_place_of_out_is_refused_before_any_work(
    script: str, below: str, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("mine")
    place = str(tmp_path / "taken" / below)
    done = called(
        str(ROOT / "scripts" / f"{script}.py"), *OUT[script], "--out", place, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: --out must be a folder, or a place for one; {tmp_path}")
    assert done.stdout == ""
    assert (tmp_path / "taken").read_text() == "mine"


def test_evaluate_prints_its_table_though_writing_fails(tmp_path: Path) -> None:
    # Where the folder of the second result has to come, a file stands.
    (tmp_path / "001").write_text("mine")
    options = ["greedy", "local", "--scenario", "paper-30x2", "--layouts", "2"]
    done = called(str(ROOT / "scripts/evaluate.py"), *options, "--out", str(tmp_path))
    assert done.returncode == 1
    assert str(tmp_path / "001") in done.stderr
    assert "greedy" in done.stdout
    assert "(optimum)" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("lacking", ["", "pygame"])
def test_the_demo_trains_measures_and_reports(lacking: str, tmp_path: Path) -> None:
    for extra in ("pygame", "matplotlib"):
        pytest.importorskip(extra)
    Scenario(n_devices=6, n_servers=2, name="six devices").to_json(tmp_path / "six.json")
    out = tmp_path / "demo"
    options = ("--scenario", str(tmp_path / "six.json"), "--timesteps", "20", "--out", str(out))
    done = called("-c", HIDING, lacking, "demo", *options)
    assert done.returncode == 0, done.stderr
    for word in ("dirs:prices", "greedy", "(optimum)", "--logdir"):
        assert word in done.stdout
    if lacking:
        assert 'pip install "mec-gym[render]"' in done.stdout
    else:
        assert (out / "six-devices.gif").read_bytes().startswith(b"GIF8")
    page = (out / "report.html").read_text()
    assert "six devices" in page
    assert ("data:image/gif;base64," in page) == (not lacking)
    (nrr,) = re.findall(r"^dirs:prices [^.\n]* (\d\.\d+) ", done.stdout, re.MULTILINE)
    assert 0 < float(nrr) <= 1
