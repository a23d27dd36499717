"""Files that are complete or, if anything goes wrong, as they were before."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".partial-"
"""How names of files begin that are being written."""


def require_folder(path: Path, name: str = "--out") -> None:
    """Raise unless a folder is there, or can be made.

    Parameters
    ----------
    path : Path
        Asked for before any work, which would be lost without it.
    name : str
        What the caller calls it.

    Raises
    ------
    NotADirectoryError
        If a file stands in its place or above it.
    PermissionError
        If nobody lets this process write there.

    Examples
    --------
    >>> require_folder(Path("runs"))
    """
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

    Parameters
    ----------
    path : Path
        Of the file.
    text : str
        Its content.
    lasting : bool
        Wait until the disk has it, so that it outlives a power failure, too.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "a"), "b")
    ...     Path(folder, "a").read_text()
    'b'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, lasting=lasting) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def replacing(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Lend a path to write to, which takes a file's place if nothing goes wrong.

    Parameters
    ----------
    path : Path
        Of the file in the end.
    lasting : bool
        As for :func:`write_whole`.

    Yields
    ------
    Path
        Beside it, with the same suffix: algorithms add their own where there is none.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "a.txt")) as partial:
    ...         _ = partial.write_text("b")
    ...     [file.name for file in Path(folder).iterdir()]
    ['a.txt']
    """
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield partial
        if lasting:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
