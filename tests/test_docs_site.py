"""The documentation site is built without a warning, whole, and works without a network."""

from __future__ import annotations

import ast
import fnmatch
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PACKAGES = ("mec_gym", "dirs_agents", "baselines", "mec_bench")


# -- sources, without a build ---------------------------------------------------------------------


def setting(name: str) -> Any:
    """Read a literal from conf.py without running it."""
    for statement in ast.parse((DOCS / "conf.py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return ast.literal_eval(statement.value)
    raise LookupError(name)


def toctree_entries(page: Path) -> Iterator[str]:
    for body in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
        for line in body.splitlines():
            if line and not line.startswith(":"):
                yield (page.parent / line).relative_to(DOCS).as_posix()


def test_every_page_is_in_a_toctree() -> None:
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    entries = [entry for page in DOCS.rglob("*.md") for entry in toctree_entries(page)]
    reached = {page for page in pages for entry in entries if fnmatch.fnmatchcase(page, entry)}
    assert pages - reached == {"index"}, "give them a place in a toctree of docs/index.md"


def test_the_reference_has_every_package() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
    found = re.search(
        r"^\[tool\.setuptools\.packages\.find\]\ninclude = (\[.*?\])$", pyproject, re.M
    )
    assert found
    packages = {pattern.split(".")[0] for pattern in ast.literal_eval(found[1])}
    assert set(setting("api_packages")) == packages
    listed = set(toctree_entries(DOCS / "api" / "index.md"))
    assert listed == {f"api/generated/{package}" for package in packages}


# -- the built site -------------------------------------------------------------------------------


@dataclass
class Page(HTMLParser):
    """What the checks need of a page: anchors, links, what it loads, code that is no link."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    plain_code: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value is not None}
        if "id" in values:
            self.ids.add(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in ("link", "script", "img", "iframe"):
            self.loaded += [values[name] for name in ("href", "src") if name in values]
        if tag in ("a", "code"):
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.opened:
            self.opened.remove(tag)

    def handle_data(self, data: str) -> None:
        if "code" in self.opened and "a" not in self.opened:
            self.plain_code.append(data)


@dataclass(frozen=True)
class Site:
    """A built site: its folder, what the build said, its pages by path."""

    folder: Path
    returncode: int
    output: str
    pages: dict[Path, Page]


def parsed(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def built(source: Path, folder: Path) -> Site:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
    done = subprocess.run(
        [*command, "-d", str(folder / "doctrees"), str(source), str(folder / "site")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    output = done.stdout + done.stderr
    pages = {path: parsed(path) for path in (folder / "site").rglob("*.html")}
    assert folder / "site" / "index.html" in pages, output
    return Site(folder / "site", done.returncode, output, pages)


def links_in_text(site: Site, page: str) -> list[str]:
    """Links of a page's own text, those of the sidebar left out."""
    text = (site.folder / page).read_text(encoding="utf-8")
    article = Page()
    article.feed(text[text.index("<article") : text.index("</article>")])
    return article.links


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    for needed in ("sphinx", "furo", "myst_parser", "numpydoc", "stable_baselines3", "pymoo"):
        pytest.importorskip(needed)
    return built(DOCS, tmp_path_factory.mktemp("docs"))


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(site: Site) -> None:
    assert site.output == ""
    assert site.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "page"),
    [
        ("gamma", "guide"),
        ("observation", "guide"),
        ("optimum", "guide"),
        ("quasi-convex", "model"),
        ("melbourne", "tour"),
        ("quota", "algorithms/rules"),
    ],
)
def test_search_finds_words(site: Site, word: str, page: str) -> None:
    stem = pytest.importorskip("snowballstemmer").stemmer("english").stemWord
    script = (site.folder / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(script.removeprefix("Search.setIndex(").removesuffix(")"))
    for part in word.split("-"):
        found: set[str] = set()
        for kind in ("terms", "titleterms"):
            numbers = index[kind].get(stem(part), [])
            numbers = [numbers] if isinstance(numbers, int) else numbers
            found |= {index["docnames"][number] for number in numbers}
        assert page in found


@pytest.mark.slow
def test_search_puts_guides_first(site: Site) -> None:
    scorer = (DOCS / "_static" / "scorer.js").read_text(encoding="utf-8")
    assert scorer in (site.folder / "_static" / "language_data.js").read_text(encoding="utf-8")
    named = re.search(r"const first = \[(.*?)\].*?const guides = \[(.*?)\]", scorer, re.S)
    assert named
    pages = re.findall(r'"([\w-]+)"', "".join(named.groups()))
    assert [page for page in pages if not (DOCS / f"{page}.md").exists()] == []


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_an_anchor(site: Site, package: str) -> None:
    anchors = set().union(*(page.ids for page in site.pages.values()))
    names = importlib.import_module(package).__all__
    assert {f"{package}.{name}" for name in names} - anchors == set()


@pytest.mark.slow
def test_names_in_backquotes_lead_to_the_reference(site: Site) -> None:
    ledger = site.pages[site.folder / "paper-to-code.html"]
    assert [text for text in ledger.plain_code if text.startswith(PACKAGES)] == []


@pytest.mark.slow
def test_no_link_inside_the_site_is_broken(site: Site) -> None:
    broken = []
    for path, page in site.pages.items():
        for link in page.links + page.loaded:
            url = urlsplit(link)
            if url.scheme:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            anchor = unquote(url.fragment)
            if not target.is_file():
                broken.append(f"{path.relative_to(site.folder)}: {link}")
            elif anchor and target.suffix == ".html" and anchor not in site.pages[target].ids:
                broken.append(f"{path.relative_to(site.folder)}: {link}, no such anchor")
    assert broken == []


@pytest.mark.slow
def test_links_to_files_of_the_repository_lead_to_what_shows_them(site: Site) -> None:
    loop = "../api/generated/dirs_agents.html#dirs_agents.DIRS.learn"
    assert loop in links_in_text(site, "algorithms/dirs.html")
    assert "../benchmarks.html" in links_in_text(site, "decisions/0006-step-speed.html")
    data = links_in_text(site, "dirs-results.html")
    assert any(re.fullmatch(r"_downloads/\w+/dirs-results\.json", link) for link in data)


@pytest.mark.slow
def test_no_page_loads_anything_from_a_network(site: Site) -> None:
    loaded = {url for page in site.pages.values() for url in page.loaded}
    assert {url for url in loaded if urlsplit(url).scheme or url.startswith("//")} == set()
