"""SQL text for single rows, composed from the tables. Values are always arguments."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table


def insert_statement(table: Table, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the insert of one row, returning it whole, and its arguments.

    Raises:
        KeyError: The table has no such column.
    """
    columns = [_column(table, name) for name in values]
    if not columns:
        return f"INSERT INTO {table.name} DEFAULT VALUES RETURNING *", []
    places = ", ".join(f"${index}" for index in range(1, len(columns) + 1))
    sql = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({places}) RETURNING *"
    return sql, list(values.values())


def update_statement(
    table: Table, values: Mapping[str, Any], where: Mapping[str, Any]
) -> tuple[str, list[Any]]:
    """Return the compare-and-set of the rows that match, returning them whole.

    Args:
        table: Table to change.
        values: Values to set by column.
        where: Conditions by column: a value, None for null, a list for any of its values.

    Raises:
        KeyError: The table has no such column.
        ValueError: There is nothing to set, or no condition.
    """
    if not values or not where:
        raise ValueError("an update needs values and conditions")
    args = list(values.values())
    sets = [f"{_column(table, name)} = ${index}" for index, name in enumerate(values, start=1)]
    conditions: list[str] = []
    for name, value in where.items():
        column = _column(table, name)
        if value is None:
            conditions.append(f"{column} IS NULL")
            continue
        args.append(value)
        place = f"${len(args)}"
        conditions.append(
            f"{column} = ANY({place})" if isinstance(value, list) else f"{column} = {place}"
        )
    sql = f"UPDATE {table.name} SET {', '.join(sets)} WHERE {' AND '.join(conditions)} RETURNING *"
    return sql, args


def _column(table: Table, name: str) -> str:
    return f'"{table.columns[name].name}"'
