"""The rules of the domain, pure: modules, entry types, what they emit, and how labels are matched.

One entry and one factor belong together when they are of the same entry type and year and their
normalised labels are equal: first kind and subkind, else the factor of the kind without a subkind.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

OVERRIDE_KEY: Final = "__kg_co2eq_override__"
"""Key in the data of an entry whose value, in kg, replaces the formula. It never leaves there."""

OVERRIDE_COLUMN: Final = "kg_co2eq"
"""Column of a file that gives the override."""

UNIT_COLUMN: Final = "unit_institutional_id"
TYPE_COLUMN: Final = "category"
"""Column that names the entry type, in files of modules that have several."""

CURRENCY: Final = "eur"


class EntryType(msgspec.Struct, frozen=True, kw_only=True):
    """A type of data entries.

    Attributes:
        id: Number of it, as everybody knows it.
        name: As the ``category`` column has it.
        kind_field: Column with the label that is matched first.
        subkind_field: Column with the finer label; None if there is none.
        quantity_field: Column with the amount.
        factor_field: Column of factor files with the value of the factor, kg for one of the amount.
        currency_field: Column with the currency, which must be the euro; None for other units.
        scope: Scope 1, 2 or 3 of the greenhouse gas protocol.
        emission_type: Emission type of kinds that are not in ``emission_types``.
        emission_types: Emission type by normalised kind.
        needs_factors: An upload is refused while there is no factor at all.
        computations: Emissions of one entry; with more than one, an override is refused.
    """

    id: int
    name: str
    kind_field: str
    subkind_field: str | None = None
    quantity_field: str
    factor_field: str
    currency_field: str | None = None
    scope: int
    emission_type: int
    emission_types: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])
    needs_factors: bool = True
    computations: int = 1

    def emission_type_of(self, kind_key: str) -> int:
        """Return the emission type of a normalised kind."""
        return self.emission_types.get(kind_key, self.emission_type)


class Module(msgspec.Struct, frozen=True):
    """A module: a part of the report with its entry types.

    Attributes:
        id: Number of it.
        name: Name of it.
        alias: Name of it in file names, as in ``data_energy.csv``.
        types: Its entry types.
    """

    id: int
    name: str
    alias: str
    types: tuple[EntryType, ...]

    def type_by_id(self, type_id: int) -> EntryType | None:
        """Return one of its types; None if it has no such type."""
        return next((each for each in self.types if each.id == type_id), None)


def _purchase(type_id: int, name: str, emission_type: int) -> EntryType:
    return EntryType(
        id=type_id,
        name=name,
        kind_field="purchase_institutional_code",
        quantity_field="total_spent_amount",
        factor_field="ef_kg_co2eq_per_currency",
        currency_field="currency",
        scope=3,
        emission_type=emission_type,
    )


IT_EMISSION_TYPE: Final = 90300

MODULES: Final[Mapping[int, Module]] = {
    module.id: module
    for module in (
        Module(
            3,
            "buildings",
            "energy",
            (
                EntryType(
                    id=31,
                    name="energy_combustion",
                    kind_field="name",
                    quantity_field="quantity",
                    factor_field="ef_kg_co2eq_per_unit",
                    scope=1,
                    emission_type=60000,
                    emission_types={"natural gas": 60201, "heating oil": 60202},
                ),
            ),
        ),
        Module(
            5,
            "purchase",
            "purchase",
            (
                _purchase(61, "it_equipment", IT_EMISSION_TYPE),
                _purchase(64, "services", 90600),
            ),
        ),
        Module(
            8,
            "process_emissions",
            "process",
            (
                EntryType(
                    id=50,
                    name="process_emissions",
                    kind_field="category",
                    subkind_field="subcategory",
                    quantity_field="quantity",
                    factor_field="ef_kg_co2eq_per_unit",
                    scope=1,
                    emission_type=70000,
                    emission_types={"co2": 70200, "ch4": 70100},
                ),
            ),
        ),
    )
}
"""The modules that have emissions, by id."""


def normalise(label: str) -> str:
    """Return a label as it is matched: stripped, spaces collapsed, case folded. Idempotent."""
    return " ".join(label.split()).casefold()


def classification(kind_key: str, subkind_key: str) -> str:
    """Return the canonical JSON text of two normalised labels: the identity of a factor."""
    return msgspec.json.encode({"kind": kind_key, "subkind": subkind_key or None}).decode()


def entry_types(module_type_id: int | None, type_id: int | None = None) -> tuple[EntryType, ...]:
    """Return the entry types that work on a module is about.

    Args:
        module_type_id: The module; None or an unknown one has no types.
        type_id: Only this type.
    """
    module = MODULES.get(module_type_id or 0)
    types = () if module is None else module.types
    return tuple(each for each in types if type_id is None or each.id == type_id)


def data_columns(types: Sequence[EntryType], *, with_unit: bool = True) -> list[str]:
    """Return the columns that a file of data entries must have.

    Args:
        types: What its rows may be.
        with_unit: Whether it says whose each row is; not so where a unit is given beside it.
    """
    names = [UNIT_COLUMN] if with_unit else []
    names += [TYPE_COLUMN] if len(types) > 1 else []
    for each in types:
        names += [each.kind_field, each.quantity_field]
    return list(dict.fromkeys(names))


def factor_columns(types: Sequence[EntryType]) -> list[str]:
    """Return the columns that a file of factors must have."""
    names = [TYPE_COLUMN] if len(types) > 1 else []
    for each in types:
        names += [each.kind_field, each.factor_field]
    return list(dict.fromkeys(names))
