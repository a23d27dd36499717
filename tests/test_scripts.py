"""Scripts run as a user runs them and leave what they promise."""

import subprocess
import sys
from pathlib import Path

import pytest

from mec_gym import Scenario

ROOT = Path(__file__).resolve().parents[1]


def run(script: str, *options: str) -> str:
    command = [sys.executable, str(ROOT / "scripts" / script), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


QUICK_HELP = """
import runpy, sys
script = sys.argv[1]
sys.argv = [script, "--help"]
try:
    runpy.run_path(script, run_name="__main__")
finally:
    loaded = {"torch", "stable_baselines3", "matplotlib", "scipy.stats"} & set(sys.modules)
    assert not loaded, loaded
"""


@pytest.mark.parametrize(
    "script", ["train", "evaluate", "benchmark", "report", "reproduce", "demo"]
)
def test_help_does_not_wait_for_heavy_libraries(script: str) -> None:
    command = [sys.executable, "-c", QUICK_HELP, str(ROOT / "scripts" / f"{script}.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")


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
    command = [sys.executable, str(ROOT / "scripts" / words[0]), *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
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
    command = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *OUT[script], "--out", place]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: --out must be a folder, or a place for one; {tmp_path}")
    assert done.stdout == ""
    assert (tmp_path / "taken").read_text() == "mine"


def test_evaluate_prints_its_table_though_writing_fails(tmp_path: Path) -> None:
    # Where the folder of the second result has to come, a file stands.
    (tmp_path / "001").write_text("mine")
    options = ["greedy", "local", "--scenario", "paper-30x2", "--layouts", "2"]
    command = [sys.executable, str(ROOT / "scripts" / "evaluate.py"), *options]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 1
    assert str(tmp_path / "001") in done.stderr
    assert "greedy" in done.stdout
    assert "(optimum)" in done.stdout


@pytest.mark.slow
def test_the_demo_trains_measures_and_reports(tmp_path: Path) -> None:
    for extra in ("pygame", "pymoo", "matplotlib"):
        pytest.importorskip(extra)
    small = Scenario(n_devices=6, n_servers=2, name="six devices").to_json(tmp_path / "six.json")
    assert small
    out = tmp_path / "demo"
    printed = run(
        *("demo.py", "--scenario", str(tmp_path / "six.json")),
        *("--timesteps", "20", "--out", str(out)),
    )
    for word in ("dirs:prices", "greedy", "pso[max_evaluations=200] ‡", "(optimum)", "--logdir"):
        assert word in printed
    assert (out / "slot.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "report.html").read_text()
    assert "six devices" in page
    for text in (printed, page):
        assert "it starts from the greedy decision" in text
    nrr = [float(line.split()[2]) for line in printed.splitlines() if line.startswith("dirs ")]
    assert 0 < nrr[0] <= 1
