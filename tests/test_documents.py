"""Documents say what is true: names exist, links lead somewhere, snippets run."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("benchmarks/*.md")])
NAMES = re.findall(
    r"`((?:mec_gym|dirs_agents|baselines|experiments)\.[\w.]+)` (?:`\w+` )?\|$",
    (ROOT / "docs/paper-to-code.md").read_text(),
    re.M,
)
# | paper | parameter | value | `owner` `argument` |
PARAMETERS = re.findall(
    r"\| ([\w.-]+) \| `([\w.]+)` `(\w+)` \|$", (ROOT / "docs/paper-to-code.md").read_text(), re.M
)


def snippets(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_every_name_of_the_ledger_exists(name: str) -> None:
    parts = name.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for part in parts[split:]:
            assert hasattr(found, part), f"{name}: no {part} in {found!r}"
            found = getattr(found, part)
        return
    pytest.fail(f"{name} cannot be imported")


def test_the_ledger_covers_the_equations() -> None:
    ledger = (ROOT / "docs/paper-to-code.md").read_text()
    named = set(map(int, re.findall(r"\((\d+)\)", ledger)))
    for first, last in re.findall(r"\((\d+)\)-\((\d+)\)", ledger):
        named |= set(range(int(first), int(last) + 1))
    # (12) is problem P1 before it is split by server into (13).
    assert named == set(range(1, 24)) - {12}


@pytest.mark.parametrize(("value", "owner", "argument"), PARAMETERS)
def test_the_parameters_of_the_ledger_are_the_defaults(
    value: str, owner: str, argument: str
) -> None:
    module, _, name = owner.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert inspect.signature(found).parameters[argument].default == float(value)


def test_the_ledger_covers_algorithms_tables_and_figures() -> None:
    ledger = (ROOT / "docs/paper-to-code.md").read_text()
    lines = {1: {*range(1, 11), *range(12, 15)}, 2: set(range(1, 7)), 3: set(range(1, 12))}
    # "end for" and "end while" do nothing.
    for number, wanted in (lines | {4: set(range(1, 9))}).items():
        covered: set[int] = set()
        for text in re.findall(rf"\| Algorithm {number}, lines? ([\d, to]+)", ledger):
            for first, last in re.findall(r"(\d+)(?: to (\d+))?", text):
                covered |= set(range(int(first), int(last or first) + 1))
        assert wanted <= covered, f"Algorithm {number} lacks lines {wanted - covered}"
    for name in ("Table I", "Table II", "Table III", "Table IV", "Table V"):
        assert re.search(rf"\| {name} \|", ledger), name
    for number in range(3, 8):
        assert f"| Fig. {number} |" in ledger


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_snippets_of_the_readme_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("stable_baselines3")
    pytest.importorskip("pettingzoo")
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    for snippet in snippets("README.md"):
        exec(compile(snippet, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "optimal" in printed
    assert names["s"].n_servers == 4  # type: ignore[attr-defined]


def test_the_snippets_of_the_page_on_dirs_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("stable_baselines3")
    pytest.importorskip("pettingzoo")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for snippet in snippets("docs/algorithms/dirs.md"):
        exec(compile(snippet, "dirs.md", "exec"), names)
    assert names["model"].num_timesteps == 200  # type: ignore[attr-defined]
    assert names["served"].any()  # type: ignore[attr-defined]


def test_the_snippets_of_the_guide_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for snippet in snippets("docs/guide.md"):
        exec(compile(snippet, "guide.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "29 of 30 can execute locally" in printed
    assert "Estimate(mean=" in printed


@pytest.mark.parametrize("page", ["ddpg.md", "maddpg.md"])
def test_the_snippets_of_the_pages_on_learners_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("stable_baselines3")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for snippet in snippets(f"docs/algorithms/{page}"):
        exec(compile(snippet, page, "exec"), names)
    assert names["model"].num_timesteps > 0  # type: ignore[attr-defined]
