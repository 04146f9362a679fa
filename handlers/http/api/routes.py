"""The routes of the API, and the rule that a parameter that nobody knows is refused."""

from typing import Any

from litestar import Router
from litestar.connection import ASGIConnection
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler

from handlers.http.api import (
    dataclips,
    health,
    me,
    overview,
    revocations,
    run_actions,
    run_bulk,
    run_logs,
    runs,
    statistics,
    work_orders,
    workflows,
)
from handlers.http.errors import field_problem, on_invalid, parameter_names


def known_parameters(connection: ASGIConnection[Any, Any, Any, Any], _h: BaseRouteHandler) -> None:
    """Refuse a parameter that the endpoint does not have: a filter that is misspelt is not none.

    One that is given twice is refused too, for only one of the two would count.

    Raises:
        ProblemError: 422.
    """
    known = {*parameter_names(connection.route_handler).values()} - {"request"}
    for name, values in connection.query_params.dict().items():
        if name not in known:
            raise field_problem(name, "is no parameter of this endpoint")
        if len(values) > 1:
            raise field_problem(name, "is given more than once")


def api_router() -> Router:
    """Return the routes below ``/api``, beside those of pipelines."""
    handlers = [
        *(me.me, me.list_projects),
        *(workflows.list_workflows, workflows.show_workflow),
        *(runs.list_runs, runs.show_run),
        *(run_actions.retry_run, run_actions.cancel_run, run_bulk.bulk),
        *(run_logs.list_logs, run_logs.download_logs),
        *(work_orders.list_work_orders, dataclips.show_dataclip, statistics.show_statistics),
        *(overview.show_overview, overview.list_workers, health.show_health),
        *(revocations.list_revocations, revocations.revoke, revocations.restore),
    ]
    return Router(
        "/api",
        route_handlers=handlers,
        guards=[known_parameters],
        exception_handlers={ValidationException: on_invalid},
    )
