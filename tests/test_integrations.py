"""Examples of other libraries run untouched and reach what their pages say."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pydantic")

from reproduction import integrations

EXAMPLES = sorted(integrations.EXAMPLES.glob("*.py"))
PAGES = sorted(integrations.INDEX.parent.glob("*.md"))

examples = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)


@examples
def test_an_example_needs_this_project_and_stands_on_one_page(example: Path) -> None:
    needed = [integrations.project(one) for one in integrations.requirements(example)]
    assert needed[0] == "mec-gym"
    assert len(set(needed)) == len(needed)
    shown = f"{{literalinclude}} ../../examples/integrations/{example.name}\n"
    assert sum(shown in page.read_text("utf-8") for page in PAGES) == 1


def test_projects_are_named_without_extras_and_versions() -> None:
    named = [
        "torch",
        "mec-gym[sb3]",
        "ray[rllib]>=2.60",
        "gymnasium >=1.2",
        "a.b_c<2; os_name=='x'",
    ]
    wanted = ["torch", "mec-gym", "ray", "gymnasium", "a.b_c"]
    assert list(map(integrations.project, named)) == wanted


def test_the_last_line_is_the_outcome() -> None:
    printed = "NRR 0.100 after 1 slots\nNRR 0.982 after 153600 slots\n\n"
    assert integrations.outcome(printed) == {"nrr": 0.982, "slots": 153600}
    for other in ("", "NRR nan after 5 slots", "NRR 0.5 after 5 slots\nbye"):
        with pytest.raises(ValueError, match="the last line must be like"):
            integrations.outcome(other)


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("print('NRR 0.500 after 7 slots')", {"nrr": 0.5, "slots": 7}),
        ("print('hello')", {"error": "the last line must be like NRR 0.982 after 153600 slots;"}),
        ("import no_such_library", {"error": "ModuleNotFoundError: No module named"}),
        ("import os; os.abort()", {"error": "it ended with status"}),
    ],
)
def test_what_an_example_did_is_kept(
    code: str, wanted: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrations, "environment", lambda needed: sys.executable)
    example = tmp_path / "one.py"
    example.write_text(f'# /// script\n# dependencies = ["mec-gym", "numpy"]\n# ///\n{code}\n')
    run = integrations.tried(example)
    assert set(run["versions"]) == {"mec-gym", "numpy", "gymnasium"}
    for key, value in wanted.items():
        assert str(run[key]).startswith(str(value))
    assert ("seconds" in run) == ("nrr" in wanted)


def test_the_pages_say_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "docs" / "integrations"
    shutil.copytree(integrations.INDEX.parent, copy)
    monkeypatch.setattr(integrations, "INDEX", copy / "index.md")
    integrations.write(integrations.read())
    for page in PAGES:
        assert (copy / page.name).read_text("utf-8") == page.read_text("utf-8"), page.name


@pytest.mark.slow
@examples
def test_an_example_reaches_what_its_page_says(example: Path, tmp_path: Path) -> None:
    for needed in map(integrations.project, integrations.requirements(example)):
        try:
            importlib.metadata.version(needed)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{needed} is not installed")
    command = [sys.executable, str(example)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # Libraries' versions, and SuperSuit's unseeded environments, give other weights.
    said = integrations.read()[example.stem]["nrr"]
    assert integrations.outcome(done.stdout)["nrr"] > said - 0.02
