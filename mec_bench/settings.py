"""Everything that determines a run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mec_gym import Scenario
from mec_gym.validation import require_choice


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that determines a run.

    Attributes
    ----------
    algorithm : str
        As for :func:`mec_bench.algorithm`.
    scenario : Scenario
        The system; a preset's name, a path or a mapping is taken, too.
    timesteps : int, [slot]
        Of training, over all copies; a rule takes none.
    seed : int
        Of the algorithm and, apart from it, of its env.
    arguments : mapping
        Constructor arguments that differ from the algorithm's.
    n_envs : int, optional
        Copies of the env; the algorithm's choice by default.
    reward : {"relative", "reciprocal", "negative"}
        Of the env. Where tasks are equal "relative" is the paper's reward in another unit.
    observation : {"db", "raw", "flat"}, optional
        Of the env; the algorithm's choice by default.
    device : str
        Of torch.
    label : str, optional
        In tables; the name with the changed arguments by default.
    measurements : int
        Points of the learning curve after the first.
    checkpoints : int
        How many to write on the way.

    Raises
    ------
    TypeError, ValueError
        For a value outside its range; names it.

    Examples
    --------
    >>> scenario = Scenario.preset("paper-30x2")
    >>> Settings(algorithm="dirs", scenario=scenario, timesteps=9, arguments={"beta": 1.8}).label
    'dirs[beta=1.8]'
    """

    algorithm: str
    scenario: Scenario
    timesteps: int
    seed: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict)
    n_envs: int | None = None
    reward: str = "relative"
    observation: str | None = None
    device: str = "cpu"
    label: str = ""
    measurements: int = 10
    checkpoints: int = 5

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "scenario", Scenario.resolve(self.scenario))
        set_field(self, "arguments", dict(self.arguments))
        for name, least in (("timesteps", 0), ("seed", 0), ("measurements", 1), ("checkpoints", 0)):
            _require_whole(name, getattr(self, name), least)
        if self.seed >= 2**32:
            raise ValueError(f"seed must be below 2^32; got {self.seed}.")
        if self.n_envs is not None:
            _require_whole("n_envs", self.n_envs, 1)
        require_choice("reward", self.reward, ("reciprocal", "relative", "negative"))
        if self.observation is not None:
            require_choice("observation", self.observation, ("db", "raw", "flat"))
        if not self.label:
            changed = ", ".join(f"{key}={value}" for key, value in self.changed.items())
            set_field(self, "label", f"{self.algorithm}[{changed}]" if changed else self.algorithm)

    @property
    def changed(self) -> dict[str, Any]:
        """What differs from the algorithm's own arguments and the usual env."""
        usual = {"n_envs": None, "reward": "relative", "observation": None}
        env = {f"env.{key}": getattr(self, key) for key in usual}
        return dict(self.arguments) | {
            key: value for key, value in env.items() if value != usual[key.removeprefix("env.")]
        }

    @property
    def place(self) -> Path:
        """Where the run lies, from the folder of all runs."""
        scenario = _slug(self.scenario.name or "scenario")
        return Path(scenario, f"{_slug(self.label)}-{self.timesteps}", f"seed-{self.seed}")

    def to_mapping(self) -> dict[str, Any]:
        """Return what JSON takes.

        Returns
        -------
        dict
        """
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return plain | {"scenario": json.loads(self.scenario.to_json())}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Return settings of what :meth:`to_mapping` gave.

        Parameters
        ----------
        values : mapping
            The fields.

        Returns
        -------
        Settings

        Raises
        ------
        TypeError, ValueError
            For a missing, unknown or invalid field.
        """
        scenario = Scenario.from_json(json.dumps(values["scenario"]))
        return cls(**{**values, "scenario": scenario})


def _require_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number >= {least}; got {value!r}.")


def _slug(text: str) -> str:
    """Return a text as a file name that still tells what it is."""
    slug = re.sub(r"[^\w.=+-]+", "-", text).strip("-.") or "unnamed"
    if len(slug) <= _LONGEST_NAME:
        return slug
    return f"{slug[: _LONGEST_NAME - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


_LONGEST_NAME = 120
"""Most file systems take 255 bytes."""
