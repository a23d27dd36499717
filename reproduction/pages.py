"""What all pages share: templates, cells, commits, places of files."""

from __future__ import annotations

import hashlib
import os
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from mec_bench.statistics import half_interval
from mec_bench.tables import p_value, plus_minus
from mec_gym.files import in_lines, read_object, write_whole

ROOT = Path(__file__).resolve().parents[1]
DOCS, README = ROOT / "docs", ROOT / "README.md"
RESULTS = Path(__file__).resolve().parent / "results"
"""Of the raw figures that pages in ``docs`` are made of."""

MISSING = "–"


def places(out: Path | None) -> tuple[Path, Path]:
    """Return the folder of a page and that of its raw figures: both `out`, if that is given."""
    return (DOCS, RESULTS) if out is None else (out, out)


def write_page(page: Path, raw: Path, template: str, /, **content: Any) -> Path:
    """Render a template that may link to its raw figures, write the page, and return its place."""
    link = Path(os.path.relpath(raw, page.parent)).as_posix()
    write_whole(page, render(template, raw=link, **content))
    return page


def write_json(path: Path, content: Any) -> None:
    """Write raw figures or a record, an entry a line."""
    write_whole(path, in_lines(content))


def kept(file: Path, asked: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> Any:
    """Return the record of what is asked: of its file, or measured now and written there."""
    record = read_object(file) if file.exists() else {}
    if not asked.items() <= record.items():
        record = asked | measure()
        write_json(file, record)
    return record


def render(template: str, /, **content: Any) -> str:
    """Return a page: its template with the content, prose in lines of 100 characters."""
    return filled(_TEMPLATES.get_template(template).render(**content))


def filled(text: str) -> str:
    """Return Markdown with prose filled; code, tables, lists and titles stay as they are."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    blocks = [
        block.strip("\n")
        for index, part in enumerate(parts)
        for block in ([part] if index % 2 else part.split("\n\n"))
        if block.strip()
    ]
    return "\n\n".join(map(_filled, blocks)) + "\n"


def _filled(block: str) -> str:
    if block.startswith(("|", "- ", "#", "!", ">", "<!--", "```")):
        return block
    words = " ".join(block.split())
    return textwrap.fill(words, 100, break_long_words=False, break_on_hyphens=False)


def shown(value: float, form: str) -> str:
    """Return a number in a format, MISSING for NaN: the filter ``form`` of templates."""
    return MISSING if value != value else format(value, form)


def clause(text: str) -> str:
    """Return text in one line, without a full stop: a filter of templates."""
    return " ".join(text.split()).removesuffix(".")


def rows(cells: Iterable[Sequence[Any]]) -> str:
    """Return rows of a Markdown table: a filter of templates."""
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in cells)


def head(cells: Sequence[Any]) -> str:
    """Return the head of a Markdown table: a filter of templates."""
    return rows([cells]) + "\n|" + "---|" * len(cells)


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).resolve().parent / "templates"),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # Markdown, of our own numbers
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def short_hash(text: str) -> str:
    """Return twelve hexadecimal digits that tell texts apart, for names of files."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def rounded(value: float) -> float:
    """Return a number with seven significant digits: more would say nothing and weigh more."""
    return float(f"{value:.7g}")


# -- cells -----------------------------------------------------------------------------------------

Values = Sequence[float] | Mapping[int, float]
"""A figure by seed."""


def listed(values: Values) -> list[float]:
    """Return a figure of every seed."""
    return list(values.values()) if isinstance(values, Mapping) else list(values)


def mean(values: Values) -> float:
    """Return the mean; NaN of nothing."""
    return float(np.mean(listed(values))) if len(values) else float("nan")


def cell(values: Values, digits: int = 2, *, seeds: int = 0, scale: float = 1.0) -> str:
    """Return a cell: mean ± half of the 95 % interval; one of fewer than `seeds` says so."""
    if not len(values):
        return MISSING
    scaled = [scale * value for value in listed(values)]
    text = f"{mean(scaled):.{digits}f}"
    if len(scaled) > 1:
        text += f" ± {half_interval(scaled):.{digits}f}"
    return text + few(len(values), seeds)


def nrr_cell(values: Values, *, seeds: int = 0) -> str:
    """Return a cell: mean ± half of the 95 % interval, with as many digits as that bears."""
    if not len(values):
        return MISSING
    return plus_minus(mean(values), half_interval(listed(values))) + few(len(values), seeds)


def few(found: int, wanted: int) -> str:
    """Return how many seeds there are, where more are wanted."""
    return f" ({found} seed{'s' * (found > 1)})" if found < wanted else ""


def ratio(values: Values, published: float) -> str:
    """Return ours over the paper's."""
    return f"{mean(values) / published:.3f}" if len(values) else MISSING


def commits(found: Iterable[str | None]) -> list[tuple[str | None, int]]:
    """Return how many results come from which commit, None last: the names in short."""
    counts = Counter(commit and commit[:7] for commit in found)
    return sorted(counts.items(), key=lambda one: (one[0] is None, one[0] or ""))


_TEMPLATES.filters |= {"form": shown, "clause": clause, "rows": rows, "head": head}
_TEMPLATES.filters |= {"cell": cell, "ratio": ratio, "mean": mean, "nrr": nrr_cell}
_TEMPLATES.filters |= {"p": lambda p: p_value(p).text}
