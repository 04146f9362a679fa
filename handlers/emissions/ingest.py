"""Step one: the rows of an input replace, or are added to, the data entries of a module."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from handlers.emissions.entry_rows import EntryReader, Parsed
from handlers.emissions.locks import lock_module
from handlers.emissions.matching import FACTOR_ID, MATCH, override_of
from handlers.emissions.model import OVERRIDE_KEY, EntryType
from handlers.emissions.report import Written
from handlers.emissions.sheets import InputError, Sheet
from pipelines import Connection

_COLUMNS: Final = (
    "number",
    "unit_id",
    "data_entry_type_id",
    "kind_key",
    "subkind_key",
    "quantity",
    "data",
)

_STAGE: Final = """CREATE TEMPORARY TABLE emission_rows (number integer NOT NULL,
  unit_id bigint NOT NULL, data_entry_type_id integer NOT NULL, kind_key text NOT NULL,
  subkind_key text NOT NULL, quantity numeric NOT NULL, data jsonb NOT NULL) ON COMMIT DROP"""

# In the order of units: two that create reports of a year at once must not wait for each other.
_REPORTS: Final = """INSERT INTO carbon_reports (unit_id, year)
SELECT DISTINCT unit_id, $1::int FROM emission_rows ORDER BY unit_id ON CONFLICT DO NOTHING"""

_MODULES: Final = """INSERT INTO carbon_report_modules (carbon_report_id, module_type_id)
SELECT id, $2::int FROM carbon_reports WHERE year = $1
  AND unit_id IN (SELECT unit_id FROM emission_rows) ORDER BY id ON CONFLICT DO NOTHING"""

_REPLACE: Final = """DELETE FROM data_entries AS entry
USING carbon_report_modules AS module, carbon_reports AS report
WHERE module.id = entry.carbon_report_module_id AND report.id = module.carbon_report_id
  AND report.year = $1 AND module.module_type_id = $2
  AND entry.data_entry_type_id = ANY($3) AND entry.source = $4"""

_INSERT: Final = """INSERT INTO data_entries (carbon_report_module_id, data_entry_type_id, kind_key,
  subkind_key, quantity, data, source, created_by_id)
SELECT module.id, line.data_entry_type_id, line.kind_key, line.subkind_key, line.quantity,
  line.data, $3, $4
FROM emission_rows AS line
JOIN carbon_reports AS report ON report.unit_id = line.unit_id AND report.year = $1
JOIN carbon_report_modules AS module
  ON module.carbon_report_id = report.id AND module.module_type_id = $2 ORDER BY line.number"""

_UNMATCHED: Final = f"""SELECT count(*) FROM (SELECT *, $1::int AS year FROM emission_rows) AS entry
{MATCH}
WHERE {FACTOR_ID} IS NULL AND {override_of("entry.data", "$2::text")} IS NULL"""


class NoFactorsError(InputError):
    """Entries of a type cannot be ingested before there is any factor for them.

    Attributes:
        names: Names of the types.
    """

    def __init__(self, names: Sequence[str], year: int) -> None:
        super().__init__(f"upload factors first: {year} has none for {', '.join(names)}")
        self.names = names


class Ingest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be ingested.

    Attributes:
        read: Returns the rows; called in a thread.
        module_type_id: Module of the entries.
        types: Types that they may have.
        year: Year of the entries.
        source: Where they come from.
        job_id: The job that writes them; None for a seed.
        unit: Add rows of this unit to what is there; None replaces all of the same source.
    """

    read: Callable[[], Sheet]
    module_type_id: int
    types: tuple[EntryType, ...]
    year: int
    source: str
    job_id: int | None = None
    unit: str | None = None


async def ingest_entries(
    connection: Connection, ingest: Ingest, *, check: Callable[[], None] = lambda: None
) -> Written:
    """Write the entries of an input, all in the transaction of the caller.

    Takes the mutex of the module. Without any usable row nothing is written. Missing reports and
    modules of reports are created.

    Args:
        connection: In a transaction.
        ingest: What to do.
        check: Called in the reading thread now and then; what it raises ends it.

    Raises:
        InputError: The input is unusable; nothing was written.
        NoFactorsError: There are no factors yet.
    """
    await lock_module(connection, ingest.module_type_id, ingest.year)
    await _need_factors(connection, ingest)
    units = await _units(connection)
    parsed = await asyncio.to_thread(_parse, ingest, units, check)
    written = Written(inserted=parsed.accepted, errors=parsed.errors, noun="entries inserted")
    if parsed.accepted:
        replaced, unmatched = await _write(connection, ingest, parsed.chunks)
        written.details = {"replaced": replaced, "unmatched": unmatched}
    return written


def _parse(ingest: Ingest, units: Mapping[str, int], check: Callable[[], None]) -> Parsed:
    return EntryReader(ingest.read(), ingest.types, units, ingest.unit).read(check)


async def _need_factors(connection: Connection, ingest: Ingest) -> None:
    rows = await connection.fetch(
        "SELECT DISTINCT data_entry_type_id AS id FROM factors"
        " WHERE year = $1 AND data_entry_type_id = ANY($2)",
        ingest.year,
        [each.id for each in ingest.types],
    )
    present = {row["id"] for row in rows}
    missing = [each for each in ingest.types if each.needs_factors and each.id not in present]
    # In a file of several types, one whose rows have no factor is told of row by row.
    if len(missing) == len(ingest.types):
        raise NoFactorsError([each.name for each in missing], ingest.year)


async def _units(connection: Connection) -> dict[str, int]:
    rows = await connection.fetch("SELECT institutional_id, id FROM units")
    return {row["institutional_id"]: row["id"] for row in rows}


async def _write(
    connection: Connection, ingest: Ingest, chunks: Iterable[bytes]
) -> tuple[int, int]:
    year, module = ingest.year, ingest.module_type_id
    await connection.execute(_STAGE)
    await connection.copy_to_table("emission_rows", source=_stream(chunks), columns=list(_COLUMNS))
    await connection.execute(_REPORTS, year)
    await connection.execute(_MODULES, year, module)
    replaced = 0
    if ingest.unit is None:
        types = [each.id for each in ingest.types]
        done = await connection.execute(_REPLACE, year, module, types, ingest.source)
        replaced = _count(done)
    await connection.execute(_INSERT, year, module, ingest.source, ingest.job_id)
    unmatched: int = await connection.fetchval(_UNMATCHED, year, OVERRIDE_KEY)
    # A seed ingests several files in one transaction.
    await connection.execute("DROP TABLE emission_rows")
    return replaced, unmatched


async def _stream(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _count(tag: Any) -> int:
    return int(str(tag).rsplit(" ", 1)[-1])
