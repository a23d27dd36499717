"""Saved policies: a zip archive, as Stable-Baselines3's, with one JSON text in it and no pickle."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Set
from typing import Any

from stable_baselines3.common.save_util import open_path

from mec_gym import Scenario

FORMAT, VERSION, MEMBER = "mec-gym/policy", 1, "policy.json"
FIELDS = {"format", "version", "algorithm", "scenario", "observation", "state"}
LARGEST = 2**28
"""Bytes of JSON that are read at most: a file may come from anywhere."""


def write(
    path: Any, algorithm: str, scenario: Scenario, observation: str, state: Mapping[str, Any]
) -> None:
    """Write a policy.

    Parameters
    ----------
    path : str, path or binary file
        ".zip" is added to a name without suffix.
    algorithm : str
        Name of its class.
    scenario : Scenario
        Its world.
    observation : str
        Kind of its observations.
    state : mapping
        Settings and what was learned: numbers, text, None, or lists of these.

    Examples
    --------
    >>> import io
    >>> file, scenario = io.BytesIO(), Scenario.preset("paper-30x2")
    >>> write(file, "Rule", scenario, "db", {"seed": 1, "num_timesteps": 0, "quota": 3})
    >>> read(file, "Rule", {"quota"})[2]["quota"]
    3
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "algorithm": algorithm,
        "scenario": json.loads(scenario.to_json()),
        "observation": observation,
        "state": dict(state),
    }
    text = json.dumps(content, indent=1, allow_nan=False)
    file = open_path(path, "w", suffix="zip")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, text)
    if file is not path:
        file.close()


def read(path: Any, algorithm: str, names: Set[str]) -> tuple[Scenario, str, dict[str, Any]]:
    """Return the scenario, the observations' kind and the state of a saved policy.

    Parameters
    ----------
    path : str, path or binary file
        From :func:`write`; ".zip" may be left out.
    algorithm : str
        Name of the class that it must be of.
    names : set of str
        What its state must hold beside "seed" and "num_timesteps".

    Returns
    -------
    scenario : Scenario
    observation : str
    state : dict

    Raises
    ------
    ValueError
        For a file that is damaged, of something else, or of another policy.

    Examples
    --------
    >>> import io
    >>> read(io.BytesIO(b"PK"), "Rule", set())
    Traceback (most recent call last):
    ValueError: ... is not a saved policy, or damaged: File is not a zip file
    """
    content = _content(path)
    if not isinstance(content, dict) or set(content) != FIELDS or content["format"] != FORMAT:
        raise ValueError(f"{path} is not a saved policy: it lacks {FORMAT!r} and its fields.")
    if content["version"] != VERSION:
        raise ValueError(
            f"{path} has version {content['version']!r} of the format; this is for {VERSION}."
        )
    if content["algorithm"] != algorithm:
        raise ValueError(
            f"{path} holds a {content['algorithm']!r}, not a {algorithm}: load it with its own "
            "class."
        )
    state, expected = content["state"], {"seed", "num_timesteps", *names}
    if not isinstance(state, dict) or set(state) != expected:
        raise ValueError(f"{path} must hold the state {sorted(expected)} of a {algorithm}.")
    if not isinstance(state["num_timesteps"], int) or content["observation"] not in (
        "db",
        "raw",
        "flat",
    ):
        raise ValueError(f"{path} is damaged: its steps or its observations are none.")
    try:
        scenario = Scenario.from_json(json.dumps(content["scenario"]))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: its scenario is refused: {error}") from error
    return scenario, content["observation"], state


def _content(path: Any) -> Any:
    file = open_path(path, "r", suffix="zip")
    try:
        with zipfile.ZipFile(file) as archive:
            size = archive.getinfo(MEMBER).file_size
            if size > LARGEST:
                raise ValueError(f"its text has {size} bytes")
            return json.loads(archive.read(MEMBER).decode("utf-8"))
    except (
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,  # an encrypted archive
        RecursionError,
        ValueError,  # not UTF-8, not JSON, too long
    ) as error:
        raise ValueError(f"{path} is not a saved policy, or damaged: {error}") from error
    finally:
        if file is not path:
            file.close()
