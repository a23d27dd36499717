"""Promises about the repository as a whole: labels, imports, addresses, versions, docstrings."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mec_gym

ROOT = Path(__file__).resolve().parents[1]
LABEL = re.compile(r"\[[A-Z]-\d+\]")
HEAVY = ("torch", "stable_baselines3", "pettingzoo", "pygame", "matplotlib")

# Spelt so that this file does not match itself.
UNWANTED = {
    "the address of a package registry": re.compile(
        r"pypi[.]org|pythonhosted[.]org|download[.]pytorch[.]org|anaconda[.]org|[-]index-url"
    ),
    "a path of one machine": re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w"),
}


def labels(paths: list[Path]) -> set[str]:
    return {label for path in paths for label in LABEL.findall(path.read_text(encoding="utf-8"))}


def test_labels_of_model_and_code_agree() -> None:
    document = ROOT / "docs" / "model.md"
    assert document.is_file()
    described = labels([document])
    code = [
        path
        for folder in ("mec_gym", "dirs_agents", "baselines")
        for path in (ROOT / folder).rglob("*.py")
    ]
    named = labels(code)
    assert described, "docs/model.md labels no decision"
    assert described - named == set(), "described in docs/model.md, but named by no code"
    assert named - described == set(), "named by code, but not described in docs/model.md"


def test_import_is_light() -> None:
    script = (
        "import json, sys; import mec_gym; "
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == []


def project_files() -> list[Path]:
    """Files that are tracked, or would be if added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_files_name_no_registry_and_no_machine() -> None:
    found = []
    for path in project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            found += [
                f"{path.relative_to(ROOT)}:{number} has {what}"
                for what, pattern in UNWANTED.items()
                if pattern.search(line)
            ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("the address of a package registry", "https://" + "pypi" + ".org/simple"),
        ("the address of a package registry", "pip install -" + "-extra-index" + "-url x"),
        ("a path of one machine", "data = '/" + "home/someone/data'"),
        ("a path of one machine", "file:///" + "work/main"),
    ],
)
def test_patterns_recognise_what_they_are_for(what: str, text: str) -> None:
    assert UNWANTED[what].search(text)
    assert not UNWANTED[what].search("see ../homework/x, https://example.org/home/x and python.org")


PACKAGES = ("mec_gym", "dirs_agents", "baselines", "mec_bench")


@pytest.mark.parametrize("name", PACKAGES)
def test_hints_to_install_an_extra_say_how_in_a_clone_too(name: str) -> None:
    for path in (ROOT / name).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        hints = re.findall(r'(?<!``)pip install "mec-gym\[(\w+)\]"', text)
        assert hints == re.findall(r'pip install "\.\[(\w+)\]"', text), path


def test_the_picture_of_the_layers_shows_the_contracts() -> None:
    pytest.importorskip("tomllib")
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import layers
    finally:
        sys.path.remove(str(ROOT / "docs"))
    found = layers.layers((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {package for row in layers.ROWS for package in row} == {*PACKAGES, "reproduction"}
    assert all(found[package] for package in PACKAGES), "a package without a contract of layers"
    drawn = {name for layer in found["mec_bench"] for name in layer.split(", ")}
    assert drawn == {path.stem for path in (ROOT / "mec_bench").glob("[a-z]*.py")}
    assert layers.PICTURE.read_text(encoding="utf-8") == layers.picture(found)


def test_readme_leads_to_files_of_the_repository() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    project = re.search(
        r'^Repository = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M
    )
    assert project
    raw = project[1].replace("https://github.com", "https://raw.githubusercontent.com")
    links = re.findall(r"\]\(([^)]+)\)", text)
    ours = [
        re.sub(rf"^(?:{project[1]}/(?:blob|tree)|{raw})/main/", "", link)
        for link in links
        if link.startswith((project[1], raw))
    ]
    assert len(ours) > 10
    assert all(link.startswith("https://") for link in links), "a package index needs whole links"
    for path in ours:
        assert (ROOT / path).exists(), path


def test_versions_agree() -> None:
    def stated(file: str, pattern: str) -> list[str]:
        text = (ROOT / file).read_text(encoding="utf-8")
        return re.findall(pattern, text, flags=re.MULTILINE)

    assert stated("pyproject.toml", r'^version = "(.+)"$') == [mec_gym.__version__]
    assert stated("CITATION.cff", r"^version: (.+)$") == [mec_gym.__version__]


@pytest.mark.parametrize("name", [n for n in mec_gym.__all__ if callable(getattr(mec_gym, n))])
def test_public_names_are_documented_with_examples(name: str) -> None:
    docstring = inspect.getdoc(getattr(mec_gym, name)) or ""
    section = re.search(r"^Examples\n-{8}\n(.+)", docstring, flags=re.MULTILINE | re.DOTALL)
    assert section, f"mec_gym.{name} has no Examples section"
    assert ">>>" in section[1]
