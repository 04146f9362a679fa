"""Units from the directory, with a report of the year and its modules for each."""

import asyncio
from collections.abc import Callable
from typing import Final

from handlers.emissions.model import MODULES
from handlers.emissions.report import Written
from handlers.emissions.sheets import RowErrors, Sheet
from pipelines import Connection

ID_COLUMN: Final = "institutional_id"
NAME_COLUMN: Final = "name"

_UNITS: Final = """INSERT INTO units (institutional_id, name)
SELECT * FROM unnest($1::text[], $2::text[]) AS line (institutional_id, name)
ORDER BY institutional_id
ON CONFLICT (institutional_id) DO UPDATE SET name = EXCLUDED.name"""

_REPORTS: Final = """INSERT INTO carbon_reports (unit_id, year)
SELECT id, $2::int FROM units WHERE institutional_id = ANY($1) ORDER BY id ON CONFLICT DO NOTHING"""

_MODULES: Final = """INSERT INTO carbon_report_modules (carbon_report_id, module_type_id)
SELECT report.id, module FROM carbon_reports AS report
JOIN units ON units.id = report.unit_id CROSS JOIN unnest($3::int[]) AS module
WHERE units.institutional_id = ANY($1) AND report.year = $2
ORDER BY report.id, module ON CONFLICT DO NOTHING"""


async def sync_units(
    connection: Connection, read: Callable[[], Sheet], year: int | None = None
) -> Written:
    """Write the units of a file with the columns ``institutional_id`` and ``name``.

    Units that are not in the file stay.

    Args:
        connection: In a transaction.
        read: Returns the rows; called in a thread.
        year: Create reports of this year with all their modules, where there are none.

    Raises:
        InputError: The file is unusable; nothing was written.
    """
    units, errors = await asyncio.to_thread(lambda: _read(read()))
    if units:
        names = sorted(units)
        await connection.execute(_UNITS, names, [units[name] for name in names])
        if year is not None:
            await connection.execute(_REPORTS, names, year)
            await connection.execute(_MODULES, names, year, sorted(MODULES))
    return Written(inserted=len(units), errors=errors, noun="units written")


def _read(sheet: Sheet) -> tuple[dict[str, str], RowErrors]:
    sheet.require([ID_COLUMN])
    errors, units = RowErrors(), dict[str, str]()
    name_at = sheet.columns.get(NAME_COLUMN)
    for number, row in sheet.rows:
        place = sheet.columns[ID_COLUMN]
        unit = str(row[place] or "").strip() if place < len(row) else ""
        if not unit:
            errors.add(number, f"{ID_COLUMN} is missing")
        elif unit in units:
            errors.add(number, f"{ID_COLUMN} {unit!r} stands there twice")
        else:
            has_name = name_at is not None and name_at < len(row)
            units[unit] = (
                str(row[name_at] or "").strip() if name_at is not None and has_name else ""
            )
    return units, errors
