"""Fig. 4 on the page: the proposed Lévy search against the classic one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mec_bench.tables import table
from reproduction.budget import PARTS
from reproduction.claims import Claim, differences, lower
from reproduction.drawing import curve, panels
from reproduction.exhibit import Exhibit
from reproduction.raw import Raw
from reproduction.wording import cell, mean, paragraphs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INTRODUCTION = """Mean objective of 200 slots of the medium system, 30 × 2, over the generations of
Algorithm 4 (P = 5, β = 1.5, th = 0.4) and of the classic search, which moves real numbers by
eq. (18) and rounds them to choices. The paper prints neither where its search starts nor η of
eq. (18): random decisions and the ensemble's after imitation are tried, and η of 0.001, 0.01 and
0.1 of a variable's range for the classic search, the best of which is shown. γ of eq. (21) falls to
0 over G_max, so a search of 10 generations is not the beginning of one of 1,000."""

_APART = """The proposed search again, without one of its parts: eq. (20) with the h of another link
of the slot, shuffled, which mutates as often and knows nothing of the channel; and without eq.
(22), so that every mutant becomes a candidate. And by other readings of eq. (22): by the step that
eq. (20) has drawn, as line 3 of Algorithm 4 can be read, or for the mutant as a whole
([decision 9](decisions/0009-levy-crossover.md)). Differences are from the proposed search, paired
by seed; less than 0 is better than it."""

_STARTS = {"random": "random decisions", "imitation": "the ensemble after imitation"}
_METHODS = {"levy": "proposed", "classic-levy": "classic"}
_PROPOSED = {"method": "levy", "step_scale": 0.01}


def _body(raw: Raw) -> str:
    """Return where every search ends."""
    seeds = raw.measured("refinement")
    if not seeds:
        return paragraphs(_INTRODUCTION)
    rows = []
    for start, words in _STARTS.items():
        for limit in _limits(raw):
            proposed, classic = _both(raw, start, limit)
            begun = [_curve(one, start, limit, _PROPOSED)["objective"][0] for one in seeds]
            shown = f"{cell(classic)} (η = {_best_scale(raw, start, limit)})"
            optimum = cell([one["optimum"] for one in seeds])
            rows.append([words, f"{limit}", cell(begun), cell(proposed), shown, optimum])
    head = ["start", "G_max", "at the start", "proposed", "classic", "optimum"]
    return paragraphs(
        _INTRODUCTION,
        "![Objective over generations](reproduction/fig4.svg)",
        table(head, rows),
        _APART,
        table(["start", "G_max", "proposed", *PARTS], _parts(raw)),
    )


def _parts(raw: Raw) -> list[list[str]]:
    """Return what the proposed search reaches, and by how much each other form is worse."""
    rows = []
    for (start, words), limit in itertools.product(_STARTS.items(), _limits(raw)):
        proposed = _ends(raw, start, limit, _PROPOSED)
        cells = [words, f"{limit}", cell(proposed)]
        for part in PARTS.values():
            without = dict(enumerate(_ends(raw, start, limit, _apart(part))))
            cells.append(f"+{cell(differences(without, dict(enumerate(proposed))), 3)}")
        rows.append([one.replace("+-", "-") for one in cells])
    return rows


def _claims(raw: Raw) -> list[Claim]:
    if not raw.measured("refinement"):
        return []
    cases = [
        (words, limit, *_both(raw, start, limit))
        for start, words in _STARTS.items()
        for limit in _limits(raw)
    ]
    return [
        Claim(
            "The proposed search reaches lower fitness than the classic one",
            tuple(lower(dict(enumerate(ours)), dict(enumerate(old))) for _, _, ours, old in cases),
            "; ".join(
                f"{mean(ours):.2f} against {mean(old):.2f} from {words} in {limit} generations"
                for words, limit, ours, old in cases
            ),
        ),
        _cause(
            raw, "The channel state that guides the mutation is a cause", {}, PARTS["without h"]
        ),
        _cause(
            raw,
            "The Lévy crossover is a cause, by steps of its own",
            {},
            PARTS["without (22)"],
        ),
        _cause(
            raw,
            "The Lévy crossover is a cause, by the steps of the mutation",
            PARTS["(22) by the step of (20)"],
            PARTS["without (22)"],
        ),
    ]


def _cause(raw: Raw, text: str, whole: Mapping[str, str], cut: Mapping[str, str]) -> Claim:
    """Return the claim that one form of the search is better than another that lacks a part."""
    cases = [
        (
            words,
            limit,
            _ends(raw, start, limit, _apart(whole)),
            _ends(raw, start, limit, _apart(cut)),
        )
        for (start, words), limit in itertools.product(_STARTS.items(), _limits(raw))
    ]
    return Claim(
        text,
        tuple(lower(dict(enumerate(ours)), dict(enumerate(less))) for _, _, ours, less in cases),
        "; ".join(
            f"{mean(ours):.3f}, without it {mean(less):.3f}, from {words} in {limit} generations"
            for words, limit, ours, less in cases
        ),
    )


def _difference(raw: Raw) -> str:
    """Return by how much the proposed search leads."""
    if not raw.measured("refinement"):
        return ""
    leads = []
    for limit in _limits(raw):
        pairs = [_both(raw, start, limit) for start in _STARTS]
        shown = " and ".join(f"{1 - mean(ours) / mean(old):.2%}" for ours, old in pairs)
        leads.append(f"{shown} after {limit} generations")
    return (
        "The paper's text prints no fitness, so how far ours is from it is not known. The order is "
        "the paper's where the first claim above holds; the lead depends on start and G_max: "
        f"{', '.join(leads)}, from {' and '.join(_STARTS.values())}."
    )


def _both(raw: Raw, start: str, limit: int) -> tuple[list[float], list[float]]:
    """Return where the proposed search and the classic one, with its best η, end, by seed."""
    scale = _best_scale(raw, start, limit)
    return _ends(raw, start, limit, _PROPOSED), _ends(raw, start, limit, _classic(scale))


def _limits(raw: Raw) -> list[int]:
    return sorted({one["limit"] for one in raw.measured("refinement")[0]["curves"]})


def _apart(part: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the settings of the proposed search, or of a form of it."""
    return {"method": "levy", **part} if part else _PROPOSED


def _classic(scale: float) -> dict[str, Any]:
    return {"method": "classic-levy", "step_scale": scale}


def _curve(
    seed: Mapping[str, Any], start: str, limit: int, kind: Mapping[str, Any]
) -> Mapping[str, Any]:
    wanted = {"start": start, "limit": limit, **kind}
    found: Mapping[str, Any] = next(
        one
        for one in seed["curves"]
        if {key: one[key] for key in one if key not in ("generations", "objective")} == wanted
    )
    return found


def _ends(raw: Raw, start: str, limit: int, kind: Mapping[str, Any]) -> list[float]:
    seeds = raw.measured("refinement")
    return [float(_curve(one, start, limit, kind)["objective"][-1]) for one in seeds]


def _best_scale(raw: Raw, start: str, limit: int) -> float:
    """Return the classic search's best η."""
    curves = raw.measured("refinement")[0]["curves"]
    scales = sorted({one["step_scale"] for one in curves if one["method"] == "classic-levy"})
    return float(min(scales, key=lambda eta: mean(_ends(raw, start, limit, _classic(eta)))))


def _figures(raw: Raw) -> Mapping[str, Figure]:
    seeds = raw.measured("refinement")
    if not seeds:
        return {}
    figure, axes = panels(len(_STARTS), width=8.0)
    for one, (start, words) in zip(axes, _STARTS.items(), strict=True):
        for part, limit in enumerate(_limits(raw)):
            for place, method in enumerate(_METHODS):
                kind = _PROPOSED if method == "levy" else _classic(_best_scale(raw, start, limit))
                found = [_curve(seed, start, limit, kind) for seed in seeds]
                x = [generation + 1 for generation in found[0]["generations"]]
                label = f"{_METHODS[method]}, G_max = {limit}"
                curve(one, x, [c["objective"] for c in found], 2 * part + place, label)
        optimum = mean([seed["optimum"] for seed in seeds])
        one.axhline(optimum, color="#000000", linewidth=0.8, linestyle=":", label="optimum")
        one.set(xscale="log", xlabel="generation + 1", ylabel="objective", title=f"From {words}")
    axes[0].legend()
    return {"fig4": figure}


FIG_4 = Exhibit("Fig. 4: refinement", _body, _claims, _difference, _figures)
"""Fig. 4: the proposed search against the classic one."""
