"""Which emissions are older than the factors that they were computed with."""

from typing import Final

import msgspec

from handlers.emissions.model import MODULES
from pipelines import Connection
from pipelines.model import Row

# Both sides hold the mutex of the module while they work: a recalculation that was claimed before
# the factors were committed, but after they were finished, waited for them.
_LATEST: Final = """WITH good AS (
  SELECT module_type_id AS module, data_entry_type_id AS det, max(finished_at) AS at,
    max(id) AS id
  FROM pipeline_jobs
  WHERE job_type = 'factor_ingest' AND year = $1 AND state = 'FINISHED' AND result <> 'ERROR'
  GROUP BY 1, 2
), wanted AS (
  SELECT module, det FROM unnest($2::int[], $3::int[]) AS pair (module, det)
)
SELECT wanted.module, wanted.det, factors.at AS factors_at, factors.id AS factor_job_id,
  recalc.id AS recalc_job_id, recalc.state, recalc.claimed_at,
  CASE WHEN recalc.job_type = 'module_emission_recalc'
    THEN coalesce(recalc.meta #>> ARRAY['dets', wanted.det::text, 'result'], recalc.result)
    ELSE recalc.result END AS result
FROM wanted
LEFT JOIN LATERAL (SELECT max(at) AS at, max(id) AS id FROM good
  WHERE good.module = wanted.module AND (good.det IS NULL OR good.det = wanted.det)) AS factors
  ON true
LEFT JOIN LATERAL (
  SELECT id, job_type, state, result, claimed_at, meta FROM pipeline_jobs
  WHERE year = $1 AND module_type_id = wanted.module
    AND (job_type = 'emission_recalc' AND data_entry_type_id = wanted.det
      OR job_type = 'module_emission_recalc'
        AND (meta #> '{config,data_entry_type_ids}' IS NULL
          OR meta #> '{config,data_entry_type_ids}' @> to_jsonb(wanted.det)))
  ORDER BY id DESC LIMIT 1) AS recalc ON true
ORDER BY wanted.module, wanted.det"""


class TypeStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the emissions of an entry type in a year are up to date.

    Attributes:
        module_type_id: Module of the type.
        data_entry_type_id: The type.
        needs_recalculation: Factors were uploaded, and no recalculation has succeeded since.
        factor_job_id: Newest successful upload of factors.
        recalc_job_id: Newest recalculation.
        recalc_result: How that ended; None while it is under way.
    """

    module_type_id: int
    data_entry_type_id: int
    needs_recalculation: bool
    factor_job_id: int | None
    recalc_job_id: int | None
    recalc_result: str | None


async def recalculation_status(connection: Connection, year: int) -> list[TypeStatus]:
    """Return the status of all entry types in a year, by module and type."""
    pairs = [(module.id, each.id) for module in MODULES.values() for each in module.types]
    modules, types = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    rows = await connection.fetch(_LATEST, year, modules, types)
    return [
        TypeStatus(
            module_type_id=row["module"],
            data_entry_type_id=row["det"],
            needs_recalculation=_stale(row),
            factor_job_id=row["factor_job_id"],
            recalc_job_id=row["recalc_job_id"],
            recalc_result=row["result"],
        )
        for row in rows
    ]


def _stale(row: Row) -> bool:
    at, claimed, result = row["factors_at"], row["claimed_at"], row["result"]
    if result == "ERROR":
        return True
    return at is not None and (claimed is None or claimed < at)
