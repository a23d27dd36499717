"""The page of DIRS says of agents that look ahead what was measured."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("stable_baselines3")

from reproduction import pages
from reproduction.looking_ahead import rows


def test_the_page_says_what_was_measured() -> None:
    page = (pages.DOCS / "algorithms/dirs.md").read_text(encoding="utf-8")
    said = re.findall(r"^\| `([\w-]+)` \| (\w+) \| ([\d.]+) \| (\d+) \|", page, re.MULTILINE)
    measured = {
        (name, kind, f"{mean:.3f}", str(seeds)) for name, kind, mean, seeds in rows(pages.RESULTS)
    }
    assert set(said) == measured
