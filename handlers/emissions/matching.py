"""The one matcher, as SQL: which factor belongs to an entry. Ingest, recalculation, edits use it.

It compares normalised labels that were stored with the rows, so that nobody can match by other
rules.
"""

from typing import Final

MATCH: Final = """LEFT JOIN factors AS exact ON exact.data_entry_type_id = entry.data_entry_type_id
  AND exact.year = entry.year AND exact.kind_key = entry.kind_key
  AND exact.subkind_key = entry.subkind_key
LEFT JOIN factors AS general ON exact.id IS NULL
  AND general.data_entry_type_id = entry.data_entry_type_id
  AND general.year = entry.year AND general.kind_key = entry.kind_key
  AND general.subkind_key = ''"""
"""Joins the factor of kind and subkind as ``exact`` and else the one of the kind as ``general`` to
rows called ``entry`` with the columns ``data_entry_type_id, year, kind_key, subkind_key``."""

FACTOR_ID: Final = "coalesce(exact.id, general.id)"
FACTOR_VALUE: Final = "coalesce(exact.value, general.value)"
FACTOR_TYPE: Final = "coalesce(exact.emission_type_id, general.emission_type_id)"


def override_of(data: str, key: str) -> str:
    """Return the override that a ``jsonb`` holds, null when it is none: SQL.

    Anything but a number of at least 0 is ignored.

    Args:
        data: SQL of the value.
        key: SQL of the key.
    """
    return (
        f"CASE WHEN jsonb_typeof({data} -> {key}) = 'number' AND ({data} ->> {key})::numeric >= 0"
        f" THEN ({data} ->> {key})::numeric END"
    )
