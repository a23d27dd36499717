"""Documents say what is true: names exist, links lead somewhere, snippets run."""

import ast
import importlib
import inspect
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mec_gym import Scenario, Traces, Uniform
from mec_gym.envs.offloading import MultiMECEnv

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("benchmarks/*.md")])
LEDGER = (ROOT / "docs/paper-to-code.md").read_text()
NAMES = re.findall(
    r"`((?:mec_gym|dirs_agents|baselines|mec_bench)\.[\w.]+)` (?:`\w+` )?\|$", LEDGER, re.M
)
# | paper | what | `name` |
ROWS = re.findall(r"^\| ([^|]+) \| [^|]+ \| `([\w.]+)` \|$", LEDGER, re.M)
# | paper | parameter | value | `owner` `argument` |
PARAMETERS = re.findall(
    r"^\| [^|]+ \| ([^|]+) \| ([\w.-]+) \| `([\w.]+)` `(\w+)` \|$", LEDGER, re.M
)


def snippets(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def numbers(text: str) -> set[int]:
    """Return the numbers in a text such as "2, 4 and 12 to 14"."""
    spans = re.findall(r"(\d+)(?: to (\d+))?", text)
    return {number for one, to in spans for number in range(int(one), int(to or one) + 1)}


def places(text: str) -> set[str]:
    """Return the equations, algorithms and lines of algorithms that a text names."""
    text = " ".join(text.split())
    found = {f"({number})" for number in re.findall(r"\((\d+)\)", text)}
    for first, last in re.findall(r"\((\d+)\)-\((\d+)\)", text):
        found |= {f"({number})" for number in range(int(first), int(last) + 1)}
    found |= set(re.findall(r"Algorithm \d", text))
    for name, lines in re.findall(r"(Algorithm \d), lines? ((?:\d|, | to | and (?=\d))+)", text):
        found |= {f"{name}, line {number}" for number in numbers(lines)}
    return found


def named(name: str) -> tuple[object, object]:
    """Return what a dotted name stands for, and what holds it."""
    if name.startswith("dirs_agents."):
        pytest.importorskip("stable_baselines3")
    parts = name.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        owner = None
        for part in parts[split:]:
            assert hasattr(found, part), f"{name}: no {part} in {found!r}"
            owner, found = found, getattr(found, part)
        return found, owner
    pytest.fail(f"{name} cannot be imported")


def docstring(name: str) -> str:
    """Return the docstring of a name; of a method, with that of its class."""
    found, owner = named(name)
    own = found.__doc__ or ""
    return f"{own}\n{owner.__doc__}" if inspect.isclass(owner) else own


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_every_name_of_the_ledger_exists(name: str) -> None:
    named(name)


@pytest.mark.parametrize(("paper", "name"), [row for row in ROWS if places(row[0])])
def test_the_code_names_the_place_of_the_paper_that_the_ledger_names(paper: str, name: str) -> None:
    assert places(paper) <= places(docstring(name))


def test_the_ledger_covers_the_equations() -> None:
    covered = {place for place in places(LEDGER) if place.startswith("(")}
    # (12) is problem P1 before it is split by server into (13).
    assert covered == {f"({number})" for number in range(1, 24) if number != 12}


@pytest.mark.parametrize(("symbol", "value", "owner", "argument"), PARAMETERS)
def test_the_parameters_of_the_ledger_are_the_defaults(
    symbol: str, value: str, owner: str, argument: str
) -> None:
    found, _ = named(owner)
    assert callable(found)
    assert inspect.signature(found).parameters[argument].default == float(value)
    entry = re.search(
        rf"^(?:\w+, )*{argument}(?:, \w+)* : .*\n((?:    .*\n)+)", inspect.getdoc(found) or "", re.M
    )
    assert entry
    assert re.search(rf"(?<!\w){re.escape(symbol)}(?!\w)", entry[1])


def test_the_ledger_covers_algorithms_tables_and_figures() -> None:
    # "end for" and "end while" do nothing.
    lines = {1: "1 to 10, 12 to 14", 2: "1 to 6", 3: "1 to 11", 4: "1 to 8"}
    covered = {place for paper, _ in ROWS for place in places(paper)}
    for number, wanted in lines.items():
        assert {f"Algorithm {number}, line {line}" for line in numbers(wanted)} <= covered
    for name in ("Table I", "Table II", "Table III", "Table IV", "Table V"):
        assert re.search(rf"\| {name} \|", LEDGER), name
    for number in range(3, 8):
        assert f"| Fig. {number} |" in LEDGER


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def require_ignored(name: str) -> None:
    """Fail where git would show a file that is written in a clone's root."""
    if (ROOT / ".git").exists():
        found = subprocess.run(["git", "check-ignore", "-q", "--no-index", name], cwd=ROOT)
        assert found.returncode == 0, f"{name} is not in .gitignore"


def test_what_documented_commands_write_is_ignored() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    folders = set(re.findall(r"--out ([\w-]+)", text)) | {
        "runs",
        "report",
        "studies",
        "demo-output",
    }
    assert {"measured", "report"} <= folders
    examples = "".join(file.read_text("utf-8") for file in ROOT.glob("examples/integrations/*.py"))
    written = set(re.findall(r'(?:RecordVideo\(env, |tensorboard_log=)"([\w-]+)"', examples))
    assert written == {"videos", "logs"}
    folders |= written | {"wandb"}
    for name in folders:
        require_ignored(f"{name}/")
    require_ignored("my-sites.json")  # examples/my_sites.py


SAID = {
    "README.md": ("optimal",),
    "docs/guide.md": ("29 of 30 can execute locally", "Estimate(mean="),
    "docs/algorithms/actor_critic.md": ("Estimate(mean=",),
    "docs/training.md": ("greedy 0.9", "dirs:prices on paper-30x2", "studies/ac-links-small.json"),
    "docs/bring-your-own.md": ("CrossEntropy",),
}
"""What the snippets of a page print, among other things."""


@pytest.mark.parametrize(
    "page", [page for page in PAGES if snippets(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_snippets_of_a_page_run(
    page: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("stable_baselines3")
    pytest.importorskip("pettingzoo")
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for snippet in snippets(page):
        exec(compile(snippet.replace("40_000", "1024"), page.name, "exec"), names)
    for left in tmp_path.iterdir():
        require_ignored(left.name + "/" * left.is_dir())
    printed = capsys.readouterr().out
    for words in SAID.get(str(page.relative_to(ROOT)), ()):
        assert words in printed
    if page.name == "bring-your-own.md":
        from mec_bench import check_algorithm

        for name in ("best_gain", "Tries"):
            report = check_algorithm(names[name], timesteps=16)
            assert report.passed, str(report)
    if page.name == "dirs.md":
        assert names["model"].num_timesteps == 200
        assert names["served"].any()
        env = names["gym"].make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
        whole, halfway = names["DIRS"](env=env, **names["settings"]).learn(20), names["halfway"]
        for name, weight in whole.policy.state_dict().items():
            assert weight.equal(halfway.policy.state_dict()[name]), name


def test_what_an_algorithm_may_offer_is_listed() -> None:
    from mec_bench.registry import OFFERS

    page = (ROOT / "docs/bring-your-own.md").read_text(encoding="utf-8")
    listed = page.partition("may offer more")[2].partition("`check_algorithm`")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", listed, re.M)) == set(OFFERS)


@pytest.mark.slow
def test_stable_baselines3_reaches_what_readme_says(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("stable_baselines3")
    page = ROOT / "README.md"
    said = re.search(r"reaches (\d+) % of the optimum", page.read_text(encoding="utf-8"))
    assert said
    names: dict[str, Any] = {}
    for snippet in snippets(page)[:2]:
        exec(compile(snippet, page.name, "exec"), names)
    reached = names["estimate"](names["nrr"](names["slots"], names["decide_with"](names["model"])))
    assert reached.mean >= int(said[1]) / 100


# -- the environment's page -----------------------------------------------------------------------


def table(heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading of the environment's page."""
    page = (ROOT / "docs/environment.md").read_text(encoding="utf-8")
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line[2:-2].split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def test_the_arguments_of_the_environment_page_are_those_of_the_class() -> None:
    parameters = inspect.signature(MultiMECEnv).parameters
    wanted = {name: one.default for name, one in parameters.items() if name != "overrides"}
    rows = [row for row in table("Arguments") if row[0].startswith("`")]
    assert {row[0].strip("`"): ast.literal_eval(row[2].strip("`")) for row in rows} == wanted
    for row in rows:
        for choice in re.findall(r'`"(\w+)"`', row[1]):  # each value works
            MultiMECEnv("paper-30x2", **{row[0].strip("`"): choice})


@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("optimum", [False, True])
def test_the_info_of_the_environment_page_is_that_of_a_step(optimum: bool, moves: bool) -> None:
    env = MultiMECEnv("paper-30x2", optimum=optimum, migration_s=float(moves))
    env.reset(seed=0)
    info = env.step([0] * 30)[4]
    absent = [] if optimum else ["optimum=True"]
    absent += [] if moves else ["where moves cost"]
    rows = [row for row in table("Info") if not any(words in row[3] for words in absent)]
    assert [row[0].strip("`") for row in rows] == list(info)
    shapes = {"()": (), "(M,)": (2,)}
    assert [np.shape(value) for value in info.values()] == [shapes[row[1]] for row in rows]


def test_the_spaces_of_the_environment_page_are_those_of_the_class() -> None:
    shapes = {"(N,)": (200,), "(N, M + T)": (200, 12), "(N · (M + T),)": (2400,)}
    for what, space, shape, _ in table("Spaces"):
        kind = (re.findall(r'"(\w+)"', what) or ["db"])[0]
        env = MultiMECEnv("unequal-200x10", observation=kind)
        found = env.action_space if what == "action" else env.observation_space
        assert found.shape == shapes[shape]
        assert type(found).__name__ == re.findall(r"`(\w+)`", space)[0]


def test_the_further_columns_of_the_environment_page_are_those_of_an_observation() -> None:
    counts = {"data, then cycles": 2, "M hosts": 3, "present": 1}
    assert [row[0] for row in table("Further columns")] == list(counts)
    samples = np.array([[[0.0, 0.0]] * 4, [[9.0, 9.0]] * 4])
    samples[1, 3] = np.nan
    scenario = Scenario(
        n_devices=4,
        n_servers=3,
        data_bits=Uniform(1e5, 2e5),
        cycles=Uniform(1e8, 2e8),
        migration_s=1.0,
        mobility=Traces(samples, interval_s=1.0),
        device_positions=[[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 3.0]],
    )
    env = MultiMECEnv(scenario, observation="raw")
    env.reset(seed=0)
    for _ in range(2):
        seen = env.step([0, 1, 2, 2])[0]
        assert seen.shape == (4, 3 + sum(counts.values()))
        np.testing.assert_allclose(seen[:, 3], env.slot.data_bits, rtol=1e-6)
        np.testing.assert_allclose(seen[:, 4], env.slot.cycles, rtol=1e-6)
        assert (seen[:3, 5:8] == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]).all()
        assert (seen[:, 8] == (env.slot.cycles > 1)).all()


def test_every_preset_has_a_sentence_and_a_picture() -> None:
    rows = table("Presets")
    assert [row[0].strip("`") for row in rows] == list(Scenario.presets())
    for name, picture, sentence in rows:
        path = ROOT / "docs" / re.findall(r"\((.+)\)", picture)[0]
        assert path.stem == name.strip("`")
        assert path.stat().st_size < 90_000
        assert sentence.endswith(".")


def test_the_pictures_of_the_presets_are_what_the_script_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pygame = pytest.importorskip("pygame")
    monkeypatch.syspath_prepend(ROOT / "docs/_extensions")
    script = importlib.import_module("preset_pictures")
    kept = pygame.image.load(ROOT / "docs/presets/paper-30x2.png")
    difference = pygame.surfarray.array3d(kept).swapaxes(0, 1) - script.picture("paper-30x2") * 1.0
    assert np.abs(difference).mean() < 1  # another version of the library smooths otherwise
