"""Examples of answers and bodies, for the OpenAPI document; tests compare them with the structs."""

from typing import Any, Final

_AT: Final = "2026-11-21T10:59:34.325022+00:00"
_LATER: Final = "2026-11-21T10:59:36.118+00:00"
_PROJECT: Final = "fb6f1455-6aba-5777-afa8-aafaa2d5d01b"
_WORKFLOW: Final = "893ded97-72c9-55ef-a778-03831967741c"
_SNAPSHOT: Final = "8e138e49-261e-4b38-8185-7a0ddbe5b165"
_ORDER: Final = "4d9ea64f-57d1-4233-b9c9-2c2b2091639e"
_RUN: Final = "c1122e03-e30d-41f9-a496-e05846c702a5"
_STEP: Final = "5e0a1f64-2f0f-4f1b-9b53-5d1b0a4b7e11"
_CLIP: Final = "4d7f55f5-ded7-4b4a-aa10-8d5dafba44b8"
_JOB: Final = "0c774546-6453-5a81-b45e-dd707edfd6ba"
_TRIGGER: Final = "c2f685d4-f11b-5d9b-b960-cc48785384c8"

RUN: Final[dict[str, Any]] = {
    "id": _RUN, "project_id": _PROJECT, "project_name": "shop", "work_order_id": _ORDER,
    "workflow_id": _WORKFLOW, "workflow_name": "Orders", "snapshot_id": _SNAPSHOT,
    "dataclip_id": _CLIP, "final_dataclip_id": None, "starting_trigger_id": _TRIGGER,
    "starting_job_id": None, "created_by": None, "state": "failed", "queue": "default",
    "priority": "normal", "inserted_at": _AT, "claimed_at": _AT, "started_at": _AT,
    "finished_at": _LATER, "recovered_at": None, "cancel_requested_at": None,
    "cancel_requested_by": None, "error_type": "RuntimeError", "error_message": "no such customer",
    "worker_name": "worker-1", "version": 7,
}  # fmt: skip

_GRAPH: Final[dict[str, Any]] = {
    "triggers": [{"id": _TRIGGER, "type": "webhook", "key": "webhook", "enabled": True}],
    "jobs": [{"id": _JOB, "name": "First", "adaptor": "@openfn/language-common@latest"}],
    "edges": [
        {
            "id": "93f16556-63f8-5328-8fe3-d0711649fca3", "source_trigger_id": _TRIGGER,
            "source_job_id": None, "target_job_id": _JOB, "condition_type": "always",
            "condition": "always", "enabled": True,
        }
    ],
}  # fmt: skip

_WORK_ORDER: Final[dict[str, Any]] = {
    "id": _ORDER, "project_id": _PROJECT, "workflow_id": _WORKFLOW, "snapshot_id": _SNAPSHOT,
    "trigger_id": _TRIGGER, "dataclip_id": _CLIP, "state": "failed", "last_activity": _LATER,
    "inserted_at": _AT,
}  # fmt: skip

_FLOW: Final[dict[str, Any]] = {
    "id": _WORKFLOW, "project_id": _PROJECT, "name": "Orders", "key": "orders", "enabled": True,
    "lock_version": 1, "concurrency": None, "runs": {"success": 1204, "failed": 3},
    "last_run_at": _AT,
}  # fmt: skip

_WORKER: Final[dict[str, Any]] = {
    "id": "worker-1", "name": "worker-1", "version": "1.25.0", "capacity": 5, "connected_at": _AT,
    "seen_at": _LATER, "online": True, "server": "host-1", "runs": [_RUN], "runs_held": 1,
}  # fmt: skip

_LINE: Final[dict[str, Any]] = {
    "id": "a6c328b3-8184-8b79-98d5-f6eac9d763bd", "run_id": _RUN, "step_id": _STEP,
    "level": "error", "source": "JOB", "message": "no such customer", "timestamp": _LATER,
    "version": 6,
}  # fmt: skip

EXAMPLES: Final[dict[str, Any]] = {
    "Me": {
        "subject": "ana", "role": "operator", "expires_at": _LATER,
        "projects": [{"id": _PROJECT, "name": "shop"}], "tenants": None,
    },
    "ProjectList": {
        "projects": [
            {
                "id": _PROJECT, "name": "shop", "concurrency": None,
                "retention_policy": "retain_all",
                "runs": {"available": 2, "claimed": 0, "started": 1},
            }
        ]
    },
    "WorkflowList": {"workflows": [_FLOW]},
    "WorkflowDetail": {
        "workflow": _FLOW, "graph": _GRAPH,
        "snapshots": [{"id": _SNAPSHOT, "lock_version": 1, "inserted_at": _AT}],
    },
    "RunList": {"runs": [RUN], "next": f"{_AT[:26]}Z~{_RUN}", "counts": {"failed": 3}},
    "RunDetail": {
        "run": RUN,
        "workflow": {"id": _WORKFLOW, "key": "orders", "name": "Orders"},
        "work_order": _WORK_ORDER,
        "graph": _GRAPH,
        "steps": [
            {
                "id": _STEP, "run_id": _RUN, "job_id": _JOB, "job_name": "First",
                "snapshot_id": _SNAPSHOT, "credential_id": None, "input_dataclip_id": _CLIP,
                "output_dataclip_id": None, "started_at": _AT, "finished_at": _LATER,
                "exit_reason": "fail", "error_type": "RuntimeError",
                "error_message": "no such customer",
            }
        ],
        "history": [
            {
                "version": 1, "event": "run:created", "at": _AT, "state": "available",
                "step_id": None, "summary": "created",
            }
        ],
        "gaps": [],
        "remarks": [
            {
                "kind": "resent", "event": "step:complete", "step_id": _STEP, "at": _LATER,
                "detail": None, "count": 2,
            }
        ],
        "lease": None,
        "cursor": 7,
    },
    "LogPage": {"lines": [_LINE], "next": None, "total": 1},
    "LogLine": _LINE,
    "WorkOrderList": {
        "work_orders": [
            {
                **_WORK_ORDER, "workflow_name": "Orders",
                "runs": [
                    {
                        "id": _RUN, "state": "failed", "inserted_at": _AT,
                        "finished_at": _LATER, "error_type": "RuntimeError",
                    }
                ],
            }
        ],
        "next": None,
    },
    "Dataclip": {
        "id": _CLIP, "project_id": _PROJECT, "type": "http_request", "name": None,
        "inserted_at": _AT, "wiped": False, "wiped_at": None, "body": {"order": 1},
        "request": {"method": "POST"},
    },
    "Statistics": {
        "days": [
            {
                "workflow_id": _WORKFLOW, "workflow_name": "Orders", "project_id": _PROJECT,
                "day": "2026-11-21", "total": 1207, "states": {"success": 1204, "failed": 3},
                "seconds": 2414.5, "p50_s": 1.8, "p95_s": 4.2,
                "error_types": {"RuntimeError": 3}, "computed_at": _LATER,
            }
        ]
    },
    "WorkerList": {"workers": [_WORKER]},
    "Overview": {
        "at": _LATER, "runs": {"available": 2, "started": 1, "failed": 1},
        "queue": {"depth": 2, "oldest_age_s": 4.2},
        "last_hour": [{"minute": _AT, "finished": 12, "failed": 1}],
        "workers": [_WORKER],
        "attention": [
            {
                "kind": "failed", "run_id": _RUN, "workflow_id": _WORKFLOW, "since": _LATER,
                "message": "Orders failed: RuntimeError",
            }
        ],
    },
    "Retried": {"run_id": _RUN, "work_order_id": _ORDER},
    "RetryWish": {"step_id": _STEP},
    "Cancelled": {"state": "cancelling"},
    "BulkWish": {"action": "retry", "filter": {"state": "failed", "from": "2026-11-21T00:00:00Z"}},
    "BulkProgress": {"done": 50, "total": 120, "failed": 0},
    "RevocationWish": {"kind": "token", "value": "4b1c…", "reason": "lost laptop"},
    "RevocationList": {
        "revocations": [
            {
                "kind": "user", "value": "eve", "reason": None, "revoked_by": "ana",
                "revoked_at": _AT, "expires_at": None,
            }
        ]
    },
    "ServerHealth": {
        "ready": False, "database": {"ok": True, "detail": None},
        "listener": {"ok": False, "detail": "it is not connected"},
        "migrations": {"ok": True, "detail": None}, "drain": {"ok": True, "detail": None},
        "queue": {"depth": 2, "lag_s": 4.2}, "stale_stats": 0,
        "versions": {"channel_server": "0.1.0", "postgresql": "17.2"},
        "limits": {"api.page": 500, "api.bulk": 10000},
    },
    "Problem": {
        "type": "urn:channel-server:problem:invalid", "status": 422, "code": "invalid",
        "title": "A field has a value that is not allowed.", "detail": "cursor is invalid",
        "error": "invalid", "message": "cursor is invalid",
        "errors": [{"field": "cursor", "detail": "is invalid"}],
    },
}  # fmt: skip
"""By the name of the struct."""
