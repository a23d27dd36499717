"""Tables keep apart what does not compare; the page is whole, safe and the same every time."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mec_bench
from mec_bench.comparing import aggregate, compare
from mec_bench.registry import knows
from mec_bench.report import (
    Film,
    content_of,
    knowledge,
    leaderboard,
    leaderboard_json,
    remark,
    report_page,
    warnings,
    write_report,
)
from mec_bench.results import Problem, Result, Seconds, Slots
from mec_bench.statistics import interquartile_mean, paired_difference, stratified_bootstrap
from mec_bench.tables import as_text
from tests.mec_bench.synthetic import LEARNERS, RULES, SYSTEM, result, study, write_all

ROOT = Path(__file__).resolve().parents[2]
PROBLEMS = [Problem("runs/<b>/result.json", "is not valid JSON: <i>cut</i>")]


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return study()


@pytest.fixture(scope="module")
def html(results: list[Result]) -> str:
    pytest.importorskip("matplotlib")
    return report_page(content_of(results, PROBLEMS))


# -- tables ---------------------------------------------------------------------------------------


def test_figures_are_means_of_the_records(results: list[Result]) -> None:
    for table in compare(results).tables:
        for row in table.rows:
            own = [
                one
                for one in results
                if (one.label, one.scenario) == (row.label, table.arena.scenario)
            ]
            assert row.n_seeds == (len(own) if row.learns else 0)
            assert row.score.value == pytest.approx(np.mean([one.slots.nrr for one in own]))
            assert row.objective == pytest.approx(np.mean([one.slots.objective for one in own]))
            assert row.energy_j == pytest.approx(np.mean([one.slots.energy_j for one in own]))
            assert row.single_ms == pytest.approx(np.mean([o.decision_ms.single for o in own]))


def test_rows_are_sorted_by_mean_nrr_and_all_there(results: list[Result]) -> None:
    for table in compare(results).tables:
        values = [row.score.value for row in table.rows]
        assert values == sorted(values, reverse=True)
        wanted = {one.label for one in results if one.scenario == table.arena.scenario}
        assert {row.label for row in table.rows} == wanted


def test_random_scores_zero_and_the_optimum_one() -> None:
    perfect = result("best", None, quality=1.0)
    rows = [perfect, dataclasses.replace(result("chance", None, quality=0.3), algorithm="random")]
    (table,) = compare(rows).tables
    scores = {row.label: row.normalised for row in table.rows}
    assert scores == {"best": 1.0, "chance": 0.0}
    assert table.zero == "chance"


def test_without_random_local_is_zero_and_without_both_nothing_is() -> None:
    local = dataclasses.replace(result("all local", None, quality=0.5), algorithm="local")
    assert compare([result(), local]).tables[0].zero == "all local"
    (table,) = compare([result()]).tables
    assert table.zero is None
    assert math.isnan(table.rows[0].normalised)


CHANGES: dict[str, Any] = {
    "another seed of the set": lambda one: dataclasses.replace(
        one, evaluation=dataclasses.replace(one.evaluation, seed=2)
    ),
    "another set": lambda one: dataclasses.replace(
        one, evaluation=dataclasses.replace(one.evaluation, set="v2")
    ),
    "own map": lambda one: dataclasses.replace(
        one, evaluation=dataclasses.replace(one.evaluation, own_layout=True)
    ),
    "another scenario of the same name": lambda one: dataclasses.replace(
        one, scenario_json={"n_devices": 31, "n_servers": 2}
    ),
    "other slots than were asked for": lambda one: dataclasses.replace(
        one,
        slots=Slots.of(
            objective=np.multiply(1.01, one.slots.objective),
            latency_s=one.slots.latency_s,
            energy_j=one.slots.energy_j,
            lower_bound=np.multiply(1.01, one.slots.lower_bound),
        ),
    ),
    "another budget": lambda one: dataclasses.replace(one, timesteps=2000),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_compare_stands_in_separate_tables(change: str) -> None:
    one, other = result("one"), CHANGES[change](result("other"))
    tables = compare([one, other]).tables
    assert sorted(row.label for table in tables for row in table.rows) == ["one", "other"]
    assert [len(table.rows) for table in tables] == [1, 1]
    if change != "another budget":
        assert all("do not compare" in " ".join(warnings(table)) for table in tables)


def test_the_gap_is_no_part_of_what_was_asked_for() -> None:
    other = result("other")
    other = dataclasses.replace(other, evaluation=dataclasses.replace(other.evaluation, gap=0.0))
    (table,) = compare([result("one"), other]).tables
    assert table.arena.evaluation.gap == 6.3e-5


def test_rules_stand_in_the_tables_of_all_budgets() -> None:
    rule = result("rule", None)
    tables = compare([rule, result("short"), result("long", timesteps=5000)]).tables
    assert [{row.label for row in table.rows} for table in tables] == [
        {"rule", "short"},
        {"rule", "long"},
    ]


def test_rules_alone_have_a_table() -> None:
    (table,) = compare([result("rule", None)]).tables
    assert table.arena.timesteps == 0
    assert table.reference is None
    assert table.rows[0].score.known


def test_differences_are_paired_with_the_reference() -> None:
    results = [result("a", seed) for seed in range(4)] + [result("b", seed) for seed in range(3)]
    (table,) = compare(results, reference="b").tables
    a, b = (
        [np.mean(one.slots.nrr, axis=1) for one in results if one.label == label] for label in "ab"
    )
    (row,) = table.differences
    assert (row.label, row.difference) == ("a", paired_difference(a, b))


def test_the_reference_is_the_best_rule_but_not_the_optimum(results: list[Result]) -> None:
    optimal = [
        dataclasses.replace(result("the optimum", None, quality=1.0), algorithm="optimal"),
    ]
    for table in compare([*results, *optimal]).tables:
        assert table.reference == "posted prices"
    learners = [one for one in results if one.learns]
    assert all(table.reference == "DIRS, prices" for table in compare(learners).tables)
    with pytest.raises(ValueError, match="reference must be one of"):
        compare(results, reference="nobody")


# -- aggregates -----------------------------------------------------------------------------------


def test_an_aggregate_is_made_of_all_runs(results: list[Result]) -> None:
    (summary,) = aggregate(compare(results).tables)
    rows = {row.label: row for row in summary.rows}
    for label in ("DIRS, paper", "PPO"):
        runs = [
            [
                np.mean(one.slots.nrr)
                for one in results
                if (one.label, one.scenario) == (label, table.arena.scenario)
            ]
            for table in summary.tables
        ]
        expected = stratified_bootstrap(runs)
        assert rows[label].iqm.low == pytest.approx(expected.low)
        assert rows[label].iqm.high == pytest.approx(expected.high)
        assert rows[label].iqm.value == pytest.approx(interquartile_mean(runs))
    assert rows["PPO"].seeds == (3, 5)
    ranks = [row.rank for row in summary.rows]
    assert sum(ranks) == pytest.approx(len(ranks) * (len(ranks) + 1) / 2)


def test_a_label_without_results_in_a_scenario_is_left_out_by_name(results: list[Result]) -> None:
    (summary,) = aggregate(compare(results).tables)
    assert summary.missing == {"DDPG": ("paper-200x10",)}
    assert "DDPG" not in {row.label for row in summary.rows}
    assert "Left out: DDPG, without results in paper-200x10." in leaderboard(results)


def test_scenarios_of_one_budget_each_are_summarised_together() -> None:
    results = [
        result("a", seed, scenario=name, timesteps=steps)
        for name, steps in (("one", 3000), ("two", 5000))
        for seed in range(2)
    ]
    (summary,) = aggregate(compare(results).tables)
    assert "own budget" in summary.title
    both = [*results, *(dataclasses.replace(one, timesteps=3000) for one in results[2:])]
    (summary,) = aggregate(compare(both).tables)
    assert "3,000 slots" in summary.title


def test_sets_of_slots_are_never_summarised_together() -> None:
    results = [result("a", 0, scenario="one"), result("a", 0, scenario="two", own_layout=True)]
    assert aggregate(compare(results).tables) == []


def test_improvement_over_a_rule_varies_with_the_learners_seeds_only() -> None:
    results = [result("a", seed, scenario=name) for name in ("one", "two") for seed in range(6)]
    results += [result("rule", None, scenario=name, quality=0.9) for name in ("one", "two")]
    (summary,) = aggregate(compare(results).tables)
    row = next(row for row in summary.rows if row.label == "a")
    assert row.improvement.known
    assert 0 <= row.improvement.low <= row.improvement.value <= row.improvement.high <= 1


# -- marks and notes below a table ----------------------------------------------------------------


def shown(results: list[Result]) -> dict[str, str]:
    """The same tables on a terminal, as Markdown and as a page, without their escapes."""
    return {
        "terminal": as_text(compare(results)),
        "Markdown": leaderboard(results).replace("\\", ""),
        "page": unescape(report_page(content_of(results))),
    }


def test_one_seed_has_an_interval_over_layouts_with_its_mark_everywhere() -> None:
    results = [result("lonely", 0), result("rule", None)]
    (table,) = compare(results).tables
    row = next(row for row in table.rows if row.label == "lonely")
    assert row.alone
    assert not row.score.known
    means = np.mean(results[0].slots.nrr, axis=1)
    half = 2.3646 * means.std(ddof=1) / np.sqrt(len(means))  # Student's t, 7 degrees of freedom
    assert row.interval.low == pytest.approx(means.mean() - half, rel=1e-4)
    low, high = f"{row.interval.low:.4f}", f"{min(row.interval.high, 1):.4f}"
    for where, text in shown(results).items():
        assert f"[{low}, {high}] *" in text, where
        assert "* Of one training seed, over batches of slots alone: another" in text
        assert "Not compared: lonely. A comparison takes at least two training seeds" in text
    for text in shown([result("a", 0), result("a", 1), result("rule", None)]).values():
        assert "Of one training seed" not in text
        assert "Not compared" not in text


def test_an_interval_beyond_what_is_possible_is_cut_where_it_is_shown_and_nowhere_else() -> None:
    results = [result("a", 0, quality=0.7), result("a", 1, quality=0.99)]
    (table,) = compare(results).tables
    (row,) = table.rows
    assert row.score.low < 0 < 1 < row.score.high
    assert json.loads(leaderboard_json(content_of(results)))["tables"][0]["rows"][0]["nrr"][
        "high"
    ] == pytest.approx(row.score.high)
    for where, text in shown(results).items():
        assert "[0.0000†, 1.0000†]" in text, where
        assert "† Cut to what is possible" in text
        assert f"{row.score.high:.4f}" not in text


def test_what_a_result_says_of_its_training_stands_below_the_table() -> None:
    told = "it does not learn at all: there are 20 slots."
    results = [
        dataclasses.replace(result(label, seed, scenario=scenario), notes=(told,) * (label == "a"))
        for label in "ab"
        for seed in range(2)
        for scenario in ("one", "two")
    ]
    for where, text in shown(results).items():
        assert "a ‡" in text, where
        assert "b ‡" not in text
        assert f"‡ a: {told}" in text
    # In the summary over scenarios, too.
    assert shown(results)["Markdown"].count("| a ‡ |") == 3


def test_a_time_of_training_that_nobody_knows_is_a_dash() -> None:
    one = dataclasses.replace(result("a"), seconds=Seconds(training=None, measuring=1.0))
    known = result("b")
    (row,) = [line for line in leaderboard([one, known]).splitlines() if line[:5] == "| a |"][:1]
    assert row.endswith("| – |")
    (row,) = [line for line in as_text(compare([one, known])).splitlines() if line[:2] == "a "]
    assert row.split()[-1] == "–"
    rows = json.loads(leaderboard_json(content_of([one])))["tables"][0]["rows"]
    assert rows[0]["training_s"] is None


# -- warnings -------------------------------------------------------------------------------------


def test_clean_results_warn_of_nothing(results: list[Result]) -> None:
    assert [warnings(table) for table in compare(results).tables] == [[]] * 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"system": dataclasses.replace(SYSTEM, commit="fedcba")}, "2 different commits"),
        ({"system": dataclasses.replace(SYSTEM, processor="other")}, "2 different machines"),
        ({"system": dataclasses.replace(SYSTEM, versions={})}, "2 different versions"),
        ({"system": dataclasses.replace(SYSTEM, modified=True)}, "Files differed"),
        (
            {"system": dataclasses.replace(SYSTEM, commit=None, modified=None, versions={})},
            "without a commit or a release cannot be traced to code: a.",
        ),
        ({"arguments": {"learning_rate": 1.0}}, "differ in algorithm or arguments: a."),
    ],
)
def test_what_is_mixed_is_said(change: dict[str, Any], words: str) -> None:
    odd = dataclasses.replace(result("a", 1), **change)
    (table,) = compare([result("a", 0), odd, result("b", 0)]).tables
    assert words in " ".join(warnings(table))
    assert words in leaderboard([result("a", 0), odd, result("b", 0)]).replace("\\", "")


# -- the page -------------------------------------------------------------------------------------


class Checker(HTMLParser):
    """Keeps what a validator would complain of."""

    VOID = ("meta", "br", "link", "img", "input", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self._attributes(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if "svg" not in self.open:
            self.faults.append(f"<{tag}/> outside of SVG")
        self._attributes(attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def _attributes(self, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.faults.append(f"an attribute twice in {attrs}")
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in ("href", "xlink:href", "src"):
                self.links.append(str(value))


def checked(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.faults == []
    assert checker.open == []
    return checker


def test_the_page_is_well_formed_and_its_links_lead_somewhere(html: str) -> None:
    page = checked(html)
    assert html.startswith("<!DOCTYPE html>\n")
    assert len(set(page.ids)) == len(page.ids)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    used = set(re.findall(r"url\(#([^)]+)\)", html))
    assert used
    assert used <= set(page.ids)


def test_the_page_needs_no_other_file(html: str) -> None:
    page = checked(html)
    assert all(link.startswith("#") for link in page.links)
    assert not {"link", "img", "iframe", "object"} & set(page.tags)
    assert "@import" not in html
    # What is left are names of XML namespaces.
    addresses = set(re.findall(r'([\w:]+)="https?://', html))
    assert addresses == {"xmlns", "xmlns:xlink"}
    assert len(re.findall(r"https?://", html)) == len(re.findall(r'xmlns[:\w]*="http', html))


def test_what_users_wrote_stays_text(html: str, results: list[Result]) -> None:
    label = next(label for label in LEARNERS if "<script>" in label)
    for text in (html, leaderboard(results)):
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)" in text.replace("\\", "")
    assert label in {row.label for row in content_of(results).comparison.tables[0].rows}
    assert "runs/&lt;b&gt;/result.json" in html
    assert checked(html).tags.count("script") == 1
    assert not {"b", "em"} & set(checked(html).tags)


def test_names_of_columns_and_scenarios_stay_text() -> None:
    pytest.importorskip("matplotlib")
    nasty = '"><img src=x onerror=alert(1)>$\\frac{$'
    results = [
        dataclasses.replace(result(nasty, seed, scenario=name), algorithm=nasty)
        for seed in range(2)
        for name in (nasty, "plain")
    ]
    results += [result("other", 0, scenario=name) for name in (nasty, "plain")]
    page = checked(report_page(content_of(results, [], nasty)))
    assert "img" not in page.tags


def test_the_same_results_give_the_same_page() -> None:
    pytest.importorskip("matplotlib")
    few = [result(label, seed) for label in ("a", "b") for seed in range(3)]
    assert report_page(content_of(few[::-1], PROBLEMS)) == report_page(content_of(few, PROBLEMS))


def test_every_label_scenario_and_problem_is_on_the_page(html: str, results: list[Result]) -> None:
    from html import escape

    for one in results:
        assert escape(one.label) in html
        assert escape(one.scenario) in html
    assert SYSTEM.commit is not None
    assert SYSTEM.commit in html
    assert "Some Processor 9000" in html
    assert "seeds 0, 1, 2, 3, 4" in html
    assert "Files without a result" in html


def test_few_seeds_are_said_with_a_number(html: str) -> None:
    said = re.search(r"With 3 seeds in 3 scenarios .* truth in (\d+) % of all cases", html)
    assert said
    assert 75 <= int(said[1]) <= 92


def test_figures_are_xml_and_a_label_keeps_its_colour(html: str) -> None:
    from mec_bench.figures import looks

    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) == 2 + 3 * 3
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    look = looks([*LEARNERS, *RULES])
    assert look == looks(reversed([*RULES, *LEARNERS]))
    assert look["PPO"].colour in drawings[0]


def test_no_two_of_many_labels_look_the_same() -> None:
    pytest.importorskip("matplotlib")
    from mec_bench.figures import looks

    seen = [
        (one.colour, one.marker, str(one.dashes))
        for one in looks(f"label {index:02d}" for index in range(28)).values()
    ]
    assert len({(colour, dashes) for colour, _, dashes in seen}) == 28
    assert len({(colour, marker) for colour, marker, _ in seen}) == 28


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=4))
def test_an_axis_of_times_shows_all_of_them_and_at_least_two_numbers(times: list[float]) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from mec_bench.figures import logarithmic

    axes = Figure().subplots()
    logarithmic(axes, times)
    low, high = axes.get_xlim()
    assert low <= min(times) <= max(times) <= high
    assert sum(low <= tick <= high for tick in axes.get_xticks()) >= 2


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_an_axis_of_nrr_shows_all_of_it_and_at_least_two_numbers(nrr: list[float]) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from mec_bench.figures import stretch

    axes = Figure().subplots()
    axes.plot(nrr, nrr)
    stretch(axes, "y", nrr)
    low, high = axes.get_ylim()
    assert low <= min(nrr) <= max(nrr) <= high
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 2
    bottom, top = axes.transAxes.inverted().transform(
        axes.transData.transform([(0, min(nrr)), (0, max(nrr))])
    )[:, 1]
    assert 0.02 < bottom <= top < 0.98  # markers are whole


def test_a_table_without_curves_has_no_figure_of_them(results: list[Result]) -> None:
    pytest.importorskip("matplotlib")
    bare = [dataclasses.replace(one, curve=()) for one in results[:3]]
    assert "Learning" not in report_page(content_of(bare))
    assert "NRR during training" not in report_page(content_of(bare))


def test_the_best_rules_are_lines_beside_curves_with_their_names(results: list[Result]) -> None:
    figures = pytest.importorskip("mec_bench.figures")
    table = next(one for one in compare(results).tables if one.arena.scenario == "paper-30x2")
    figure = figures.Figure(layout="constrained")
    figures.learning_curves(figure, table, figures.looks(compare(results).labels))
    named = {text.get_text(): text for text in figure.axes[1].texts}
    curves = [g for g in table.arena.groups if any(one.curve for one in g.results)]
    lowest = min(p.score for g in curves for one in g.results for p in one.curve)
    rules = {r.label: r.score.value for r in table.rows if not r.learns and r.score.value > lowest}
    assert rules
    assert set(named) == {figures.plain(g.label) for g in curves} | set(rules)
    for axes in figure.axes:
        level = [line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1]
        assert set(rules.values()) <= set(level)
    seeds = sum(len(g.results) for g in curves)
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert len(dots) == seeds


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.01, 0.08))
def test_names_are_spread_as_little_as_they_must_be(places: list[float], gap: float) -> None:
    figures = pytest.importorskip("mec_bench.figures")
    places = sorted(places)
    found = figures.spread(places, gap)
    assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(found))
    assert max(found) <= 1 + 1e-9
    if all(b - a >= gap for a, b in itertools.pairwise(places)):
        assert found == pytest.approx(places)


@pytest.mark.parametrize(
    "values", [[0.93, 0.9303, 0.9308, 0.5], [0.92 + 0.0007 * k for k in range(8)], [0.9] * 15]
)
def test_each_leader_ends_at_its_name_and_crosses_no_other(values: list[float]) -> None:
    figures = pytest.importorskip("mec_bench.figures")
    from matplotlib import text

    figure = figures.Figure(figsize=(9, 4.2), layout="constrained")
    _, axes = figure.subplots(1, 2)
    axes.plot(values, values)
    figures.name_ends(axes, {f"rule {k}": value for k, value in enumerate(values)}, {})
    figure.draw_without_rendering()
    named = {int(name.get_text().split()[1]): name for name in axes.texts}
    names = [named[k] for k in sorted(named, key=lambda k: values[k])]
    boxes = [text.Text.get_window_extent(name) for name in names]
    assert all(below.y1 <= above.y0 for below, above in itertools.pairwise(boxes))
    for value, name, box in zip(sorted(values), names, boxes, strict=True):
        (x, y), *_, end = name.arrow_patch.get_path().vertices
        assert (x, y) == pytest.approx((box.x0, (box.y0 + box.y1) / 2), abs=3)
        assert max(x, end[0]) < min(other.x0 for other in boxes)
        assert end == pytest.approx([axes.bbox.x1, axes.transData.transform((0, value))[1]])


@pytest.mark.parametrize(
    ("qualities", "words"),
    [
        ({"good": 0.9995, "better": 0.9999}, "a rule, better, lacks"),
        ({"good": 0.95}, ""),
        ({"good": 0.95, "optimal": 1.0}, ""),
    ],
)
def test_where_rules_leave_nothing_to_learn_the_report_says_so(
    qualities: dict[str, float], words: str
) -> None:
    rules = [
        dataclasses.replace(result(name, None, quality=quality), algorithm=name)
        for name, quality in qualities.items()
    ]
    content = content_of([result(), *rules])
    (table,) = content.comparison.tables
    assert words in remark(table)
    assert bool(remark(table)) is bool(words)
    assert ("Next to nothing to learn" in leaderboard([result(), *rules])) is bool(words)
    assert ("Next to nothing to learn" in report_page(content)) is bool(words)


def test_a_film_is_part_of_the_page(tmp_path: Path) -> None:
    films = {"paper-30x2": Film(b"GIF89a", "as <b>it</b> decides")}
    *_, file = write_report([result()], [], tmp_path, films=films)
    page = file.read_text()
    assert base64.b64encode(b"GIF89a").decode() in page
    assert "as &lt;b&gt;it&lt;/b&gt; decides" in page
    assert "<img" not in report_page(content_of([result()]))


def test_what_a_policy_knows_stands_below_the_table() -> None:
    greedy = dataclasses.replace(result("good", None), algorithm="greedy")
    (table,) = compare([result("mine"), greedy]).tables
    assert knowledge(table) == [("good", knows("greedy"))]
    assert f"- good: {knows('greedy')}" in leaderboard([result("mine"), greedy])
    page = report_page(content_of([result("mine"), greedy]))
    assert f"<dt>good</dt><dd>{knows('greedy')}</dd>" in page


def test_drawing_leaves_matplotlib_as_it_was(results: list[Result]) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context({"font.size": 31.0, "axes.grid": False}):
        before = dict(matplotlib.rcParams)
        loud = report_page(content_of(results[:2]))
        assert dict(matplotlib.rcParams) == before
    assert report_page(content_of(results[:2])) == loud


def test_a_report_of_nothing_is_a_page_nevertheless(tmp_path: Path) -> None:
    files = write_report([], PROBLEMS, tmp_path / "new" / "folder")
    assert all(file.stat().st_size > 0 for file in files)
    checked(files[2].read_text(encoding="utf-8"))


def test_the_json_holds_no_nan_and_all_rows(results: list[Result]) -> None:
    text = leaderboard_json(content_of(results, PROBLEMS))
    plain = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert plain["problems"] == [dataclasses.asdict(PROBLEMS[0])]
    assert [len(table["rows"]) for table in plain["tables"]] == [10, 11, 11]
    single = [row for row in plain["tables"][0]["rows"] if row["label"] == "A2C"]
    assert single[0]["nrr"]["low"] is None


# -- the script -----------------------------------------------------------------------------------


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "report.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_the_script_writes_the_report_of_the_files_below(
    tmp_path: Path, results: list[Result]
) -> None:
    few = [one for one in results if one.scenario == "paper-30x2"][:7]
    write_all(tmp_path / "runs", few)
    (tmp_path / "runs" / "cut").mkdir()
    (tmp_path / "runs" / "cut" / "result.json").write_text("{")
    done = run(str(tmp_path / "runs"), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("7 results, 1 problems")
    assert (tmp_path / "out" / "leaderboard.md").read_text(encoding="utf-8").startswith("# ")
    assert len(json.loads((tmp_path / "out" / "leaderboard.json").read_text())["tables"]) == 1
    assert "cut/result.json" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("options", [("missing",), ("runs", "--against", "nobody")])
def test_the_script_says_what_is_wrong(tmp_path: Path, options: tuple[str, ...]) -> None:
    write_all(tmp_path / "runs", [result()])
    folder, *others = options
    done = run(str(tmp_path / folder), *others, "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert folder in done.stderr if not others else "nobody" in done.stderr
    assert not (tmp_path / "out").exists()


def test_one_seed_never_counts_twice() -> None:
    with pytest.raises(ValueError, match=r"'dirs' in .* must differ by their seeds"):
        compare([result("dirs"), result("dirs")])


def test_a_name_that_lacks_its_extra_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "mec_bench.report", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r'jinja2: pip install "mec-gym\[train\]"'):
        _ = mec_bench.write_report
