"""What comes with the package: trained models, each with a card, and settings of learners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from mec_bench.registry import algorithm
from mec_gym.files import read_figures, read_object
from mec_gym.validation import require_choice

MODELS = Path(__file__).parent / "pretrained"
"""Weights and cards, ``<name>.zip`` and ``<name>.json``."""

FORMAT, VERSION = "mec-gym/pretrained", 1
PREFIX = "pretrained:"
"""``mec-gym evaluate`` takes a name behind this."""


@dataclass(frozen=True)
class Card:
    """What a trained model is, where it comes from and what it reaches.

    Attributes
    ----------
    settings : mapping
        The fields of :class:`mec_bench.Settings` of its run: algorithm and arguments, scenario,
        seed, slots of training.
    figure : mapping
        Its `measure`, "nrr" or "hindsight_ratio" [1]; `mean`, with the ends `low` and `high` of the
        95 % interval over layouts or episodes; `by_layout`, the mean of each.
    evaluation, system : mapping
        The frozen slots or episodes of the figure, and what the run was on, as in
        :class:`mec_bench.Result`.
    regenerate : str
        The command that trains it anew, in a clone.
    """

    name: str
    settings: Mapping[str, Any]
    figure: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    system: Mapping[str, Any]
    regenerate: str

    @property
    def file(self) -> Path:
        """The weights."""
        return MODELS / f"{self.name}.zip"

    def __str__(self) -> str:
        one, figure = self.settings, self.figure
        return (
            f"{one['algorithm']} on {one['scenario']['name']}, {one['timesteps']:,} slots, seed "
            f"{one['seed']}: {figure['measure']} {figure['mean']:.4f} "
            f"[{figure['low']:.4f}, {figure['high']:.4f}]"
        )


def pretrained_names() -> tuple[str, ...]:
    """Return the names of the trained models that come with the package.

    Examples
    --------
    >>> "dirs-prices-paper-30x2" in pretrained_names()
    True
    """
    return tuple(sorted(file.stem for file in MODELS.glob("*.json")))


def pretrained_card(name: str) -> Card:
    """Return the card of a trained model; ``ValueError`` for an unknown name.

    Examples
    --------
    >>> pretrained_card("dirs-prices-paper-30x2").settings["algorithm"]
    'dirs:prices'
    """
    require_choice("pretrained", name, pretrained_names())
    file = MODELS / f"{name}.json"
    return Card(name=name, **read_figures(file, FORMAT, VERSION, "reproduction/pretrained.py"))


def pretrained(name: str, env: Any = None, device: str = "cpu") -> Any:
    """Return a trained model that comes with the package.

    Parameters
    ----------
    name : str
        One of :func:`pretrained_names`.
    env : optional
        To decide in or to train on, as for the ``load`` of its class; price-posting agents take any
        number of devices and servers.
    device : str
        Torch's.

    Raises
    ------
    ValueError
        For an unknown name, with those that are known, or an env that the model does not fit.

    Examples
    --------
    >>> import gymnasium as gym
    >>> import mec_gym
    >>> model = pretrained("dirs-prices-paper-30x2")
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> model.predict(env.reset(seed=1)[0], deterministic=True)[0].shape
    (30,)
    """
    card = pretrained_card(name)
    chosen = algorithm(card.settings["algorithm"], card.settings["arguments"])
    return chosen.load(card.file, env=env, device=device)


SETTINGS = Path(str(files("baselines"))) / "settings"
"""Files with settings that were found."""

SETTINGS_FORMAT = "mec-gym/learner-settings"
"""Of those of learners; searches have others."""


def settings_names() -> dict[str, str]:
    """Return the names of files with a learner's settings, and which learner's."""
    found = {file.stem: read_object(file) for file in sorted(SETTINGS.glob("*.json"))}
    return {
        name: one["algorithm"] for name, one in found.items() if one["format"] == SETTINGS_FORMAT
    }
