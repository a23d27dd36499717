"""Files that are complete or, if anything goes wrong, as they were before."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

PARTIAL = ".partial-"
"""How names of files begin that are being written."""


def require_folder(path: Path, name: str = "--out") -> None:
    """Raise unless a folder is there or can be made: asked before work that needs it."""
    there = next(one for one in (path, *path.absolute().parents) if os.path.lexists(one))
    if not there.is_dir():
        raise NotADirectoryError(
            f"{name} must be a folder, or a place for one; {there} is a file. Move the file, or "
            "choose another folder."
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(
            f"{name} must be a folder that can be written to; {there} cannot. Choose another "
            "folder."
        )


def write_whole(path: Path, text: str, *, lasting: bool = True) -> None:
    """Write a file that is complete or, if anything goes wrong, as it was before.

    `lasting` waits until the disk has it, so that it outlives a power failure, too.
    """
    with replacing(path, lasting=lasting) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def in_lines(record: Mapping[str, Any]) -> str:
    """Return a JSON file's text: a line for each key, and for each entry that holds several values.

    >>> print(in_lines({"seed": 0, "runs": [{"nrr": 0.9}, {"nrr": 0.8}]}), end="")
    {
     "seed": 0,
     "runs": [
      {"nrr": 0.9},
      {"nrr": 0.8}
     ]
    }
    """
    lines = [f" {_plain(str(key))}: {_entries(value)}" for key, value in record.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


_plain = partial(json.dumps, ensure_ascii=False)


def _entries(value: Any) -> str:
    pairs, several = isinstance(value, Mapping), (Mapping, list, tuple)
    entries = value.values() if pairs else value if isinstance(value, several) else ()
    if not any(isinstance(one, several) for one in entries):
        return _plain(value)
    lines = [_plain(one) for one in entries]
    if pairs:
        lines = [f"{_plain(str(key))}: {line}" for key, line in zip(value, lines, strict=True)]
    begin, end = "{}" if pairs else "[]"
    return f"{begin}\n  " + ",\n  ".join(lines) + f"\n {end}"


@contextlib.contextmanager
def replacing(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Lend a path to write to, which takes a file's place if nothing goes wrong.

    As where a file is opened and written to, a link stays one to what it leads to, and a file that
    is there keeps its permissions. The path lies beside the file and has its suffix: algorithms
    add their own where there is none.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Short whatever the name is: file systems take 255 bytes.
    name = f"{zlib.crc32(os.fsencode(path.name)):08x}{path.suffix[:16]}"
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{name}")
    mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else None
    try:
        if mode is not None:  # nobody reads a private file while it is written
            partial.touch(0o600)
        yield partial
        if lasting:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        if mode is not None:
            partial.chmod(mode)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def read_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the object that a JSON file holds, or refuse the file by name."""
    try:
        # Some editors, on Windows above all, begin UTF-8 with a byte order mark.
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be JSON: {error}.") from error
    return parsed_object(text, path)


def parsed_object(text: str, where: object) -> dict[str, Any]:
    """Return the object that JSON text holds, or refuse it, calling it `where`."""
    try:
        content = json.loads(text, object_pairs_hook=_without_repetition)
    except RecursionError:
        raise ValueError(f"{where} must be JSON: it is nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"{where} must be JSON: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{where} must hold an object; got a {type(content).__name__}.")
    return content


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"it gives {', '.join(twice)} more than once")
    return values


def require_record(path: str | os.PathLike[str], record: dict[str, Any], keys: list[str]) -> None:
    """Raise ``ValueError`` unless what a run leaves behind has all its keys; more does no harm."""
    lacking = [key for key in keys if key not in record]
    if lacking:
        raise ValueError(
            f"{path} is not what a run leaves behind, it lacks {', '.join(lacking)}. Delete it "
            "to do it anew."
        )


def read_figures(
    path: str | os.PathLike[str], form: str, version: int, writer: str
) -> dict[str, Any]:
    """Return a page's raw figures, of this format and version; `writer` writes them."""
    content = read_object(path)
    found = (content.pop("format", None), content.pop("version", None))
    if found != (form, version):
        raise ValueError(
            f"{path} must have the format {form!r}, version {version}; got {found[0]!r}, "
            f"version {found[1]!r}. {writer} writes it."
        )
    return content


def around(path: Path, begin: str, end: str) -> tuple[str, str]:
    """Return what stands before and after the part between two marks that a script writes anew."""
    before, begun, rest = path.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(
            f"{path} must hold the line {begin.strip()!r} and, below it, {end.strip()!r}: what "
            "stands between them is written anew."
        )
    return before, after


def write_zip(target: Any, members: Mapping[str, bytes], *, compressed: bool = True) -> None:
    """Write a zip archive of named bytes to a path, whole or not at all, or to a binary file.

    ".zip" is added to a path without suffix.
    """
    if hasattr(target, "write"):
        with zipfile.ZipFile(
            target, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
        ) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return
    path = Path(target)
    path = path if path.suffix else path.with_name(path.name + ".zip")
    with replacing(path) as partial, partial.open("wb") as file:
        write_zip(file, members, compressed=compressed)


def read_zip(source: Any, *, largest: int = 2**34) -> dict[str, bytes]:
    """Return the members of a zip archive, a path (with or without ".zip") or a binary file.

    ``ValueError`` for one that is damaged, encrypted, or unpacks to more than `largest` bytes.
    """
    if not hasattr(source, "read"):
        source = Path(source)
        if not source.is_file() and source.with_name(source.name + ".zip").is_file():
            source = source.with_name(source.name + ".zip")
    try:
        with zipfile.ZipFile(source) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > largest:
                raise ValueError(f"it unpacks to {size:,} bytes")
            return {name: archive.read(name) for name in archive.namelist()}
    except FileNotFoundError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,  # an encrypted archive
        ValueError,
    ) as error:
        raise ValueError(f"{source} is no archive, or damaged: {error}.") from error
