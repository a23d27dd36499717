"""Draws the layers of the packages from the import contracts in pyproject.toml.

python docs/layers.py    (Python 3.11 or later) writes docs/decisions/layers.svg.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import tomllib

ROOT = Path(__file__).resolve().parents[1]
PICTURE = Path(__file__).with_name("decisions") / "layers.svg"
ROWS = (("reproduction",), ("mec_bench",), ("dirs_agents", "baselines"), ("mec_gym",))
"""The packages, highest first; those of one row do not know each other."""
COLOURS = ("#f0f0f0", "#e3ecf8", "#e6f3e3", "#fdf0dc")
WIDTH, HEAD, LINE, GAP = 860, 28, 22, 8


def layers(pyproject: str) -> dict[str, list[str]]:
    """Return the layers of each package, highest first, as the contracts have them."""
    contracts: list[Any] = tomllib.loads(pyproject)["tool"]["importlinter"]["contracts"]
    found: dict[str, list[str]] = {package: [] for row in ROWS for package in row}
    for contract in contracts:
        for layer in contract.get("layers", []) if "containers" not in contract else []:
            names = [name.strip("() ").partition(".") for name in layer.split("|")]
            modules = [module for _, _, module in names if module]
            if modules:
                found[names[0][0]].append(", ".join(modules))
    return found


def picture(found: dict[str, list[str]]) -> str:
    """Return the SVG: a box for each package, in it a line for each layer."""
    parts, top = [], 0
    for packages, colour in zip(ROWS, COLOURS, strict=True):
        lines = max(len(found[package]) for package in packages)
        width = (WIDTH - GAP * (len(packages) - 1)) // len(packages)
        height = HEAD + LINE * lines + GAP * bool(lines)
        for column, package in enumerate(packages):
            left = column * (width + GAP)
            parts.append(
                f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="6" '
                f'fill="{colour}"/>\n'
                f'<text x="{left + 12}" y="{top + 19}" font-weight="bold">{package}</text>'
            )
            for number, layer in enumerate(found[package]):
                y = top + HEAD + LINE * number + 14
                parts.append(f'<text x="{left + 24}" y="{y}">{escape(layer)}</text>')
        top += height + GAP
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" '
        f'font-family="sans-serif" font-size="13" fill="#222">\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    PICTURE.write_text(
        picture(layers((ROOT / "pyproject.toml").read_text(encoding="utf-8"))), encoding="utf-8"
    )
