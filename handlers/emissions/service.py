"""What the rest of the server calls: dispatch an ingest, recalculate, seed, read totals.

Everything takes the engine of the process, or its pool. ``handlers.emissions.registry.register``
adds the job types to the registry that the engine is made with; providers of ``api_ingest`` are
given to it as ``services={SERVICE: {"name": Provider(...)}}``.
"""

from typing import Final

import msgspec

from handlers.emissions.aggregate import ModuleTotals, ReportTotals
from handlers.emissions.dispatch import (
    DispatchError,
    dispatch_api,
    dispatch_ingest,
    dispatch_recalculation,
)
from handlers.emissions.entries import edit_quantity
from handlers.emissions.model import MODULES
from handlers.emissions.provider import SERVICE, Provider, ProviderError
from handlers.emissions.registry import JOB_TYPES, register
from handlers.emissions.seed import SeedReport, seed
from handlers.emissions.sheets import InputError
from handlers.emissions.staleness import TypeStatus, recalculation_status
from pipelines import Connection

_TOTALS: Final = """SELECT units.institutional_id, units.name, report.stats,
  jsonb_object_agg(module.module_type_id, module.stats) FILTER (WHERE module.id IS NOT NULL)
    AS modules
FROM carbon_reports AS report JOIN units ON units.id = report.unit_id
LEFT JOIN carbon_report_modules AS module ON module.carbon_report_id = report.id
WHERE report.year = $1 AND ($2::text[] IS NULL OR units.institutional_id = ANY($2))
GROUP BY report.id, units.id ORDER BY units.institutional_id"""


_YEARS: Final = """SELECT DISTINCT report.year FROM carbon_reports AS report
JOIN units ON units.id = report.unit_id
WHERE $1::text[] IS NULL OR units.institutional_id = ANY($1) ORDER BY report.year DESC"""


class UnitTotals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Totals of one unit in one year.

    Attributes:
        unit: Institutional id.
        name: Name of the unit.
        report: Totals of the report; None before the first aggregation.
        modules: Totals of each module by its id; None before its first aggregation.
    """

    unit: str
    name: str
    report: ReportTotals | None
    modules: dict[str, ModuleTotals | None]


async def totals(
    connection: Connection, year: int, units: list[str] | None = None
) -> list[UnitTotals]:
    """Return the totals of a year by institutional id.

    Args:
        connection: Not necessarily in a transaction.
        year: The year.
        units: Only these units, for example those that the reader may see; None for all.
    """
    rows = await connection.fetch(_TOTALS, year, units)
    return [
        UnitTotals(
            row["institutional_id"],
            row["name"],
            None if row["stats"] is None else msgspec.json.decode(row["stats"]),
            {} if row["modules"] is None else msgspec.json.decode(row["modules"]),
        )
        for row in rows
    ]


async def years(connection: Connection, units: list[str] | None = None) -> list[int]:
    """Return the years that have reports, latest first.

    Args:
        connection: Not necessarily in a transaction.
        units: Only those of these units; None for all.
    """
    return [row["year"] for row in await connection.fetch(_YEARS, units)]


__all__ = [
    "JOB_TYPES",
    "MODULES",
    "SERVICE",
    "DispatchError",
    "InputError",
    "Provider",
    "ProviderError",
    "SeedReport",
    "TypeStatus",
    "UnitTotals",
    "dispatch_api",
    "dispatch_ingest",
    "dispatch_recalculation",
    "edit_quantity",
    "recalculation_status",
    "register",
    "seed",
    "totals",
    "years",
]
