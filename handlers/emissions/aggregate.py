"""Step three: the totals of the modules of a year, and of the reports that they are part of."""

from typing import Annotated, Final, Literal, TypedDict

import msgspec

from handlers.emissions.locks import lock_reports
from handlers.emissions.model import IT_EMISSION_TYPE, MODULES
from pipelines import Connection

ROOT: Final = 10_000
"""An emission type belongs to the root that its number is in the ten thousands of."""

_SCOPES: Final = ", ".join(
    f"'scope{scope}', trim_scale(coalesce((SELECT sum(kg) FROM leaf WHERE leaf.id = module.id"
    f" AND scope = {scope}), 0))"
    for scope in (1, 2, 3)
)

# Locked in the order of ids: whoever else locks several modules does the same.
_MODULES: Final = f"""WITH module AS MATERIALIZED (
  SELECT m.id FROM carbon_report_modules AS m
  JOIN carbon_reports AS report ON report.id = m.carbon_report_id
  WHERE m.module_type_id = $1 AND report.year = $2 ORDER BY m.id FOR NO KEY UPDATE OF m
), leaf AS MATERIALIZED (
  SELECT entry.carbon_report_module_id AS id, emission.emission_type_id AS type, emission.scope,
    sum(emission.kg_co2eq) AS kg, sum(emission.additional_value) AS additional
  FROM data_entry_emissions AS emission
  JOIN data_entries AS entry ON entry.id = emission.data_entry_id
  JOIN module ON module.id = entry.carbon_report_module_id
  WHERE emission.scope IS NOT NULL GROUP BY 1, 2, 3
), type AS (
  SELECT id, type, sum(kg) AS kg, sum(additional) AS additional FROM (
    SELECT id, type, kg, additional FROM leaf
    UNION ALL SELECT id, type / {ROOT} * {ROOT}, kg, additional FROM leaf WHERE type % {ROOT} <> 0
  ) AS each GROUP BY id, type
), types AS (
  SELECT id, jsonb_object_agg(type, trim_scale(kg)) AS kg,
    jsonb_object_agg(type, trim_scale(additional)) FILTER (WHERE additional IS NOT NULL)
      AS additional
  FROM type GROUP BY id
), counted AS (
  SELECT entry.carbon_report_module_id AS id, count(*) AS entries FROM data_entries AS entry
  JOIN module ON module.id = entry.carbon_report_module_id GROUP BY 1
), computed AS (
  SELECT module.id, jsonb_build_object({_SCOPES},
    'total', trim_scale(coalesce((SELECT sum(kg) FROM leaf WHERE leaf.id = module.id), 0)),
    'by_emission_type', coalesce(types.kg, '{{}}'),
    'by_additional_value', coalesce(types.additional, '{{}}'),
    'entry_count', coalesce(counted.entries, 0),
    'computed_at', clock_timestamp()) AS stats
  FROM module LEFT JOIN types ON types.id = module.id LEFT JOIN counted ON counted.id = module.id
)
UPDATE carbon_report_modules AS m SET stats = computed.stats, last_updated = clock_timestamp()
FROM computed WHERE computed.id = m.id RETURNING m.carbon_report_id"""

_REPORTS: Final = f"""WITH report AS MATERIALIZED (
  SELECT id FROM carbon_reports WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
), part AS (
  SELECT m.carbon_report_id AS id, m.module_type_id, m.status,
    (m.stats ->> 'scope1')::numeric AS scope1, (m.stats ->> 'scope2')::numeric AS scope2,
    (m.stats ->> 'scope3')::numeric AS scope3, (m.stats ->> 'total')::numeric AS total,
    (m.stats #>> '{{by_emission_type,{IT_EMISSION_TYPE}}}')::numeric AS it,
    (m.stats ->> 'entry_count')::bigint AS entries
  FROM carbon_report_modules AS m JOIN report ON report.id = m.carbon_report_id
), summed AS (
  SELECT id, jsonb_build_object(
    'scope1', trim_scale(coalesce(sum(scope1), 0)), 'scope2', trim_scale(coalesce(sum(scope2), 0)),
    'scope3', trim_scale(coalesce(sum(scope3), 0)), 'total', trim_scale(coalesce(sum(total), 0)),
    'it_total_kg', trim_scale(coalesce(sum(it), 0)),
    'entry_count', coalesce(sum(entries), 0),
    'highest_category_module_id', (array_agg(module_type_id ORDER BY total DESC, module_type_id)
      FILTER (WHERE status = 'validated' AND total IS NOT NULL))[1],
    'completion_progress', count(*) FILTER (WHERE status = 'validated') || '/' || count(*),
    'overall_status', CASE WHEN bool_and(status = 'validated') THEN 'validated'
      ELSE 'in_progress' END,
    'computed_at', clock_timestamp()) AS stats
  FROM part GROUP BY id
)
UPDATE carbon_reports AS r SET stats = summed.stats, last_updated = clock_timestamp()
FROM summed WHERE summed.id = r.id"""


_Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class _Totals(TypedDict):
    scope1: float
    scope2: float
    scope3: float
    total: float
    entry_count: int
    computed_at: _Moment


class ModuleTotals(_Totals):
    """Totals of a module, in kg of CO2 equivalents; by the numbers of emission types."""

    by_emission_type: dict[str, float]
    by_additional_value: dict[str, float]


class ReportTotals(_Totals):
    """Totals of a report, in kg of CO2 equivalents; progress counts validated modules, as `1/3`."""

    it_total_kg: float
    highest_category_module_id: int | None
    completion_progress: str
    overall_status: Literal["validated", "in_progress"]


class Aggregated(msgspec.Struct, frozen=True):
    """How much was summed up.

    Attributes:
        modules: Modules of reports whose totals were written.
        reports: Reports whose totals were written.
        skipped: The module has no emissions by nature; its totals stay null.
    """

    modules: int
    reports: int
    skipped: bool = False


async def aggregate(connection: Connection, module_type_id: int, year: int) -> Aggregated:
    """Write the totals of a module of a year and of its reports, in the caller's transaction.

    Takes the mutex of the year's reports.

    Args:
        connection: In a transaction.
        module_type_id: The module.
        year: The year.
    """
    if module_type_id not in MODULES:
        return Aggregated(0, 0, skipped=True)
    await lock_reports(connection, year)
    rows = await connection.fetch(_MODULES, module_type_id, year)
    reports = sorted({row["carbon_report_id"] for row in rows})
    await connection.execute(_REPORTS, reports)
    return Aggregated(len(rows), len(reports))
