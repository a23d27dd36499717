"""Model files that run no code when loaded: JSON and tensors in a zip, written at once or not."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

FORMAT = "mec-gym/dirs"
VERSION = 1
_DOCUMENT, _TENSORS = _MEMBERS = "model.json", "tensors.pt"


def write_model(path: str | os.PathLike[str], content: Mapping[str, Any]) -> Path:
    """Write a nested mapping of numbers, strings, arrays and tensors.

    Parameters
    ----------
    path : path
        ``.zip`` is added where no suffix is given.
    content : mapping
        Keys are strings.

    Returns
    -------
    Path
        Of the file, which is complete or, if anything goes wrong, as it was before.

    Raises
    ------
    TypeError
        For content of another kind.
    OSError
        If the disk is full or the folder cannot be written to; an earlier file is kept.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> written = write_model(f"{folder.name}/x", {"a": np.arange(3), "b": {"c": 2**100}})
    >>> read_model(written)["a"]
    array([0, 1, 2])
    >>> folder.cleanup()
    """
    target = Path(path)
    if not target.suffix:
        target = target.with_suffix(".zip")
    target.parent.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, torch.Tensor] = {}
    document = {"format": FORMAT, "version": VERSION, "content": _split(content, "", tensors)}
    packed = io.BytesIO()
    torch.save(tensors, packed)
    # A name of its own beside the target, so that the last step is one renaming.
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(_DOCUMENT, json.dumps(document, allow_nan=True))
                archive.writestr(_TENSORS, packed.getvalue())
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner can read; a model is as open as any file.
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_model(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what :func:`write_model` wrote; runs no code of the file's.

    Parameters
    ----------
    path : path
        With or without ``.zip``.

    Returns
    -------
    dict
        Arrays as ndarrays, tensors as tensors on the CPU.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For a damaged, truncated or foreign file, or one of a later version.

    Examples
    --------
    >>> read_model("no-such-model")
    Traceback (most recent call last):
    ...
    FileNotFoundError: there is no model file no-such-model or no-such-model.zip.
    """
    source = Path(path)
    if not source.is_file():
        source = source.with_name(source.name + ".zip")
    if not source.is_file():
        raise FileNotFoundError(f"there is no model file {path} or {source}.")
    whole = io.BytesIO(source.read_bytes())
    try:
        with zipfile.ZipFile(whole) as archive:
            members = {name: archive.read(name) for name in archive.namelist() if name in _MEMBERS}
            names = sorted(archive.namelist())
        document = json.loads(members.get(_DOCUMENT, b"{}"))
    except Exception as error:  # whatever zipfile meets in a damaged file
        raise ValueError(f"{source} is damaged or cut short: {error}.") from error
    if len(members) < len(_MEMBERS):
        raise ValueError(
            f"{source} is not a DIRS model: it holds {', '.join(names[:4]) or '-'} where "
            f"{' and '.join(_MEMBERS)} are needed. Files of other algorithms are loaded by their "
            "own classes."
        )
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"{source} is not a DIRS model: its format is not {FORMAT!r}.")
    if document.get("version") != VERSION:
        raise ValueError(
            f"{source} has version {document.get('version')!r} of the format; this release reads "
            f"version {VERSION}. Load it with the release that wrote it."
        )
    try:
        tensors = torch.load(io.BytesIO(members[_TENSORS]), map_location="cpu", weights_only=True)
        content: dict[str, Any] = _join(document["content"], tensors)
    except Exception as error:  # whatever torch's reader meets in a damaged file
        raise ValueError(f"{source} is damaged: its tensors cannot be read ({error}).") from error
    return content


def _split(value: Any, place: str, tensors: dict[str, torch.Tensor]) -> Any:
    """Replace arrays and tensors by references, in a copy that JSON takes."""
    if isinstance(value, Mapping):
        return {str(key): _split(entry, f"{place}/{key}", tensors) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_split(entry, f"{place}/{i}", tensors) for i, entry in enumerate(value)]
    if isinstance(value, (torch.Tensor, np.ndarray)):
        is_array = isinstance(value, np.ndarray)
        # A tensor of its own, not a view that would drag its whole storage into the file, and
        # not of an array's memory, which may be read-only.
        own = np.array(value) if is_array else value
        tensors[place] = torch.as_tensor(own).detach().cpu().clone()
        return {"$array" if is_array else "$tensor": place}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{place or 'content'} cannot be stored: {type(value).__name__}.")


def _join(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$array"}:
            return tensors[value["$array"]].numpy()
        if set(value) == {"$tensor"}:
            return tensors[value["$tensor"]]
        return {key: _join(entry, tensors) for key, entry in value.items()}
    if isinstance(value, list):
        return [_join(entry, tensors) for entry in value]
    return value
