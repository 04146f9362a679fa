"""Connections ask once for types that are the same in every database.

The driver asks each new connection anew what an array of numbers or texts is, before it encodes the
first one; that is the dearest statement of a connection's first second. Types with an id below
`FIXED` are part of PostgreSQL and the same in all databases of all versions: what one connection
was told, all connections of the process know.

What if it is lost? Then connections ask, as they would without it.
"""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Final

FIXED: Final = 10_000
"""Ids below are assigned by hand in the sources of PostgreSQL and never change."""

# The driver prepares its statement again after a nameless one has taken its place; none has.
_NOTHING_ASKED: Final = SimpleNamespace(name="nothing asked")

_arrays: Final[dict[int, tuple[Mapping[str, Any], ...]]] = {}


class KnownTypes:
    """Mixed into a connection class, before the driver's."""

    async def _introspect_types(
        self,
        typeoids: Iterable[int],
        timeout: float | None,  # noqa: ASYNC109 (as the driver has it)
    ) -> tuple[list[Any], Any]:
        wanted = list(typeoids)
        known = [row for oid in wanted for row in _arrays.get(oid, ())]
        unknown = [oid for oid in wanted if oid not in _arrays]
        if not unknown:
            return known, _NOTHING_ASKED
        driver: Any = super()
        told, statement = await driver._introspect_types(unknown, timeout)  # noqa: SLF001
        _keep(unknown, {row["oid"]: row for row in told})
        return [*known, *told], statement


def _keep(asked: list[int], told: dict[int, Mapping[str, Any]]) -> None:
    for oid in asked:
        if oid < FIXED and oid in told and told[oid]["elemtype"]:
            parts = (told[oid]["elemtype"], oid)
            _arrays[oid] = tuple(told[part] for part in parts if part in told)
