"""Examples of what ``/api/pipelines``, ``/api/emissions`` and stale totals take and answer with."""

from typing import Any, Final

_AT: Final = "2026-11-21T10:59:34.325022Z"
_LATER: Final = "2026-11-21T10:59:36.118Z"
_COMPUTED: Final = "2026-11-21T10:59:36.118+00:00"
_PIPELINE: Final = "0b6f4f0e-5a0e-4a37-8d0e-3a1f6f0f7c55"
_SCOPE: Final = {"module_type_id": 3, "year": 2025}

_JOB: Final[dict[str, Any]] = {
    "job_id": 41, "pipeline_id": _PIPELINE, "parent_id": None, "job_type": "csv_ingest",
    "tenant_id": "U-100", "entity_type": "MODULE_UNIT_SPECIFIC", "entity_id": None,
    "module_type_id": 3, "data_entry_type_id": None, "year": 2025, "scope_key": None,
    "target_type": "DATA_ENTRIES", "ingestion_method": "csv", "provider": "DEFAULT",
    "state": "RUNNING", "result": None, "status_message": "200 rows", "meta": {"config": {}},
    "is_current": True, "locked_by": "host-1:812", "locked_at": _LATER, "claimed_at": _AT,
    "started_at": _AT, "finished_at": None, "attempts": 1, "max_attempts": 3, "run_after": None,
    "created_at": _AT,
}  # fmt: skip

_PROGRESS: Final[dict[str, Any]] = {
    "kind": "csv_ingest", "status": "RUNNING", "done": False, "has_error": False, "phase": 1,
    "phases_total": 3, "phase_label": "data", "job_count": 1, "error_count": 0,
    "last_error": None, "incomplete": False,
}  # fmt: skip

_LISTED: Final[dict[str, Any]] = {
    "pipeline_id": _PIPELINE, "kind": "csv_ingest", "status": "RUNNING", "tenant_id": "U-100",
    **_SCOPE, "entity_type": "MODULE_UNIT_SPECIFIC", "ingestion_method": "csv", "job_count": 1,
    "error_count": 0, "started_at": _AT, "finished_at": None, "last_error": None,
    "created_at": _AT, "updated_at": _LATER,
}  # fmt: skip

_WISH: Final[dict[str, Any]] = {"module": 3, "year": 2025, "unit": "U-100"}

_TOTALS: Final[dict[str, Any]] = {
    "scope1": 240, "scope2": 0, "scope3": 0, "total": 240, "entry_count": 1,
    "computed_at": _COMPUTED,
}  # fmt: skip

EXAMPLES: Final[dict[str, Any]] = {
    "PipelineJob": _JOB,
    "PipelineList": {"pipelines": [_LISTED], "after": f"{_AT[:-1]}+00:00~{_PIPELINE}"},
    "PipelineDetail": {**_LISTED, "jobs": [_JOB], "progress": _PROGRESS},
    "PipelineJobs": {"pipeline_id": _PIPELINE, "jobs": [_JOB]},
    "DispatchWish": {**_WISH, "path": "2025/energy.csv"},
    "DispatchForm": {
        **_WISH,
        "file": "unit_institutional_id,name,unit,quantity\nU-100,Natural gas,kWh,1000\n",
    },
    "Dispatched": {
        "pipeline_id": _PIPELINE, "job_id": 41, "joined": False, "state": "NOT_STARTED",
        "message": "accepted",
    },
    "TypeStatus": {
        "module_type_id": 3, "data_entry_type_id": 31, "needs_recalculation": True,
        "factor_job_id": 40, "recalc_job_id": 32, "recalc_result": "SUCCESS",
    },
    "YearTotals": {
        "year": 2025,
        "years": [2025, 2024],
        "modules": [
            {
                "id": 3, "name": "buildings", "alias": "energy",
                "types": [{"id": 31, "name": "energy_combustion", "scope": 1}],
                "data_columns": ["unit_institutional_id", "name", "quantity"],
                "factor_columns": ["name", "ef_kg_co2eq_per_unit"],
            }
        ],
        "units": [
            {
                "unit": "U-100", "name": "Laboratory of fluids",
                "report": {
                    **_TOTALS, "it_total_kg": 0, "highest_category_module_id": None,
                    "completion_progress": "0/1", "overall_status": "in_progress",
                },
                "modules": {
                    "3": {
                        **_TOTALS, "by_emission_type": {"60000": 240, "60201": 240},
                        "by_additional_value": {"60000": 1000, "60201": 1000},
                    }
                },
            }
        ],
    },
    "StaleStats": {
        **_SCOPE, "last_finished_aggregation_at": _AT, "why_stale": "last_aggregation_too_old",
        "last_aggregation_job_id": 38, "age_minutes": 92.4, "inputs_newer": True,
    },
    "StaleRunStatistics": {
        "workflow_id": "893ded97-72c9-55ef-a778-03831967741c", "day": "2026-11-21",
        "why_stale": "pending_aggregation_stuck", "last_aggregation_job_id": 39,
        "age_minutes": 12.5, "inputs_newer": True,
    },
}  # fmt: skip
"""By the name of the struct."""

ACTIVE: Final = {"3": _PIPELINE}
"""Of ``/api/pipelines/active``, which is a map."""
