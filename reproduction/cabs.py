"""Train on some days of recorded cabs, measure on others, and write docs/cabs.md.

The data are not part of the project: docs/cabs.md says which they are, and where from. Runs that
are done are not repeated.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import gzip
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from baselines.headroom import (
    HeadRoom,
    headroom_rows,
    headroom_verdict,
    measure_headroom,
    rule_title,
)
from baselines.regimes import as_table, cell
from mec_bench import Settings, evaluate_again, measuring, train
from mec_bench.cli import complain, count
from mec_bench.registry import knows, names, title
from mec_gym import Scenario, Traces
from mec_gym.evaluation import Estimate
from mec_gym.files import read_object, require_folder
from reproduction import pages
from reproduction.records import cpu, grouped, mean_score, record_of, scores_of, short, told
from reproduction.regimes import ROOMS, raw_figures, read

CABS = dataclasses.replace(ROOMS, writer="reproduction/cabs.py")

FACTS = ("near", "servers", "sides")
"""What is said of the recording."""

DATES, TRACES, SITES = map(
    Path, ("sf_cabs_gps/traces.csv", "sf_cabs_gps/positions.csv.gz", "sf_cabs/sites.csv")
)

LEARNERS = {"mappo": 24_000, "dirs:hindsight": 2000}
"""With slots of training, as in crowds."""

SEEDS = 5

N_SITES = 20
MINUTE = 60.0
WAYS = (100.0, 300.0, 1000.0, 2000.0, 3000.0, 5000.0, 10_000.0)
"""c [m] that tuning tries for the rule by speed: a cab goes 400 m in a slot."""

PARAMETERS: dict[str, tuple[Any, str]] = {
    "reference_gain": (
        1.55e-7,
        "the loss of 128.1 dB at 1 km of urban macro cells at 2 GHz, 3GPP TR 36.942; the exponent "
        "stays that of eq. (3), 2",
    ),
    "noise_w": (
        1.26e-14,
        "thermal, -174 dBm/Hz over the bandwidth of 1 MHz, and a noise figure of 5 dB, 3GPP TR "
        "36.942",
    ),
    "fading": ("none", "ours: over a slot of a minute fast fading averages out"),
    "cycles": (2e9, "paper, Table IV: the largest tasks, as in the crowds"),
    "server_frequency_hz": (
        10e9,
        "ours, on the days of training: half of those of crowd-200x10 for half of the days; on "
        "the others as much for each cab",
    ),
    "migration_s": (8.0, "ours, as in the crowds: an image of 500 MB over 500 Mbit/s"),
}
"""Fields of the scenario with their sources; all others are Table I of the paper."""


def main() -> None:
    """Measure, write, say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, help="folder of the data sets (MEC_GYM_DATA)")
    add("--episodes", type=count, default=measuring.EPISODES, help="episodes measured")
    add("--runs", type=Path, default=Path("runs/cabs"), help="for runs (runs/cabs)")
    add("--out", type=Path, help="for page and raw figures (docs, reproduction/results)")
    add("--page", action="store_true", help="write the page of the raw figures there are")
    given = parser.parse_args()
    folder, results = pages.places(given.out)
    page, figures = folder / "cabs.md", results / "cabs.json"
    with complain(status=2):
        require_folder(page.parent)
        if given.page:
            _write(page, figures)
            return
        data = _data(given.data)
        require_folder(given.runs, "--runs")
    with complain(stopped="Runs that are done are kept; figures are written when all is."):
        pages.write_json(figures, measured(data, given.episodes, given.runs))
        _write(page, figures)


def _data(folder: Path | None) -> Path:
    found = folder or Path(os.environ.get("MEC_GYM_DATA") or ".")
    if not all((found / file).is_file() for file in (DATES, TRACES, SITES)):
        raise FileNotFoundError(
            f"--data or MEC_GYM_DATA must name a folder with {TRACES}, {DATES} and {SITES}; got "
            f"{str(found)!r}. docs/cabs.md says where they are from."
        )
    return found


# -- measuring -------------------------------------------------------------------------------------


def measured(data: Path, n_episodes: int, runs: Path) -> dict[str, Any]:
    """Return what is measured, as JSON holds it."""
    training, others, recording = scenarios(data)
    records = learned_on(training, others, n_episodes, runs)
    room = measure_headroom(
        others,
        n_episodes=n_episodes,
        n_slots=measuring.SLOTS_PER_EPISODE,
        seed=measuring.SEED,  # the episodes that learners are measured on
        tuning=training,
        ways=WAYS,
    )
    return raw_figures(CABS, [room]) | {"recording": recording, "runs": records}


def learned_on(
    training: Scenario, others: Scenario, n_episodes: int, folder: Path
) -> list[dict[str, Any]]:
    """Train learners in one scenario, and return the records of what they reach in another."""
    import torch  # takes seconds to load, which a page alone does without

    torch.set_num_threads(1)
    runs = [
        Settings(
            algorithm=name,
            scenario=training,
            timesteps=slots,
            seed=seed,
            measurements=1,
            checkpoints=0,
        )
        for seed in range(SEEDS)
        for name, slots in LEARNERS.items()
    ]
    for run in runs:
        train(run, folder / run.place)
    records = []
    for run in runs:
        (result,) = evaluate_again([folder / run.place], scenario=others, layouts=n_episodes)
        records.append(record_of(result) | {"label": run.label})
        print(f"{run.label}, seed {run.seed}: {np.mean(result.slots.score):.4f}", flush=True)
    return records


# -- scenarios -------------------------------------------------------------------------------------


def scenarios(data: Path) -> tuple[Scenario, Scenario, dict[str, Any]]:
    """Return the scenarios of training and of measuring, and what is said of the recording."""
    with tempfile.TemporaryDirectory() as folder:
        earlier, later, days = split_by_day(data, Path(folder))
        sites, share = busy_sites(earlier, data / SITES, Path(folder))
        training = cabs(earlier, sites, name="cabs, earlier days")
        others = cabs(later, sites, name="cabs")
        speeds = speeds_for(others.n_devices, training)
        others = others.replace(server_frequency_hz=speeds, name="cabs")
    sides = [_facts(*side) for side in zip((training, others), days, strict=True)]
    return training, others, {"near": share, "servers": others.n_servers, "sides": sides}


def speeds_for(n_devices: int, scenario: Scenario) -> tuple[float, ...]:
    """Return speeds of servers that leave as much for each device as those of a scenario [Hz]."""
    share = n_devices / scenario.n_devices
    return tuple((share * scenario.server_frequencies_hz).tolist())


def _facts(scenario: Scenario, days: Sequence[str]) -> dict[str, Any]:
    present = traces_of(scenario).present.sum(axis=1)
    return {
        "days": [days[0], days[-1]],
        "devices": scenario.n_devices,
        "present": [int(present.min()), float(present.mean()), int(present.max())],
        "speed_mps": float(scenario.mean_speed_mps.mean()),
        "server_hz": float(scenario.server_frequencies_hz.mean()),
    }


def traces_of(scenario: Scenario) -> Traces:
    """Return the traces that a scenario's devices follow."""
    assert isinstance(scenario.mobility, Traces)
    return scenario.mobility


def split_by_day(data: Path, folder: Path) -> tuple[Path, Path, tuple[list[str], list[str]]]:
    """Write positions of the first half of the days, and of the others: two tables, their days."""
    with (data / DATES).open(newline="", encoding="utf-8") as file:
        day_of = {row["trace"]: row["date"] for row in csv.DictReader(file)}
    with gzip.open(data / TRACES, "rt", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    days = sorted(set(day_of.values()))
    halves = days[: len(days) // 2], days[len(days) // 2 :]
    earlier, later = (
        _written(folder / name, [header, *(row for row in rows if day_of[row[0]] in half)])
        for name, half in zip(("earlier.csv", "later.csv"), halves, strict=True)
    )
    return earlier, later, halves


def cabs(traces: Path, sites: Path, **fields: Any) -> Scenario:
    """Return the scenario of a table of cabs among the sites of another."""
    given = {name: value for name, (value, _) in PARAMETERS.items()}
    return Scenario.from_traces(
        traces,
        sites,
        interval_s=MINUTE,
        largest_gap_s=MINUTE,  # the data have a row for each minute in which a cab was seen
        **(given | fields),
    )


def busy_sites(traces: Path, sites: Path, folder: Path) -> tuple[Path, float]:
    """Write a table of the sites that are nearest to most positions, and return their share."""
    whole = cabs(traces, sites)
    there = traces_of(whole).positions_m[traces_of(whole).present]
    servers = np.array(whole.server_positions)
    distance = ((there[:, None] - servers) ** 2).sum(axis=-1)
    counts = np.bincount(distance.argmin(axis=1), minlength=len(servers))
    busy = np.argsort(-counts, kind="stable")[:N_SITES]
    with sites.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    table = _written(folder / "sites.csv", [header, *(rows[site] for site in busy)])
    return table, float(counts[busy].sum() / counts.sum())


def _written(path: Path, rows: Iterable[Sequence[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


# -- the page --------------------------------------------------------------------------------------


def _write(page: Path, figures: Path) -> None:
    print("wrote", pages.write_page(page, figures, "cabs.md.j2", **content(figures)))


def content(figures: Path) -> dict[str, Any]:
    """Return what the template shows, of raw figures."""
    room, raw = read(figures, CABS)[0], read_object(figures)
    try:
        shown = {name: raw["recording"][name] for name in FACTS} | _learners(room, raw["runs"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{figures} is damaged ({error!r}): leave out --page to measure."
        ) from error
    return shown | {
        "room": room,
        "verdict": headroom_verdict(room),
        "parameters": [(f"`{name}`", *pair) for name, pair in PARAMETERS.items()],
    }


def _learners(room: HeadRoom, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the table of learners and rules, what they are told, and which are the best."""
    means, rows, called = {}, {}, {}
    for (label, _), runs in grouped(records).items():
        called[label] = title(label)
        mean = means[title(label)] = mean_score(runs)
        seeds = ", ".join(map(short, sorted(scores_of(runs), reverse=True)))
        reached = cell(Estimate(mean.value, mean.low, mean.high))
        rows[title(label)] = [reached, seeds, f"{runs[0]['timesteps']:,}", cpu(runs)]
    scores = {rule_title(name): one.mean for name, one in room.ratio.items()}
    labels = {title(name): name for name in names()}
    called |= {labels[rule]: rule for rule in scores if rule in labels}
    kept = rule_title("keep what pays")  # with an H, which the rule of the registry has not
    guests = f"{knows('keep-what-pays')}, its guests, and H tuned on other episodes"
    (head, worlds), *rules = headroom_rows([room]).items()
    columns = [*worlds, "seeds", "slots", "CPU s"]
    blank = [""] * (len(columns) - len(worlds))
    table = {head: columns} | rows | {rule: [*cells, *blank] for rule, cells in rules}
    return {
        "table": as_table(table),
        "told": [*told(called.items()), [kept, guests]],
        "learner": max((mean.value, name) for name, mean in means.items()),
        "rule": max((score, name) for name, score in scores.items()),
    }


if __name__ == "__main__":
    main()
