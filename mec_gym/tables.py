"""CSV tables: columns found by name, cells as numbers or text; refusals name line and column."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import math
import os
import zlib
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.validation import suggestion


@dataclasses.dataclass(frozen=True)
class Column:
    """A column that a table must have: its names, the first of them in messages."""

    names: tuple[str, ...]
    unit: str = ""  # of finite numbers; "" for text


@dataclasses.dataclass(frozen=True)
class Columns:
    """All columns that a table must have, and what else one may do with a table that lacks them."""

    columns: tuple[Column, ...]
    advice: str

    def __str__(self) -> str:
        named = [
            repr(one.names[0]) + (f" [{one.unit}]" if one.unit else "") for one in self.columns
        ]
        return f"the columns {', '.join(named[:-1])} and {named[-1]}"


@dataclasses.dataclass(frozen=True)
class Table:
    """The columns of a CSV file that were asked for, and where in the file they stand."""

    path: str
    asked: Columns
    header: tuple[str, ...]
    lines: tuple[int, ...]
    columns: tuple[NDArray[Any], ...]  # numbers or text, in the order of `asked`

    def error(self, row: int, column: int, requirement: str, got: object, cure: str) -> ValueError:
        """Return the refusal of a cell."""
        line, header = self.lines[row], self.header[column]
        return _cell_error(self.path, line, header, requirement, got, cure)


def _cell_error(
    path: str, line: int, header: str, requirement: str, got: object, cure: str
) -> ValueError:
    return ValueError(
        f"{path!r}, line {line}, column {header!r}: {requirement}; got {got!r}. {cure}"
    )


def read_table(path: str | os.PathLike[str], *kinds: Columns) -> Table:
    """Return the columns of one kind of table; refuse what is empty or not a finite number.

    Of several kinds that of which the header has most; the first of them where it has as many.
    """
    name = os.fspath(path)
    rows = _read_rows(name)
    if not rows:
        raise ValueError(
            f"{name!r} must be a CSV table with {kinds[0]}; got an empty file. "
            "Write a header line, and lines below it."
        )
    header = rows[0][1]
    asked = min(kinds, key=lambda kind: len(_missing(header, kind)))
    places = _find_columns(name, header, asked)
    if len(rows) == 1:
        raise ValueError(
            f"{name!r} must have at least one row below its header; got none. Write the rows."
        )
    titles = tuple(header[place] for place in places)
    numeric = [place for place, one in zip(places, asked.columns, strict=True) if one.unit]
    columns: list[list[Any]] = [[] for _ in places]
    for line, cells in rows[1:]:
        if not any(cells):
            raise ValueError(
                f"{name!r}, line {line}: must have {asked}; got an empty row. Remove the line."
            )
        for values, place, title, one in zip(columns, places, titles, asked.columns, strict=True):
            text = cells[place] if place < len(cells) else ""
            values.append(_cell(name, line, title, text, one.unit))
        # Commas in a name behind them do no harm; those within a number leave it without fraction.
        if any(cells[len(header) :]) and any(
            cells[place].lstrip("+-").isdigit() for place in numeric
        ):
            raise ValueError(
                f"{name!r}, line {line}: must have at most {len(header)} values, one for each "
                f"column; got {len(cells)}, with whole numbers as coordinates. Write decimals with "
                "a point, -37.81 instead of -37,81, and text with commas in quotes."
            )
    lines = tuple(line for line, _ in rows[1:])
    return Table(name, asked, titles, lines, tuple(np.array(values) for values in columns))


def _read_rows(path: str) -> list[tuple[int, list[str]]]:
    """Return every record with its 1-based line, cells stripped, without blank ones at the end."""
    rows: list[tuple[int, list[str]]] = []
    try:
        with _opened(path) as file:
            reader = csv.reader(file)
            rows.extend((reader.line_num, [cell.strip() for cell in row]) for row in reader)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path!r} must be a CSV table; there is no such file, seen from {os.getcwd()!r}. "
            "Correct the path, or give it from the root on."
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path!r} must be UTF-8 text; got byte 0x{error.object[error.start]:02x} "
            f"after line {rows[-1][0] if rows else 0}. Save the table as CSV in UTF-8."
        ) from None
    except csv.Error as error:
        raise ValueError(
            f"{path!r} must be a CSV table; got what is not, after line "
            f"{rows[-1][0] if rows else 0} ({error}). Save the table as CSV in UTF-8."
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path!r} must be compressed by gzip, as its name says; got what is not, or its "
            f"beginning only ({error}). Compress the table anew, or name it .csv."
        ) from None
    while rows and not any(rows[-1][1]):
        rows.pop()
    return rows


def _opened(path: str) -> IO[str]:
    if path.casefold().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def _places(header: Sequence[str], column: Column) -> list[int]:
    return [place for place, title in enumerate(header) if title.casefold() in column.names]


def _missing(header: Sequence[str], asked: Columns) -> list[Column]:
    return [one for one in asked.columns if not _places(header, one)]


def _find_columns(path: str, header: Sequence[str], asked: Columns) -> tuple[int, ...]:
    """Return where the header has each of the columns."""
    listed = ", ".join(repr(title) for title in header) or "none"
    found = [_places(header, one) for one in asked.columns]
    for one, places in zip(asked.columns, found, strict=True):
        if len(places) > 1:
            raise ValueError(
                f"{path!r}, line 1: must have one column {one.names[0]!r}; got {len(places)} among "
                f"{listed}. Rename or remove all but one."
            )
    missing = _missing(header, asked)
    if missing:
        known = {name for one in asked.columns for name in one.names}
        others = [title.casefold() for title in header if title.casefold() not in known]
        lacks = " and ".join(
            f"{one.names[0]!r}{suggestion(one.names[0], others)}" for one in missing
        )
        raise ValueError(
            f"{path!r}, line 1: must name {asked}; lacks {lacks}; got the columns {listed}. "
            f"{_header_cure(header, missing, asked.advice)}"
        )
    return tuple(places[0] for places in found)


def _header_cure(header: Sequence[str], missing: Sequence[Column], advice: str) -> str:
    if any(separator in title for title in header for separator in ";\t"):
        return "Separate the columns by commas."
    try:
        [float(title) for title in header]
    except ValueError:
        names = "; ".join(", ".join(one.names) for one in missing)
        return f"Rename the columns (known names: {names}). {advice}"
    return "Write a header line above the first row."


def _cell(path: str, line: int, header: str, text: str, unit: str) -> float | str:
    """Return the number that a cell holds, or the text where there is no unit."""
    if not unit:
        if text:
            return text
        raise _cell_error(path, line, header, "must not be empty", text, "Fill in the value.")
    try:
        number = float(text) if "_" not in text else math.nan
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return number
    requirement = f"must be a finite number [{unit}]"
    cure = "Fill in the value, or remove the row."
    raise _cell_error(path, line, header, requirement, text, cure)
