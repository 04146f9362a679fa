"""Building blocks of the table definitions: names, types, and what a violation means.

Every constraint has an explicit, stable name and says which field of which message it belongs to,
so that a violation reported by the database can be turned into a field error.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    MetaData,
    PrimaryKeyConstraint,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.types import UserDefinedType

metadata: Final = MetaData()
"""The one definition of what is stored; migrations are checked against it."""

BLANK: Final = "This field can't be blank."
INVALID: Final = "is invalid"
MISSING: Final = "does not exist"
TAKEN: Final = "has already been taken"


class Xid8(UserDefinedType[str]):
    """The id of a transaction, which is never used again."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        """Return the name of the type."""
        return "XID8"


class Declared(NamedTuple):
    """What a violated constraint means to the one who sent the message.

    Attributes:
        field: Name of the field of the message, not necessarily of a column.
        message: What is wrong with it.
    """

    field: str
    message: str


def primary_key(table: str, *columns: str, field: str = "id") -> PrimaryKeyConstraint:
    """Declare the primary key ``<table>_pkey``."""
    return PrimaryKeyConstraint(
        *columns, name=f"{table}_pkey", info={"declared": Declared(field, TAKEN)}
    )


def foreign_key(
    name: str,
    columns: Sequence[str],
    target: str,
    *,
    field: str,
    on_delete: str = "RESTRICT",
    message: str = MISSING,
) -> ForeignKeyConstraint:
    """Declare a foreign key.

    Args:
        name: Name of the constraint.
        columns: Referencing columns; a null in any of them switches the check off.
        target: ``table(column, ...)`` that is referenced.
        field: Field of the message that a violation belongs to.
        on_delete: What deleting the parent does; refused by default.
        message: What is wrong when the parent is missing.
    """
    table, _, rest = target.partition("(")
    referred = [f"{table}.{column.strip()}" for column in rest.rstrip(")").split(",")]
    info = {"declared": Declared(field, message)}
    return ForeignKeyConstraint(list(columns), referred, name=name, ondelete=on_delete, info=info)


def unique(
    name: str, *columns: str, field: str, message: str = TAKEN, nulls_are_equal: bool = False
) -> UniqueConstraint:
    """Declare a unique constraint; by default rows with a null are never equal."""
    info = {"declared": Declared(field, message)}
    if nulls_are_equal:
        return UniqueConstraint(*columns, name=name, info=info, postgresql_nulls_not_distinct=True)
    return UniqueConstraint(*columns, name=name, info=info)


def check(name: str, condition: str, *, field: str, message: str = INVALID) -> CheckConstraint:
    """Declare a check constraint."""
    return CheckConstraint(condition, name=name, info={"declared": Declared(field, message)})


def one_of(column: str, values: Sequence[str]) -> str:
    """Return the condition that a text column holds one of ``values`` (constants, not input)."""
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def uuid(name: str, *, null: bool = False) -> Column[Any]:
    """Declare a UUID column."""
    return Column(name, UUID(as_uuid=True), nullable=null)


def id_column() -> Column[Any]:
    """Declare the column ``id``; the database makes one when none is given."""
    return Column(
        "id", UUID(as_uuid=True), nullable=False, server_default=text("gen_random_uuid()")
    )


def timestamp(name: str, *, null: bool = True) -> Column[Any]:
    """Declare a timestamp with time zone, exact to the microsecond."""
    return Column(name, DateTime(timezone=True), nullable=null)


def now_column(name: str) -> Column[Any]:
    """Declare a timestamp that defaults to the clock of the database at the statement."""
    return Column(
        name,
        DateTime(timezone=True),
        nullable=False,
        server_default=text("clock_timestamp()"),
    )


def counter(name: str) -> Column[Any]:
    """Declare a 64-bit counter that starts at 0."""
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def json_column(name: str, *, default: str | None = None) -> Column[Any]:
    """Declare a ``jsonb`` column, nullable unless it has a default."""
    if default is None:
        return Column(name, JSONB(none_as_null=True), nullable=True)
    return Column(name, JSONB, nullable=False, server_default=text(f"'{default}'"))
