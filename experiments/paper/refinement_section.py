"""Fig. 4 on the page: the proposed Lévy search against the classic one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.paper.drawing import curve, panels
from experiments.paper.raw import Raw
from experiments.paper.wording import (
    Claim,
    cell,
    claims,
    combined,
    lower,
    mean,
    paragraphs,
    table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INTRODUCTION = """Mean objective of 200 slots of the medium system, 30 × 2, over the generations of
Algorithm 4 (P = 5, β = 1.5, th = 0.4) and of the classic search, which moves real numbers by
eq. (18) and rounds them to choices. The paper prints neither where its search starts nor η of
eq. (18): random decisions and the ensemble's after imitation are tried, and η of 0.001, 0.01 and
0.1 of a variable's range for the classic search, the best of which is shown. γ of eq. (21) falls to
0 over G_max, so a search of 10 generations is not the beginning of one of 1,000."""

_STARTS = {"random": "random decisions", "imitation": "the ensemble after imitation"}
_METHODS = {"levy": "proposed", "classic-levy": "classic"}


def section(raw: Raw) -> str:
    """Return the section on Fig. 4.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    str
    """
    seeds = raw.measured("refinement")
    if not seeds:
        return paragraphs(INTRODUCTION)
    limits = _limits(raw)
    rows, found = [], []
    for start, words in _STARTS.items():
        for limit in limits:
            proposed = _ends(raw, start, "levy", limit, 0.01)
            scale = _best_scale(raw, start, limit)
            classic = _ends(raw, start, "classic-levy", limit, scale)
            begun = [_curve(one, start, "levy", limit, 0.01)["objective"][0] for one in seeds]
            shown = [cell(begun), cell(proposed), f"{cell(classic)} (η = {scale})"]
            rows.append([words, f"{limit}", *shown, cell([one["optimum"] for one in seeds])])
            found.append((words, limit, proposed, classic))
    head = ["start", "G_max", "at the start", "proposed", "classic", "optimum"]
    verdicts = [
        lower(dict(enumerate(proposed)), dict(enumerate(classic)))
        for _, _, proposed, classic in found
    ]
    evidence = "; ".join(
        f"{mean(proposed):.2f} against {mean(classic):.2f} from {words} in {limit} generations"
        for words, limit, proposed, classic in found
    )
    return paragraphs(
        INTRODUCTION,
        "![Objective over generations](reproduction/fig4.svg)",
        table(head, rows),
        claims(
            Claim(
                "The proposed search reaches lower fitness than the classic one",
                combined(verdicts),
                evidence,
            )
        ),
    )


def _limits(raw: Raw) -> list[int]:
    return sorted({one["limit"] for one in raw.measured("refinement")[0]["curves"]})


def _curve(
    seed: Mapping[str, Any], start: str, method: str, limit: int, scale: float
) -> Mapping[str, Any]:
    wanted = (start, method, limit, scale)
    keys = ("start", "method", "limit", "step_scale")
    found: Mapping[str, Any] = next(
        one for one in seed["curves"] if tuple(one[key] for key in keys) == wanted
    )
    return found


def _ends(raw: Raw, start: str, method: str, limit: int, scale: float) -> list[float]:
    seeds = raw.measured("refinement")
    return [float(_curve(one, start, method, limit, scale)["objective"][-1]) for one in seeds]


def _best_scale(raw: Raw, start: str, limit: int) -> float:
    """Return the classic search's best η."""
    curves = raw.measured("refinement")[0]["curves"]
    scales = sorted({one["step_scale"] for one in curves if one["method"] == "classic-levy"})
    return float(min(scales, key=lambda eta: mean(_ends(raw, start, "classic-levy", limit, eta))))


def figures(raw: Raw) -> Mapping[str, Figure]:
    """Return Fig. 4.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    dict of str to Figure
    """
    seeds = raw.measured("refinement")
    if not seeds:
        return {}
    figure, axes = panels(len(_STARTS), width=8.0)
    for one, (start, words) in zip(axes, _STARTS.items(), strict=True):
        for part, limit in enumerate(_limits(raw)):
            for place, method in enumerate(_METHODS):
                scale = 0.01 if method == "levy" else _best_scale(raw, start, limit)
                found = [_curve(seed, start, method, limit, scale) for seed in seeds]
                x = [generation + 1 for generation in found[0]["generations"]]
                label = f"{_METHODS[method]}, G_max = {limit}"
                curve(one, x, [c["objective"] for c in found], 2 * part + place, label)
        optimum = mean([seed["optimum"] for seed in seeds])
        one.axhline(optimum, color="#000000", linewidth=0.8, linestyle=":", label="optimum")
        one.set(xscale="log", xlabel="generation + 1", ylabel="objective", title=f"From {words}")
    axes[0].legend()
    return {"fig4": figure}
