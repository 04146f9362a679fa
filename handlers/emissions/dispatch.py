"""Requests become pipelines: the input is kept, the root job created, its id returned at once."""

from typing import Final, Literal

from handlers.emissions.inputs import store_input
from handlers.emissions.model import MODULES, entry_types
from handlers.emissions.sheets import InputError
from pipelines import (
    EMISSION_RECALC_DEDUP,
    Connection,
    Engine,
    EntityType,
    IngestionMethod,
    NewJob,
    Submitted,
    TargetType,
    UserProvider,
)

Target = Literal["data", "factors", "units"]
"""What a file holds."""

_UNIT: Final = "SELECT id FROM units WHERE institutional_id = $1"

_REPORT: Final = """INSERT INTO carbon_reports (unit_id, year) VALUES ($1, $2)
ON CONFLICT DO NOTHING"""

_MODULE: Final = """INSERT INTO carbon_report_modules (carbon_report_id, module_type_id)
SELECT id, $3 FROM carbon_reports WHERE unit_id = $1 AND year = $2 ON CONFLICT DO NOTHING"""

_FIND: Final = """SELECT module.id FROM carbon_report_modules AS module
JOIN carbon_reports AS report ON report.id = module.carbon_report_id
WHERE report.unit_id = $1 AND report.year = $2 AND module.module_type_id = $3"""


class DispatchError(ValueError):
    """A request makes no sense.

    Attributes:
        field: Field of the request that it lies in.
        reason: What is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field} {self.reason}"


async def dispatch_ingest(
    engine: Engine,
    content: bytes,
    *,
    file_name: str = "upload.csv",
    target: Target = "data",
    module: int | None = None,
    year: int | None = None,
    data_entry_type: int | None = None,
    unit: str | None = None,
    provider: UserProvider = UserProvider.DEFAULT,
) -> Submitted:
    """Keep a CSV file and start the pipeline that ingests it.

    Args:
        engine: Started.
        content: The file.
        file_name: Its name, for people.
        target: What it holds.
        module: Module of the rows, by id. Not for units; factors whose columns tell it may
            leave it out.
        year: Year of the rows. For units, reports of this year are created.
        data_entry_type: The only entry type of the rows; all of the module when None.
        unit: Institutional id of the unit that the rows are added for. It is the tenant of the
            pipeline. None replaces the last upload for all units, and has no tenant.
        provider: Directory of the requesting user, for the audit.

    Returns:
        The pipeline to watch and its root job.

    Raises:
        DispatchError: Module, year, entry type or unit is missing or unknown, or the file too big.
    """
    if target == "data" or (target == "factors" and module is not None):
        _check_scope(module, year, data_entry_type)
    elif target == "factors":
        _check_year(year)
    async with engine.pool.acquire() as connection:
        try:
            digest = await store_input(connection, file_name, content)
        except InputError as error:
            raise DispatchError("file", str(error)) from error
        entity = None
        if unit is not None:
            if target != "data" or module is None or year is None:
                raise DispatchError("unit", "is only for data of a module")
            entity = await report_module(connection, unit, year, module)
    new = NewJob(
        job_type={"data": "csv_ingest", "factors": "factor_ingest", "units": "unit_sync"}[target],
        config={"input": digest, "file_name": file_name},
        tenant_id=unit,
        entity_type=_entity_type(target, unit),
        entity_id=entity,
        module_type_id=module,
        data_entry_type_id=data_entry_type,
        year=year,
        target_type=_TARGETS[target],
        ingestion_method=IngestionMethod.csv,
        provider=provider,
    )
    return await engine.submit(new)


async def dispatch_api(
    engine: Engine,
    provider_name: str,
    *,
    module: int,
    year: int,
    data_entry_type: int | None = None,
    unit: str | None = None,
    provider: UserProvider = UserProvider.DEFAULT,
) -> Submitted:
    """Start the pipeline that pulls data entries from a configured provider.

    Args:
        engine: Started; its services have the provider.
        provider_name: Name of the provider.
        module: Module of the rows.
        year: Year of the rows.
        data_entry_type: The only entry type of the rows.
        unit: As for :func:`dispatch_ingest`.
        provider: Directory of the requesting user.

    Raises:
        DispatchError: Module, year, entry type or unit is unknown.
    """
    _check_scope(module, year, data_entry_type)
    entity = None
    if unit is not None:
        async with engine.pool.acquire() as connection:
            entity = await report_module(connection, unit, year, module)
    new = NewJob(
        job_type="api_ingest",
        config={"provider_name": provider_name},
        tenant_id=unit,
        entity_type=_entity_type("data", unit),
        entity_id=entity,
        module_type_id=module,
        data_entry_type_id=data_entry_type,
        year=year,
        target_type=TargetType.DATA_ENTRIES,
        ingestion_method=IngestionMethod.api,
        provider=provider,
    )
    return await engine.submit(new)


async def dispatch_recalculation(
    engine: Engine,
    *,
    module: int,
    year: int,
    data_entry_types: tuple[int, ...] | None = None,
    provider: UserProvider = UserProvider.DEFAULT,
) -> Submitted:
    """Start a recalculation; of one entry type, an active one is joined.

    Args:
        engine: Started.
        module: The module.
        year: The year.
        data_entry_types: Entry types; all of the module when None.
        provider: Directory of the requesting user.

    Raises:
        DispatchError: Module, year or an entry type is unknown.
    """
    for each in data_entry_types or (None,):
        _check_scope(module, year, each)
    single = data_entry_types[0] if data_entry_types and len(data_entry_types) == 1 else None
    config = {} if data_entry_types is None else {"data_entry_type_ids": list(data_entry_types)}
    new = NewJob(
        job_type="emission_recalc" if single is not None else "module_emission_recalc",
        config=config,
        module_type_id=module,
        data_entry_type_id=single,
        year=year,
        target_type=TargetType.DATA_ENTRIES,
        ingestion_method=IngestionMethod.computed,
        provider=provider,
    )
    return await engine.submit(new, dedup=EMISSION_RECALC_DEDUP if single is not None else None)


async def report_module(connection: Connection, unit: str, year: int, module: int) -> int:
    """Return the id of the module of a unit's report, which is created if need be.

    Raises:
        DispatchError: There is no such unit.
    """
    async with connection.transaction():
        unit_id = await connection.fetchval(_UNIT, unit)
        if unit_id is None:
            raise DispatchError("unit", "does not exist")
        await connection.execute(_REPORT, unit_id, year)
        await connection.execute(_MODULE, unit_id, year, module)
        return await connection.fetchval(_FIND, unit_id, year, module)


_TARGETS: Final = {
    "data": TargetType.DATA_ENTRIES,
    "factors": TargetType.FACTORS,
    "units": TargetType.REFERENCE_DATA,
}


def _entity_type(target: Target, unit: str | None) -> EntityType:
    if unit is not None:
        return EntityType.MODULE_UNIT_SPECIFIC
    return EntityType.GLOBAL_PER_YEAR if target == "units" else EntityType.MODULE_PER_YEAR


def _check_scope(module: int | None, year: int | None, data_entry_type: int | None) -> None:
    if module not in MODULES:
        raise DispatchError("module", f"is none of {', '.join(map(str, sorted(MODULES)))}")
    _check_year(year)
    if not entry_types(module, data_entry_type):
        raise DispatchError("data_entry_type", f"does not belong to module {module}")


def _check_year(year: int | None) -> None:
    if year is None or not 1900 <= year <= 9999:
        raise DispatchError("year", "is missing" if year is None else "is out of range")
