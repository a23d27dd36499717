"""Files of ours that are read again: what they hold, or a sentence on why not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def read_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Parameters
    ----------
    path : path
        Of the file.

    Returns
    -------
    dict

    Raises
    ------
    OSError
        For a file that is not there or cannot be read.
    ValueError
        For one that holds anything else, naming it.

    Examples
    --------
    >>> read_object(__file__)
    Traceback (most recent call last):
    ValueError: ...reading.py must be JSON: ...
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path} must be JSON: it is nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"{path} must be JSON: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold an object; got a {type(content).__name__}.")
    return content


def require_record(path: str | os.PathLike[str], record: dict[str, Any], keys: list[str]) -> None:
    """Raise ``ValueError`` unless a file that work leaves behind holds what it should.

    Parameters
    ----------
    path : path
        Of the file.
    record : dict
        What it holds.
    keys : list of str
        What it must hold; more does no harm.

    Raises
    ------
    ValueError
        Names the file, what it lacks, and the way out.

    Examples
    --------
    >>> require_record("a.json", {"seed": 0}, ["seed", "nrr"])
    Traceback (most recent call last):
    ValueError: a.json is not what a run leaves behind, it lacks nrr. Delete it ...
    """
    lacking = [key for key in keys if key not in record]
    if lacking:
        raise ValueError(
            f"{path} is not what a run leaves behind, it lacks {', '.join(lacking)}. Delete it "
            "to do it anew."
        )


def read_figures(
    path: str | os.PathLike[str], form: str, version: int, writer: str
) -> dict[str, Any]:
    """Return the raw figures of a page, without their format and version.

    Parameters
    ----------
    path : path
        Of the file.
    form : str
        Its format.
    version : int
        The one that is read.
    writer : str
        What writes it, for the message.

    Returns
    -------
    dict

    Raises
    ------
    OSError, ValueError
        As :func:`read_object`, and for another format or version.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.json").write_text("{}")
    ...     read_figures(Path(folder, "a.json"), "mec-gym/a", 1, "scripts/a.py")
    Traceback (most recent call last):
    ValueError: ...a.json must have the format 'mec-gym/a', version 1; got None, version None. ...
    """
    content = read_object(path)
    found = (content.pop("format", None), content.pop("version", None))
    if found != (form, version):
        raise ValueError(
            f"{path} must have the format {form!r}, version {version}; got {found[0]!r}, "
            f"version {found[1]!r}. {writer} writes it."
        )
    return content


def around(path: Path, begin: str, end: str) -> tuple[str, str]:
    """Return what stands before and after a part that a script writes into a file.

    Parameters
    ----------
    path : Path
        Of the file.
    begin, end : str
        The marks that the part stands between.

    Returns
    -------
    before, after : str
        Without the marks.

    Raises
    ------
    OSError
        For a file that is not there or cannot be read.
    ValueError
        For one without the marks.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.md").write_text("a [b] c")
    ...     around(Path(folder, "a.md"), "[", "]")
    ('a ', ' c')
    """
    before, begun, rest = path.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(
            f"{path} must hold the line {begin.strip()!r} and, below it, {end.strip()!r}: what "
            "stands between them is written anew."
        )
    return before, after
