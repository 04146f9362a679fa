"""Rows of data files become lines for COPY. Pure and blocking; to be called in a thread."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from handlers.emissions.amounts import AmountError, parse_amount, parse_override, plain
from handlers.emissions.model import (
    CURRENCY,
    OVERRIDE_COLUMN,
    OVERRIDE_KEY,
    TYPE_COLUMN,
    UNIT_COLUMN,
    EntryType,
    data_columns,
    normalise,
)
from handlers.emissions.sheets import RowErrors, Sheet

_LINES: Final = 1_000
_FALLBACK: Final = "out_co2_corrected"
"""Where a travel feed has the override when ``kg_co2eq`` is null."""

_encode: Final = msgspec.json.Encoder().encode


class RowError(ValueError):
    """A row cannot be used; the text says why."""


class Parsed(msgspec.Struct):
    """What became of a file.

    Attributes:
        chunks: Lines in the text format of COPY: row, unit, type, kind, subkind, quantity, data.
        accepted: Number of lines.
        errors: What was wrong with the other rows.
    """

    chunks: list[bytes]
    accepted: int
    errors: RowErrors


class EntryReader:
    """Reads the rows of one file.

    Args:
        sheet: The file.
        types: Entry types that its rows may have; with several, a column names the type.
        units: Ids of all units by institutional id.
        unit: The only unit that rows may be of; they need not name it then.
    """

    def __init__(
        self,
        sheet: Sheet,
        types: Sequence[EntryType],
        units: Mapping[str, int],
        unit: str | None = None,
    ) -> None:
        self._sheet = sheet
        self._types = {each.name: each for each in types}
        self._single = types[0] if len(types) == 1 else None
        self._units = units
        self._unit = unit
        self._keys: dict[str, str] = {}
        self._columns = sheet.columns
        self._kept = {each.name: self._kept_columns(each) for each in types}
        sheet.require(data_columns(types, with_unit=unit is None))

    def read(self, check: Callable[[], None] = lambda: None) -> Parsed:
        """Read all rows.

        Args:
            check: Called now and then; what it raises ends the reading.

        Raises:
            InputError: The file turns out to be unusable.
        """
        parsed = Parsed([], 0, RowErrors())
        lines: list[bytes] = []
        for number, row in self._sheet.rows:
            try:
                lines.append(self._line(number, row))
            except (RowError, AmountError) as error:
                parsed.errors.add(number, str(error))
                continue
            if len(lines) == _LINES:
                check()
                parsed.chunks.append(b"".join(lines))
                parsed.accepted += len(lines)
                lines.clear()
        parsed.chunks.append(b"".join(lines))
        parsed.accepted += len(lines)
        return parsed

    def _kept_columns(self, entry_type: EntryType) -> tuple[tuple[str, int], ...]:
        left_out = {UNIT_COLUMN, OVERRIDE_COLUMN, _FALLBACK, entry_type.quantity_field, ""}
        return tuple(each for each in self._columns.items() if each[0] not in left_out)

    def _line(self, number: int, row: list[Any]) -> bytes:
        if len(row) > len(self._columns) and any(row[len(self._columns) :]):
            raise RowError("has more fields than the header")
        unit_id = self._unit_id(row)
        entry_type = self._type(row)
        kind = self._key(row, entry_type.kind_field)
        if not kind:
            raise RowError(f"{entry_type.kind_field} is missing")
        subkind = self._key(row, entry_type.subkind_field)
        if self._key(row, entry_type.currency_field) not in {"", CURRENCY}:
            raise RowError(f"{entry_type.currency_field} is not {CURRENCY}")
        quantity = plain(
            parse_amount(self._value(row, entry_type.quantity_field), entry_type.quantity_field)
        )
        data = self._data(row, entry_type)
        # JSON has no raw tab or line break; labels are collapsed: only backslashes need care.
        line = f"{number}\t{unit_id}\t{entry_type.id}\t{kind}\t{subkind}\t{quantity}\t".encode()
        return (line + data + b"\n").replace(b"\\", b"\\\\")

    def _value(self, row: list[Any], name: str | None) -> Any:
        place = None if name is None else self._columns.get(name)
        return row[place] if place is not None and place < len(row) else None

    def _text(self, row: list[Any], name: str | None) -> str:
        value = self._value(row, name)
        return "" if value is None else str(value).strip()

    def _key(self, row: list[Any], name: str | None) -> str:
        text = self._text(row, name)
        key = self._keys.get(text)
        if key is None:
            key = normalise(text)
            if len(self._keys) < 10_000:
                self._keys[text] = key
        return key

    def _unit_id(self, row: list[Any]) -> int:
        name = self._text(row, UNIT_COLUMN)
        if self._unit is not None:
            if name and name != self._unit:
                raise RowError(f"{UNIT_COLUMN} is not {self._unit!r}: {name!r}")
            name = self._unit
        if not name:
            raise RowError(f"{UNIT_COLUMN} is missing")
        unit_id = self._units.get(name)
        if unit_id is None:
            raise RowError(f"unknown unit {name!r}")
        return unit_id

    def _type(self, row: list[Any]) -> EntryType:
        single = self._single
        if single is not None and single.kind_field == TYPE_COLUMN:
            return single
        name = self._key(row, TYPE_COLUMN)
        if single is not None and not name:
            return single
        found = self._types.get(name)
        if found is None:
            raise RowError(f"{TYPE_COLUMN} {name!r} is none of {', '.join(sorted(self._types))}")
        return found

    def _data(self, row: list[Any], entry_type: EntryType) -> bytes:
        data: dict[str, Any] = {}
        length = len(row)
        for name, place in self._kept[entry_type.name]:
            value = row[place] if place < length else None
            if isinstance(value, str):
                value = value.strip()
            if value is not None and value != "":
                data[name] = value
        override = self._override(row)
        if override is not None:
            if entry_type.computations > 1:
                raise RowError(f"{OVERRIDE_COLUMN} cannot override several computations")
            data[OVERRIDE_KEY] = override
        return _encode(data)

    def _override(self, row: list[Any]) -> float | None:
        # Zero is a value: only what is not there falls back.
        override = parse_override(self._value(row, OVERRIDE_COLUMN), OVERRIDE_COLUMN)
        if override is None:
            override = parse_override(self._value(row, _FALLBACK), _FALLBACK)
        return override
