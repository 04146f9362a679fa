"""A directory of files becomes units, factors, entries, emissions and totals, without any job.

The same functions that the jobs call run inline, in one transaction. The names of the files say
what is in them: ``units.csv``, ``factors_energy.csv``, ``data_energy.csv``, with the alias of a
module.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from handlers.emissions.aggregate import aggregate
from handlers.emissions.factors import FactorIngest, ingest_factors
from handlers.emissions.ingest import Ingest, ingest_entries
from handlers.emissions.locks import lock_module, lock_reports
from handlers.emissions.model import MODULES, Module
from handlers.emissions.recalc import recalculate
from handlers.emissions.report import Written
from handlers.emissions.sheets import InputError, Sheet, read_csv
from handlers.emissions.units import sync_units
from pipelines import Connection, JobResult
from pipelines.storage.connection import Pool

MANIFEST = "seed.json"
"""Optional; ``{"year": 2025}`` is the year when none is given."""


class SeedReport(msgspec.Struct, frozen=True):
    """What a seed wrote.

    Attributes:
        year: Year of it.
        files: Message of each file, by name.
        total: kg CO2e of all reports of the year.
    """

    year: int
    files: dict[str, str]
    total: float


async def seed(pool: Pool, directory: Path, year: int | None = None) -> SeedReport:
    """Write all files of a directory, recalculate and sum up, all or nothing.

    Seeding again replaces what the last seed, or upload, wrote.

    Args:
        pool: Where to.
        directory: With the files.
        year: Year of them; that of the manifest, else this year, when None.

    Raises:
        InputError: A file is unusable, or none of its rows is, or there is no file.
    """
    files = await asyncio.to_thread(_files, directory)
    year = year or await asyncio.to_thread(_year, directory)
    async with pool.acquire() as connection, connection.transaction():
        return await _Seeder(connection, directory, files, year).run()


class _Seeder:
    def __init__(
        self, connection: Connection, directory: Path, files: frozenset[str], year: int
    ) -> None:
        self._connection = connection
        self._directory = directory
        self._files = files
        self._year = year
        self._messages: dict[str, str] = {}

    async def run(self) -> SeedReport:
        modules = [MODULES[module_id] for module_id in sorted(MODULES)]
        for module in modules:
            await lock_module(self._connection, module.id, self._year)
        await lock_reports(self._connection, self._year)
        if "units.csv" in self._files:
            read = self._reader("units.csv")
            self._note("units.csv", await sync_units(self._connection, read, self._year))
        for module in modules:
            await self._module(module)
        for module in modules:
            await aggregate(self._connection, module.id, self._year)
        total = await self._connection.fetchval(
            "SELECT coalesce(sum((stats ->> 'total')::numeric), 0)::float8 FROM carbon_reports"
            " WHERE year = $1",
            self._year,
        )
        return SeedReport(self._year, self._messages, total)

    async def _module(self, module: Module) -> None:
        factors, data = f"factors_{module.alias}.csv", f"data_{module.alias}.csv"
        if factors in self._files:
            new = FactorIngest(
                read=self._reader(factors),
                module_type_id=module.id,
                types=module.types,
                year=self._year,
            )
            self._note(factors, await ingest_factors(self._connection, new))
        if data in self._files:
            ingest = Ingest(
                read=self._reader(data),
                module_type_id=module.id,
                types=module.types,
                year=self._year,
                source="CSV_MODULE_PER_YEAR",
            )
            self._note(data, await ingest_entries(self._connection, ingest))
        for entry_type in module.types:
            await recalculate(self._connection, module.id, entry_type, self._year)

    def _reader(self, name: str) -> Callable[[], Sheet]:
        return partial(_read, self._directory / name)

    def _note(self, name: str, written: Written) -> None:
        outcome = written.outcome()
        if outcome.result is JobResult.ERROR:
            raise InputError(f"{name}: {outcome.message}")
        self._messages[name] = outcome.status_message


def _read(path: Path) -> Sheet:
    try:
        return read_csv(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error}") from error


def _files(directory: Path) -> frozenset[str]:
    known = {"units.csv"}
    for module in MODULES.values():
        known |= {f"factors_{module.alias}.csv", f"data_{module.alias}.csv"}
    found = frozenset(name for name in known if (directory / name).is_file())
    if not found:
        raise InputError(f"none of these is in {directory}: {', '.join(sorted(known))}")
    return found


def _year(directory: Path) -> int:
    manifest = directory / MANIFEST
    if not manifest.is_file():
        return datetime.now(UTC).year
    try:
        return msgspec.json.decode(manifest.read_bytes(), type=dict[str, int])["year"]
    except (msgspec.MsgspecError, KeyError) as error:
        raise InputError(f"{MANIFEST} has no year: {error}") from error
