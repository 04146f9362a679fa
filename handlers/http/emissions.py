"""``/api/emissions``: totals of a year, per unit, module and scope."""

from typing import Final

import msgspec
from litestar import Response, get
from litestar.params import FromQuery

from handlers.emissions.model import data_columns, factor_columns
from handlers.emissions.service import MODULES, UnitTotals, totals, years
from handlers.http.auth import viewer_of
from handlers.http.pipeline_access import Asked, connection, gateway_of, refused

_LATEST_YEAR: Final = 9999


class ShownType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A type of data entries."""

    id: int
    name: str
    scope: int


class ShownModule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A module: what totals are for, and what can be uploaded.

    Attributes:
        id: Number of it.
        name: Name of it.
        alias: Name of it in file names.
        types: Its types of data entries.
        data_columns: Columns that a file of data must have.
        factor_columns: Columns that a file of factors must have.
    """

    id: int
    name: str
    alias: str
    types: list[ShownType]
    data_columns: list[str]
    factor_columns: list[str]


class YearTotals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Totals of a year.

    Attributes:
        year: The year.
        years: All years that the reader has totals in, latest first.
        modules: All modules, by id.
        units: Totals of the units that the reader may see, by institutional id.
    """

    year: int
    years: list[int]
    modules: list[ShownModule]
    units: list[UnitTotals]


_MODULES: Final = [
    ShownModule(
        module.id,
        module.name,
        module.alias,
        [ShownType(each.id, each.name, each.scope) for each in module.types],
        data_columns(module.types),
        factor_columns(module.types),
    )
    for module in MODULES.values()
]


@get("/totals")
async def show_totals(request: Asked, year: FromQuery[int]) -> Response[YearTotals]:
    """Show the totals of a year; units of other tenants are left out. 422 for no year."""
    user = viewer_of(request)
    if not 0 <= year <= _LATEST_YEAR:
        raise refused(422, "The year is out of range.")
    seen = user.tenant_filter()
    async with connection(gateway_of(request)) as lent:
        units = await totals(lent, year, seen)
        known = await years(lent, seen)
    return Response(YearTotals(year, known, _MODULES, units))
