"""The routes of the API, and the rule that a parameter that nobody knows is refused."""

from typing import Any

from litestar import Router
from litestar.connection import ASGIConnection
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler

from handlers.http.api import me, run_actions, run_bulk, run_logs, runs, workflows
from handlers.http.errors import field_problem, on_invalid


def known_parameters(connection: ASGIConnection[Any, Any, Any, Any], _h: BaseRouteHandler) -> None:
    """Refuse a parameter that the endpoint does not have: a filter that is misspelt is not none.

    Raises:
        ProblemError: 422.
    """
    handler = connection.route_handler
    known: set[str] = set()
    for name, field in handler.parsed_fn_signature.parameters.items():
        given = getattr(field.kwarg_definition, "name", None)
        known.add(given or name)
    for name in connection.query_params:
        if name not in known - {"request", "data"}:
            raise field_problem(name, "is no parameter of this endpoint")


def api_router() -> Router:
    """Return the routes below ``/api``, beside those of pipelines."""
    handlers = [
        *(me.me, me.list_projects),
        *(workflows.list_workflows, workflows.show_workflow),
        *(runs.list_runs, runs.show_run),
        *(run_actions.retry_run, run_actions.cancel_run, run_bulk.bulk),
        *(run_logs.list_logs, run_logs.download_logs),
    ]
    return Router(
        "/api",
        route_handlers=handlers,
        guards=[known_parameters],
        exception_handlers={ValidationException: on_invalid},
    )
