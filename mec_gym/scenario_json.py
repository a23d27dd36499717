"""The file format of scenarios: strict JSON with a format name and a version."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mec_gym.fields import Uniform
from mec_gym.validation import require_known

FORMAT = "mec-gym/scenario"
VERSION = 1


def written(values: Mapping[str, Any]) -> str:
    """Return scenario fields as JSON."""
    plain = {
        field: {"uniform": [value.low, value.high]} if isinstance(value, Uniform) else value
        for field, value in values.items()
    }
    return json.dumps({"format": FORMAT, "version": VERSION} | plain, indent=1)


def read(source: str | os.PathLike[str], fields: Iterable[str]) -> dict[str, Any]:
    """Return the scenario fields that JSON text, or a file of it, holds."""
    inline = isinstance(source, str) and (not source.strip() or source.lstrip()[0] in "{[")
    where = "scenario JSON" if inline else f"scenario JSON {str(source)!r}"
    try:
        text = str(source) if inline else Path(source).read_text(encoding="utf-8")
        values = json.loads(text, object_pairs_hook=_without_repetition)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{where} is not valid JSON: {error}.") from None
    except RecursionError:
        raise ValueError(f"{where} is not valid JSON: nested too deeply.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{where} must be an object; got {type(values).__name__}.")
    return checked(values, fields, where)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"scenario JSON gives {', '.join(twice)} more than once.")
    return values


def checked(mapping: Mapping[str, Any], fields: Iterable[str], where: str) -> dict[str, Any]:
    """Return the scenario fields of a mapping, with format and version or without."""
    values = dict(mapping)
    kind, version = values.pop("format", FORMAT), values.pop("version", VERSION)
    if kind != FORMAT:
        raise ValueError(f"{where} must have format {FORMAT!r}; got {kind!r}.")
    if version != VERSION or isinstance(version, bool):
        raise ValueError(
            f"{where} has version {version!r}; this release reads version {VERSION}. "
            "Install the mec-gym release that wrote it, or a later one."
        )
    require_known("Scenario field", values, fields)
    missing = [field for field in ("n_devices", "n_servers") if field not in values]
    if missing:
        raise ValueError(f"{where} lacks {' and '.join(missing)}.")
    return values
