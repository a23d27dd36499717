"""The wheel holds what is imported and nothing else, and its command works far from a clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import mec_gym

pytestmark = pytest.mark.slow
pytest.importorskip("stable_baselines3")
pytest.importorskip("setuptools")

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"baselines", "dirs_agents", "mec_bench", "mec_gym"}
Command = Callable[..., str]


def carried_out(*command: str | Path, cwd: Path) -> str:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # From a copy: building leaves traces, and old ones would be packed.
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in (*PACKAGES, "reproduction", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", target)
    carried_out(sys.executable, "-m", "pip", "wheel", *map(str, options), str(source), cwd=target)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def place(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An environment with the wheel in it, and a user's folder with a package of their own."""
    home, folder = tmp_path_factory.mktemp("env"), tmp_path_factory.mktemp("work")
    venv.create(home, with_pip=False, symlinks=True)
    library = home / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    # Everything else comes from here; but for lines of .pth files, this clone would, too.
    (library / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ("--no-deps", "--no-index", "--ignore-installed", "--prefix", home)
    install = ("-m", "pip", "--python", home / "bin/python", "install", *options, wheel)
    carried_out(sys.executable, *map(str, install), cwd=folder)
    (folder / "experiments").mkdir()
    (folder / "experiments/run1.py").write_text("import mec_gym\nprint(mec_gym.__file__)\n")
    return home / "bin", folder


def test_the_wheel_has_the_packages_and_what_they_read(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == PACKAGES | {
        f"mec_gym-{mec_gym.__version__}.dist-info"
    }
    data = ("*.py", "*.json", "*.j2", "*.zip", "py.typed")
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for kind in data
        for path in (ROOT / package).rglob(kind)
    }
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert {f"{package}/py.typed" for package in PACKAGES} <= wanted
    assert {name for name in wanted if name.endswith(".zip")}


def test_the_command_works_in_an_empty_folder(place: tuple[Path, Path]) -> None:
    programs, folder = place

    def command(*words: str) -> str:
        return carried_out(programs / "mec-gym", *words, cwd=folder)

    assert command("--version") == f"mec-gym {mec_gym.__version__}\n"
    assert "paper-30x2" in command("list")
    assert "greedy on paper-30x2" in command("train", "--algo", "greedy", "--scenario=paper-30x2")
    assert "greedy" in command("evaluate", "runs", "local", "--layouts", "2", "--out", "measured")
    assert "2 results, 0 problems" in command("report", "measured")
    few = ("--timesteps", "20", "--out", "learned")
    assert "dirs on paper-30x2" in command("train", "--algo", "dirs", "--scenario=paper-30x2", *few)
    matrix = (
        "--algos",
        "dirs",
        "random",
        "--scenarios",
        "paper-30x2",
        "--seeds",
        "2",
        "--jobs",
        "2",
    )
    assert "3 runs done, 0 not" in command("benchmark", *matrix, *few)
    assert "paper-30x2" in carried_out(programs / "python", "-m", "mec_gym", "list", cwd=folder)
    assert (folder / "report/report.html").is_file()
    assert "passes all" in command("check", "greedy")
    came = "pretrained:dirs-prices-paper-30x2"
    assert came in command("list")
    assert came in command("evaluate", came, "--layouts", "2")


def test_a_package_of_the_users_own_is_theirs(place: tuple[Path, Path]) -> None:
    programs, folder = place
    (file,) = carried_out(programs / "python", "-m", "experiments.run1", cwd=folder).splitlines()
    assert programs.parent in Path(file).parents
