"""Packed files: nested mappings of numbers, text and arrays, a zip of JSON and NumPy's arrays.

Nothing in such a file runs when it is read: arrays that would need a pickle are refused. Tensors
are written as arrays; who reads says what makes tensors of them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.files import read_zip, write_zip

_DOCUMENT = "model.json"


@dataclass(frozen=True)
class Format:
    """A kind of packed file: what it is called in the file and to its readers, and which version.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> Format("mec-gym/example", 1, "an example").write(file, {"x": np.arange(3)})
    >>> Format("mec-gym/example", 1, "an example").read(file)
    {'x': array([0, 1, 2])}
    """

    name: str
    version: int
    title: str

    def write(self, path: Any, content: Mapping[str, Any]) -> None:
        """Write a nested mapping of numbers, strings, arrays and tensors, whole or not at all.

        To a path, ``.zip`` being added where it has no suffix, or to an open binary file.
        ``TypeError`` for anything else, by its place.
        """
        arrays: list[NDArray[Any]] = []
        document = {
            "format": self.name,
            "version": self.version,
            "content": _split(content, "", arrays),
        }
        members = {_DOCUMENT: json.dumps(document).encode()}
        for index, array in enumerate(arrays):
            packed = io.BytesIO()
            np.lib.format.write_array(packed, array, allow_pickle=False)
            members[_member(index)] = packed.getvalue()
        # Weights hardly shrink, and checkpoints should take no time.
        write_zip(path, members, compressed=False)

    def require_storable(self, content: Mapping[str, Any]) -> None:
        """Raise ``TypeError`` for what :meth:`write` would refuse."""
        _split(content, "", [])

    def read(self, path: Any, *, tensor: Callable[[NDArray[Any]], Any] = np.asarray) -> Any:
        """Return the content of a file, with or without ``.zip``.

        `tensor` makes what was a tensor one again. ``FileNotFoundError`` if there is no file,
        ``ValueError`` for one that is damaged, of another kind or of another version.
        """
        source = path
        if not hasattr(path, "read"):
            source = Path(path)
            if not source.is_file():
                source = source.with_name(source.name + ".zip")
            if not source.is_file():
                raise FileNotFoundError(f"there is no model file {path} or {source}.")
        members = read_zip(source)
        document = self._document(source, members)
        try:
            return _join(document["content"], members, tensor)
        except Exception as error:  # whatever NumPy's reader meets in a damaged file
            raise ValueError(f"{source} is damaged: it cannot be read ({error}).") from error

    def _document(self, source: Any, members: Mapping[str, bytes]) -> dict[str, Any]:
        if _DOCUMENT not in members:
            raise ValueError(
                f"{source} is not {self.title}: it holds {', '.join(sorted(members)[:4]) or '-'} "
                f"where {_DOCUMENT} is needed. Files of other algorithms are loaded by their own "
                "classes."
            )
        try:
            document = json.loads(members[_DOCUMENT])
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{source} is damaged: its {_DOCUMENT} is no JSON ({error})."
            ) from error
        if not isinstance(document, dict) or document.get("format") != self.name:
            raise ValueError(f"{source} is not {self.title}: its format is not {self.name!r}.")
        if document.get("version") != self.version:
            raise ValueError(
                f"{source} has version {document.get('version')!r} of the format; this release "
                f"reads version {self.version}. Load it with the release that wrote it."
            )
        return document


def _member(index: int) -> str:
    return f"{index}.npy"


def _split(value: Any, place: str, arrays: list[NDArray[Any]]) -> Any:
    """Replace arrays and tensors by references, in a copy that JSON takes."""
    if isinstance(value, Mapping):
        return {str(key): _split(entry, f"{place}/{key}", arrays) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_split(entry, f"{place}/{i}", arrays) for i, entry in enumerate(value)]
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"$array": len(arrays) - 1}
    if hasattr(value, "detach"):
        arrays.append(value.detach().cpu().numpy())
        return {"$tensor": len(arrays) - 1}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{place or 'content'} cannot be stored: {type(value).__name__}.")


def _join(value: Any, members: Mapping[str, bytes], tensor: Callable[[NDArray[Any]], Any]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$array"}:
            return _array(value["$array"], members)
        if set(value) == {"$tensor"}:
            return tensor(_array(value["$tensor"], members))
        return {key: _join(entry, members, tensor) for key, entry in value.items()}
    if isinstance(value, list):
        return [_join(entry, members, tensor) for entry in value]
    return value


def _array(index: int, members: Mapping[str, bytes]) -> NDArray[Any]:
    packed = io.BytesIO(members[_member(index)])
    array: NDArray[Any] = np.lib.format.read_array(packed, allow_pickle=False)
    return array
