"""What is trained: variants of DIRS, on which scenarios, with which seeds, and their files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dirs_agents import options
from mec_gym.files import read_object, require_record
from reproduction.variants.records import REACHED, Record

_PAPERS = ("paper-30x2", "paper-180x8", "paper-200x10")
PRESETS = (*_PAPERS, "bandlimited-200x10", "unequal-200x10", "relocating-200x10")
"""Scenarios of the main table."""

MAIN: Mapping[str, dict[str, Any]] = {
    "the paper's options": options("paper"),
    "the paper's agents, optimal labels, loss of the vote": options("ensemble"),
    "price-posting agents": options("prices"),
    "price-posting agents, no admission": options("prices", policy_kwargs={"admission": False}),
}
"""Constructor arguments of the main table's variants."""

ABLATIONS: Mapping[str, dict[str, Any]] = {
    "as it is": {},
    "no imitation": {"demonstrations": "none"},
    "one central network": {"policy": "CentralPolicy"},
    "classic Lévy search": {"refinement": "classic-levy"},
    "epsilon-greedy": {"refinement": "epsilon-greedy"},
    "no refinement": {"refinement": "none"},
    "f and p searched": {"allocation": "levy"},
    "demonstrations by solve": {"demonstrations": "optimal"},
    "labels by solve": {"refinement": "optimal"},
    "loss of the vote": {"loss": "vote"},
}
"""What each variant changes of the paper's options."""

SIZES = (50, 200, 800)
"""Numbers of devices that models of any size are measured on as well."""

SIZED = "unequal-200x10"
"""The scenario that such models are trained on."""

_SLOTS = {"paper-30x2": 3000, "paper-180x8": 4000}
"""T_DRL of Sections V-B and V-C; 5,000, that of V-D, elsewhere."""

_PRICE_SLOTS = 1000
"""Slots for price-posting agents; the page shows what a tenth of them reaches."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training run.

    Attributes
    ----------
    table : {"main", "ablation"}
        Where it is shown.
    preset : str
        Its scenario.
    variant : str
        A key of :data:`MAIN` or :data:`ABLATIONS`.
    seed : int
        Of training.
    slots : int
        Of online training.
    arguments : dict
        Of :class:`~dirs_agents.DIRS`.

    Examples
    --------
    >>> run = Run(table="main", preset="metro", variant="v", seed=3, slots=9, arguments={})
    >>> run.file(Path("runs")).name
    'main-metro-v-9-seed-3.json'
    """

    table: str
    preset: str
    variant: str
    seed: int
    slots: int
    arguments: dict[str, Any]

    def file(self, folder: Path) -> Path:
        """Return where what it reached is kept.

        Parameters
        ----------
        folder : Path
            Of all runs.

        Returns
        -------
        Path
        """
        words = f"{self.table} {self.preset} {self.variant} {self.slots} seed {self.seed}"
        plain = "".join(c if c.isalnum() else " " for c in words)
        return folder / ("-".join(plain.split()) + ".json")

    def record(self, folder: Path) -> Record:
        """Return what it reached.

        Parameters
        ----------
        folder : Path
            Of all runs.

        Returns
        -------
        dict

        Raises
        ------
        OSError, ValueError
            For a file that is not there or holds anything else than a record; it is named.
        """
        return read_object(self.file(folder))

    def done(self, folder: Path) -> bool:
        """Return whether it is there, was made with these arguments, and says what it ran on.

        Parameters
        ----------
        folder : Path
            Of all runs.

        Returns
        -------
        bool
        """
        if not self.file(folder).exists():
            return False
        found = self.record(folder)
        wanted = json.loads(json.dumps(self.arguments))  # as a file shows them
        return bool(found.get("arguments") == wanted and found.get("system"))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the page is about.

    Attributes
    ----------
    presets : sequence of str
        Scenarios of the main table.
    seeds : int
        Training seeds of each of its variants.
    ablations : sequence of str
        Scenarios on which the ideas are switched on and off.
    ablation_seeds : int
        Training seeds of each switch.
    slots : int, optional
        Of online training, instead of the paper's.

    Examples
    --------
    >>> len(Plan(presets=["paper-30x2"], seeds=2, ablation_seeds=3).runs())
    36
    """

    presets: Sequence[str] = PRESETS
    seeds: int = 5
    ablations: Sequence[str] = ("paper-30x2",)
    ablation_seeds: int = 20
    slots: int | None = None

    def runs(self) -> list[Run]:
        """Return every run: the quick ones first, the paper's scenarios, ablations, the others.

        Returns
        -------
        list of Run
        """
        priced = [name for name in MAIN if _is_priced(MAIN[name])]
        slow = [name for name in MAIN if name not in priced]
        papers = [preset for preset in self.presets if preset in _PAPERS]
        others = [preset for preset in self.presets if preset not in _PAPERS]
        off = [name for name in ABLATIONS if name != "as it is"]
        seeds = range(self.seeds)
        parts: list[tuple[str, Sequence[str], Sequence[str], range]] = [
            ("main", self.presets, priced, seeds),
            ("main", papers, slow, seeds),
            ("ablation", self.ablations, off, range(self.ablation_seeds)),
            # The first are in the main table.
            ("ablation", self.ablations, ["as it is"], range(self.seeds, self.ablation_seeds)),
            ("main", others, slow, seeds),
        ]
        return [
            self._run(table, preset, variant, seed)
            for table, presets, variants, wanted in parts
            for seed in wanted
            for preset in presets
            for variant in variants
        ]

    def _run(self, table: str, preset: str, variant: str, seed: int) -> Run:
        arguments = MAIN[variant] if table == "main" else options("paper") | ABLATIONS[variant]
        usual = _PRICE_SLOTS if _is_priced(arguments) else _SLOTS.get(preset, 5000)
        return Run(
            table=table,
            preset=preset,
            variant=variant,
            seed=seed,
            slots=self.slots or usual,
            arguments=arguments,
        )


def admits(variant: str) -> bool:
    """Return whether servers send devices home after the vote, a second message.

    Parameters
    ----------
    variant : str
        Of the main table.

    Returns
    -------
    bool

    Examples
    --------
    >>> admits("the paper's options"), admits("price-posting agents")
    (False, True)
    """
    arguments = MAIN[variant]
    admission = arguments.get("policy_kwargs", {}).get("admission", True)
    return bool(_is_priced(arguments) and admission)


def read(runs: Iterable[Run], folder: Path) -> list[Record]:
    """Return what the runs reached that are there.

    Parameters
    ----------
    runs : iterable of Run
        All that the page shows.
    folder : Path
        Of all runs.

    Returns
    -------
    list of dict

    Raises
    ------
    ValueError
        For a file that is not the record of a run; it is named.

    Examples
    --------
    >>> read(Plan().runs(), Path("nothing-here"))
    []
    """
    found = {run.file(folder): run.record(folder) for run in runs if run.file(folder).exists()}
    for file, record in found.items():
        require_record(file, record, [*(one.name for one in fields(Run)), *REACHED])
    return list(found.values())


def _is_priced(arguments: Mapping[str, Any]) -> bool:
    return bool(arguments["policy"] == "PricePolicy")
