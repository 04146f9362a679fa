"""Tables as they come in: CSV files and JSON lists, checked as far as can be told without a domain.

Pure and blocking; to be called in a thread.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final, cast

import msgspec

CHECKED_ROWS: Final = 5
"""So many first rows must have all required columns."""

LISTED_ERRORS: Final = 100
"""Errors of rows that are listed; all are counted."""

LONGEST_REASON: Final = 200


class InputError(Exception):
    """The input as a whole is unusable, and nothing of it was written.

    Attributes:
        reason: For people.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class RowErrors:
    """What was wrong with rows: all counted, the first ones listed.

    Attributes:
        count: Number of rows that were skipped.
        listed: The first ones, ``{"row": number, "reason": text}``.
    """

    def __init__(self) -> None:
        self.count = 0
        self.listed: list[dict[str, Any]] = []

    def add(self, row: int, reason: str) -> None:
        """Note a skipped row."""
        self.count += 1
        if len(self.listed) < LISTED_ERRORS:
            self.listed.append({"row": row, "reason": reason[:LONGEST_REASON]})

    @property
    def first(self) -> str | None:
        """The first error, for people."""
        if not self.listed:
            return None
        return f"row {self.listed[0]['row']}: {self.listed[0]['reason']}"


class Sheet:
    """Rows with named columns.

    Args:
        columns: Names, lower case.
        rows: Number and values of each row; the header is row 1. Rows may be shorter than the
            columns, and are read once.
    """

    def __init__(self, columns: Sequence[str], rows: Iterator[tuple[int, list[Any]]]) -> None:
        self.columns = {name: place for place, name in enumerate(columns)}
        self.rows = rows

    def require(self, names: Sequence[str]) -> None:
        """Look at the header and the first five rows.

        Raises:
            InputError: There is no row, or one of them has no such column.
        """
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise InputError(f"missing column: {', '.join(missing)}")
        first = list(islice(self.rows, CHECKED_ROWS))
        if not first:
            raise InputError("the file has no rows")
        for number, row in first:
            short = [name for name in names if self.columns[name] >= len(row)]
            if short:
                raise InputError(f"row {number} has no column: {', '.join(short)}")
        self.rows = chain(first, self.rows)


def read_csv(content: bytes) -> Sheet:
    """Read a CSV file: UTF-8 with or without BOM, comma, with a header. Blank lines are skipped.

    Raises:
        InputError: It is empty, is no such file, or its header is unusable. Also while reading.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"the file is not UTF-8: byte {error.start}") from error
    reader = csv.reader(io.StringIO(text.replace("\x00", "\ufffd"), newline=""), strict=True)
    rows = _rows(reader)
    _, header = next(rows, (1, list[Any]()))
    columns = [name.strip().casefold() for name in header]
    if not any(columns):
        raise InputError("the file is empty")
    doubled = sorted({name for name in columns if name and columns.count(name) > 1})
    if doubled:
        raise InputError(f"column twice: {', '.join(doubled)}")
    reserved = sorted(name for name in columns if name.startswith("_"))
    if reserved:
        raise InputError(f"reserved name of a column: {', '.join(reserved)}")
    return Sheet(columns, rows)


def _rows(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[Any]]]:
    try:
        for number, row in enumerate(reader, start=1):
            if row:
                yield number, row
    except csv.Error as error:
        raise InputError(f"the file is not CSV: {error}") from error


def read_json(content: bytes) -> Sheet:
    """Read a list of JSON objects, or an object whose ``data`` is one; flat values only.

    Rows are numbered as if there were a header. Keys that begin with an underscore are left out.

    Raises:
        InputError: It is anything else.
    """
    try:
        decoded: Any = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise InputError(f"the answer is not JSON: {error}") from error
    if isinstance(decoded, dict):
        decoded = cast("dict[str, Any]", decoded).get("data")
    if not isinstance(decoded, list):
        raise InputError("the answer is not a list of objects")
    objects = cast("list[Any]", decoded)
    if not all(isinstance(each, dict) for each in objects):
        raise InputError("the answer is not a list of objects")
    records = [_flat(each) for each in objects]
    columns = sorted({name for record in records for name in record})
    rows = ([record.get(name) for name in columns] for record in records)
    return Sheet(columns, enumerate(rows, start=2))


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    return {
        name.strip().casefold().replace("\x00", "\ufffd"): value.replace("\x00", "\ufffd")
        if isinstance(value, str)
        else value
        for name, value in record.items()
        if not name.strip().startswith("_") and isinstance(value, str | int | float | None)
    }
