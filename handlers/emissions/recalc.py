"""Step two: the emissions of entries, computed anew from entries and factors, as a set."""

from decimal import Decimal
from typing import Final

import msgspec

from handlers.emissions.locks import lock_module
from handlers.emissions.matching import FACTOR_ID, FACTOR_TYPE, FACTOR_VALUE, MATCH, override_of
from handlers.emissions.model import OVERRIDE_KEY, EntryType
from handlers.emissions.report import Recalculated
from pipelines import Connection

_SCOPE: Final = """FROM data_entries AS e
JOIN carbon_report_modules AS module ON module.id = e.carbon_report_module_id
JOIN carbon_reports AS report ON report.id = module.carbon_report_id
WHERE module.module_type_id = $1 AND report.year = $2 AND e.data_entry_type_id = $3
  AND ($4::bigint IS NULL OR e.id = $4)"""

_DELETE: Final = f"""DELETE FROM data_entry_emissions
WHERE data_entry_id IN (SELECT e.id {_SCOPE})"""

_COMPUTE: Final = f"""WITH entry AS (
  SELECT e.id, e.carbon_report_module_id, e.data_entry_type_id, e.kind_key, e.subkind_key,
    e.quantity, e.data, e.data ? $5::text AS overridden, report.year {_SCOPE}
), priced AS (
  SELECT entry.*, {FACTOR_ID} AS factor_id, {FACTOR_VALUE} AS factor_value,
    {FACTOR_TYPE} AS factor_type,
    coalesce($10::numeric,
      CASE WHEN overridden THEN {override_of("entry.data", "$5::text")} END) AS override
  FROM entry {MATCH}
), made AS (
  INSERT INTO data_entry_emissions
    (data_entry_id, emission_type_id, primary_factor_id, kg_co2eq, scope, meta)
  SELECT id, coalesce(factor_type, kind.emission_type_id, $6),
    CASE WHEN override IS NULL THEN factor_id END,
    trim_scale(coalesce(override, quantity * factor_value)), $7,
    jsonb_build_object('quantity', quantity, 'unit', data -> 'unit', 'context', data - $5::text,
      'overridden', override IS NOT NULL,
      'factors_used', CASE WHEN factor_id IS NULL THEN '[]'::jsonb ELSE
        jsonb_build_array(jsonb_build_object('id', factor_id, 'value', factor_value)) END)
  FROM priced
  LEFT JOIN unnest($8::text[], $9::int[]) AS kind (kind_key, emission_type_id)
    ON kind.kind_key = priced.kind_key
  WHERE override IS NOT NULL OR factor_id IS NOT NULL
  RETURNING 1
), problems AS (
  SELECT kind_key, subkind_key, count(*) AS entries FROM priced
  WHERE override IS NULL AND factor_id IS NULL GROUP BY kind_key, subkind_key
)
SELECT (SELECT count(*) FROM made) AS emissions,
  count(*) AS entries,
  count(*) FILTER (WHERE override IS NULL AND factor_id IS NULL) AS unmatched,
  count(*) FILTER (WHERE overridden AND override IS NULL) AS errors,
  coalesce(array_agg(DISTINCT carbon_report_module_id), '{{}}') AS modules,
  (SELECT coalesce(jsonb_agg(jsonb_build_object(
      'kind', kind_key, 'subkind', nullif(subkind_key, ''), 'entries', entries,
      'reason', 'no factor') ORDER BY entries DESC, kind_key, subkind_key), '[]')
    FROM (SELECT * FROM problems ORDER BY entries DESC, kind_key, subkind_key LIMIT 100) AS first
  ) AS labels
FROM priced"""


async def recalculate(
    connection: Connection,
    module_type_id: int,
    entry_type: EntryType,
    year: int,
    *,
    entry_id: int | None = None,
    override: Decimal | None = None,
) -> Recalculated:
    """Write the emissions of all entries of a type in a year, in the transaction of the caller.

    Takes the mutex of the module. Emissions of an entry that has neither an override nor a factor
    are deleted; it is counted as unmatched. Any number of repetitions gives the same.

    Args:
        connection: In a transaction.
        module_type_id: Module of the entries.
        entry_type: Their type.
        year: Their year.
        entry_id: Only this entry.
        override: What this one entry emits, in kg; wins over what is stored in it.

    Raises:
        ValueError: An override without an entry.
    """
    if override is not None and entry_id is None:
        raise ValueError("an override is of one entry")
    await lock_module(connection, module_type_id, year)
    scope = (module_type_id, year, entry_type.id, entry_id)
    await connection.execute(_DELETE, *scope)
    row = await connection.fetchrow(
        _COMPUTE,
        *scope,
        OVERRIDE_KEY,
        entry_type.emission_type,
        entry_type.scope,
        list(entry_type.emission_types),
        list(entry_type.emission_types.values()),
        override,
    )
    assert row is not None  # noqa: S101 (an aggregate has a row)
    return Recalculated(
        entries=row["entries"],
        emissions=row["emissions"],
        unmatched=row["unmatched"],
        errors=row["errors"],
        labels=msgspec.json.decode(row["labels"]),
        affected_module_ids=sorted(row["modules"]),
    )
