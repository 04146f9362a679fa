"""Factors from a file: inserted, or changed in place so that their ids stay."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from handlers.emissions.amounts import AmountError, parse_amount
from handlers.emissions.entry_rows import RowError
from handlers.emissions.locks import lock_module
from handlers.emissions.model import (
    CURRENCY,
    MODULES,
    TYPE_COLUMN,
    EntryType,
    Module,
    classification,
    factor_columns,
    normalise,
)
from handlers.emissions.report import Written
from handlers.emissions.sheets import InputError, RowErrors, Sheet
from pipelines import Connection

_UPSERT: Final = """INSERT INTO factors AS factor (data_entry_type_id, emission_type_id, year,
  classification, kind_key, subkind_key, value, "values", last_seen_job_id)
SELECT type, emission, $1, classification, kind, subkind, value::numeric, "values"::jsonb, $2
FROM unnest($3::int[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
  AS line (type, emission, classification, kind, subkind, value, "values")
ON CONFLICT (data_entry_type_id, year, kind_key, subkind_key) DO UPDATE SET
  emission_type_id = EXCLUDED.emission_type_id, value = EXCLUDED.value,
  "values" = EXCLUDED."values", last_seen_job_id = EXCLUDED.last_seen_job_id,
  updated_at = clock_timestamp()"""

_STALE: Final = """SELECT id, classification FROM factors
WHERE year = $1 AND data_entry_type_id = ANY($2) AND last_seen_job_id IS DISTINCT FROM $3
ORDER BY id"""


class FactorRow(msgspec.Struct, frozen=True):
    """One factor of a file; ``values`` is JSON text of its other columns."""

    entry_type: EntryType
    kind_key: str
    subkind_key: str
    value: str
    values: str


class FactorIngest(msgspec.Struct, frozen=True, kw_only=True):
    """Which factors are to be ingested.

    Attributes:
        read: Returns the rows; called in a thread.
        module_type_id: Module of the factors.
        types: Entry types that they may be for.
        year: Year of the factors.
        job_id: The job that writes them; None for a seed.
    """

    read: Callable[[], Sheet]
    module_type_id: int
    types: tuple[EntryType, ...]
    year: int
    job_id: int | None = None


async def ingest_factors(connection: Connection, ingest: FactorIngest) -> Written:
    """Write the factors of a file, in the transaction of the caller.

    Takes the mutex of the module. Factors that are not in the file stay, and are reported as stale.

    Raises:
        InputError: The file is unusable; nothing was written.
    """
    await lock_module(connection, ingest.module_type_id, ingest.year)
    rows, errors = await asyncio.to_thread(lambda: read_factors(ingest.read(), ingest.types))
    written = Written(inserted=len(rows), errors=errors, noun="factors written")
    if rows:
        await connection.execute(_UPSERT, ingest.year, ingest.job_id, *_columns(rows))
        types = [each.id for each in ingest.types]
        stale = await connection.fetch(_STALE, ingest.year, types, ingest.job_id)
        written.details = {
            "stale": len(stale),
            "stale_factors": [row["classification"] for row in stale[:100]],
        }
    return written


def module_of(sheet: Sheet) -> Module:
    """Return the module that a factor file is for, told by its columns.

    Raises:
        InputError: None has such columns, or several have.
    """
    found = [
        module
        for module in MODULES.values()
        if all(name in sheet.columns for name in factor_columns(module.types))
    ]
    if len(found) != 1:
        raise InputError("the columns of the file do not tell its module: name it")
    return found[0]


def _columns(rows: Sequence[FactorRow]) -> tuple[list[Any], ...]:
    return (
        [row.entry_type.id for row in rows],
        [row.entry_type.emission_type_of(row.kind_key) for row in rows],
        [classification(row.kind_key, row.subkind_key) for row in rows],
        [row.kind_key for row in rows],
        [row.subkind_key for row in rows],
        [row.value for row in rows],
        [row.values for row in rows],
    )


def read_factors(sheet: Sheet, types: Sequence[EntryType]) -> tuple[list[FactorRow], RowErrors]:
    """Read the rows of a factor file. Pure and blocking.

    Raises:
        InputError: The file is unusable.
    """
    sheet.require(factor_columns(types))
    errors = RowErrors()
    rows: dict[tuple[int, str, str], FactorRow] = {}
    seen: dict[tuple[int, str, str], int] = {}
    for number, values in sheet.rows:
        record = {
            name: str(values[place]).strip() if values[place] is not None else ""
            for name, place in sheet.columns.items()
            if place < len(values)
        }
        try:
            row = _factor(record, types)
        except (RowError, AmountError) as error:
            errors.add(number, str(error))
            continue
        identity = (row.entry_type.id, row.kind_key, row.subkind_key)
        if identity in seen:
            errors.add(number, f"the same factor as in row {seen[identity]}")
            continue
        seen[identity] = number
        rows[identity] = row
    return list(rows.values()), errors


def _factor(record: dict[str, str], types: Sequence[EntryType]) -> FactorRow:
    entry_type = types[0]
    by_name = {each.name: each for each in types}
    if entry_type.kind_field != TYPE_COLUMN and (name := normalise(record.get(TYPE_COLUMN, ""))):
        if name not in by_name:
            raise RowError(f"{TYPE_COLUMN} {name!r} is none of {', '.join(sorted(by_name))}")
        entry_type = by_name[name]
    elif len(types) > 1:
        raise RowError(f"{TYPE_COLUMN} is missing")
    kind = normalise(record.get(entry_type.kind_field, ""))
    if not kind:
        raise RowError(f"{entry_type.kind_field} is missing")
    subkind = normalise(record.get(entry_type.subkind_field or "", ""))
    currency = normalise(record.get(entry_type.currency_field or "", ""))
    if currency not in {"", CURRENCY}:
        raise RowError(f"{entry_type.currency_field} is not {CURRENCY}")
    value = parse_amount(record.get(entry_type.factor_field, ""), entry_type.factor_field)
    others = {
        name: text
        for name, text in record.items()
        if text and name and name != entry_type.factor_field
    }
    return FactorRow(
        entry_type, kind, subkind, format(value, "f"), msgspec.json.encode(others).decode()
    )
