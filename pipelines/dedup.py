"""Deduplication of follow-up work: which active jobs count as the same. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schema.tables.pipelines import SCOPE_KEY_PREDICATE, dedup_predicate

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


class DedupConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One active job per scope. The database holds it to that, by a partial unique index.

    A request that meets an active job joins it: if that job waits to be claimed it will see
    everything that was committed before, if it runs a successor will. So a deduplicated job must
    take its whole scope from the scope columns; the config of a request that joins is dropped.

    Attributes:
        job_type: Type of the job, part of the scope.
        scope_columns: Columns of ``pipeline_jobs`` that tell the scope; none may be null.
        constraint_name: Name of the unique index.
        index_columns: Columns of that index.
        predicate: Predicate of that index, SQL.
    """

    job_type: str
    scope_columns: tuple[str, ...]
    constraint_name: str
    index_columns: tuple[str, ...]
    predicate: str

    def __post_init__(self) -> None:
        for name in (self.job_type, *self.scope_columns, *self.index_columns):
            # These become part of SQL.
            if not _NAME.fullmatch(name):
                raise ValueError(f"not a plain name: {name!r}")

    def check(self, job_type: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the scope of a request, one value per scope column.

        Raises:
            ValueError: The request is for another job type, or a scope column is null: nulls never
                collide in the index.
        """
        if job_type != self.job_type:
            raise ValueError(f"job type {job_type!r} cannot be deduplicated as {self.job_type!r}")
        missing = [name for name in self.scope_columns if values.get(name) is None]
        if missing:
            raise ValueError(f"scope keys must be set: {', '.join(missing)}")
        return tuple(values[name] for name in self.scope_columns)


AGGREGATION_DEDUP: Final = DedupConfig(
    job_type="aggregation",
    scope_columns=("module_type_id", "year"),
    constraint_name="uq_aggregation_active",
    index_columns=("module_type_id", "year"),
    predicate=dedup_predicate("aggregation"),
)
"""One active aggregation per module and year."""

EMISSION_RECALC_DEDUP: Final = DedupConfig(
    job_type="emission_recalc",
    scope_columns=("module_type_id", "data_entry_type_id", "year"),
    constraint_name="uq_emission_recalc_active",
    index_columns=("module_type_id", "data_entry_type_id", "year"),
    predicate=f"{dedup_predicate('emission_recalc')} AND module_type_id IS NOT NULL"
    " AND data_entry_type_id IS NOT NULL AND year IS NOT NULL",
)
"""One active recalculation per module, data entry type and year."""


def scope_key_dedup(job_type: str) -> DedupConfig:
    """Return the deduplication of a job type whose scope is its ``scope_key``, any text."""
    return DedupConfig(
        job_type=job_type,
        scope_columns=("scope_key",),
        constraint_name="uq_scope_key_active",
        index_columns=("job_type", "scope_key"),
        predicate=SCOPE_KEY_PREDICATE,
    )
