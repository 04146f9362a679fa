"""One entry, changed by a person: entry, emission and totals in one transaction, without jobs."""

from decimal import Decimal
from typing import Any, Final

from handlers.emissions.aggregate import aggregate
from handlers.emissions.amounts import parse_amount
from handlers.emissions.locks import lock_module
from handlers.emissions.model import MODULES, OVERRIDE_KEY
from handlers.emissions.recalc import recalculate
from handlers.emissions.report import Recalculated
from pipelines import Connection

_FIND: Final = """SELECT module.module_type_id, report.year, e.data_entry_type_id
FROM data_entries AS e
JOIN carbon_report_modules AS module ON module.id = e.carbon_report_module_id
JOIN carbon_reports AS report ON report.id = module.carbon_report_id WHERE e.id = $1"""

_CHANGE: Final = """UPDATE data_entries SET quantity = $2, data = data - $3::text
WHERE id = $1 RETURNING 1"""


async def edit_quantity(
    connection: Connection, entry_id: int, quantity: Any
) -> Recalculated | None:
    """Set the quantity of an entry. An override of the formula is cleared: the edit must show.

    Args:
        connection: A transaction is opened on it.
        entry_id: The entry.
        quantity: Text or number.

    Returns:
        What became of its emission; None when there is no such entry.

    Raises:
        AmountError: It is no quantity.
    """
    amount: Decimal = parse_amount(quantity, "quantity")
    async with connection.transaction():
        row = await connection.fetchrow(_FIND, entry_id)
        if row is None:
            return None
        module, year = row["module_type_id"], row["year"]
        await lock_module(connection, module, year)
        if not await connection.fetchval(_CHANGE, entry_id, amount, OVERRIDE_KEY):
            return None  # an upload replaced it while we waited
        entry_type = MODULES[module].type_by_id(row["data_entry_type_id"])
        assert entry_type is not None  # noqa: S101 (entries are written of known types only)
        done = await recalculate(connection, module, entry_type, year, entry_id=entry_id)
        await aggregate(connection, module, year)
    return done
