"""The OpenAPI 3.1 document at ``/schema``: what the framework finds, made exact.

The schemas of the API's bodies are those that msgspec decodes by; every endpoint may answer with a
problem; bodies that are read by hand and streams are declared in here, and examples are added.
"""

from typing import Any, Final

import msgspec
from litestar import MediaType, Request, Response, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from handlers.emissions.service import TypeStatus
from handlers.http import pipeline_examples, pipeline_shapes
from handlers.http.api import examples, shapes, shapes_activity
from handlers.http.api.health import ServerHealth
from handlers.http.api.revocations import RevocationList, RevocationWish
from handlers.http.api.run_actions import Cancelled, Retried, RetryWish
from handlers.http.api.run_bulk import BulkProgress, BulkWish
from handlers.http.emissions import YearTotals
from handlers.http.errors import MEDIA_TYPE, Problem, problem_response
from handlers.http.stale_stats import StaleRunStatistics, StaleStats

REF: Final = "#/components/schemas/{name}"
JSON: Final = "application/json"
FORM: Final = "multipart/form-data"
LINES: Final = "application/x-ndjson"
EVENTS: Final = "text/event-stream"

STRUCTS: Final[tuple[type[msgspec.Struct], ...]] = (
    *(
        each
        for module in (shapes, shapes_activity, pipeline_shapes)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, shapes.Shape) and each is not shapes.Shape
    ),
    *(Problem, Retried, RetryWish, Cancelled, BulkWish, BulkProgress),
    *(RevocationList, RevocationWish, ServerHealth),
    *(TypeStatus, YearTotals, StaleStats, StaleRunStatistics),
)
"""Bodies whose schemas are those of msgspec."""

EXAMPLES: Final = {**examples.EXAMPLES, **pipeline_examples.EXAMPLES}
"""Of those bodies, by the name of the struct."""

_BODIES: Final = {
    "/api/runs/{run_id}/retry": ({JSON: "RetryWish"}, False),
    "/api/runs/bulk": ({JSON: "BulkWish"}, True),
    "/api/revocations": ({JSON: "RevocationWish"}, True),
    "/api/pipelines/dispatch": ({JSON: "DispatchWish", FORM: "DispatchForm"}, True),
}
_STREAMS: Final = {
    ("/api/runs/bulk", "post"): {LINES: "BulkProgress", EVENTS: "BulkProgress"},
    ("/api/runs/{run_id}/logs.ndjson", "get"): {LINES: "LogLine"},
    ("/api/runs/{run_id}/events", "get"): {EVENTS: None},
    ("/api/projects/{project_id}/events", "get"): {EVENTS: None},
    ("/api/pipelines/{pipeline_id}/stream", "get"): {EVENTS: None},
    ("/api/pipelines/jobs/{job_id}/stream", "get"): {EVENTS: None},
}
_MAPS: Final = {"/api/pipelines/active": pipeline_examples.ACTIVE}
_OPEN: Final = ("/healthz", "/readyz", "/metrics", "/i/")


class ExactPlugin(JsonRenderPlugin):
    """Serves the document; it is completed once, when it is first asked for."""

    _document: dict[str, Any] | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the document as JSON."""
        if self._document is None:
            self._document = complete(openapi_schema)
        return msgspec.json.encode(self._document)


def openapi_config() -> OpenAPIConfig:
    """Return how the API is described: ``/schema`` and ``/schema/openapi.json``."""
    return OpenAPIConfig(
        title="channel_server",
        version="1",
        path="/schema",
        openapi_router=Router(
            "/schema", route_handlers=[], include_in_schema=False, after_request=_no_page
        ),
        render_plugins=[ExactPlugin(path=["/", "/openapi.json"], media_type=MediaType.JSON)],
        use_handler_docstrings=True,
    )


def _no_page(response: Response[Any]) -> Response[Any]:
    """Answer unknown addresses below ``/schema`` as all others, not with the framework's page."""
    return problem_response("not_found") if response.status_code == 404 else response


def complete(found: dict[str, Any]) -> dict[str, Any]:
    """Return the framework's document, made exact and with examples."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    _, exact = msgspec.json.schema_components(STRUCTS, ref_template=REF)
    components = document.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **exact}
    for name, example in EXAMPLES.items():
        components["schemas"][name] = {**components["schemas"][name], "examples": [example]}
    components["securitySchemes"] = {
        "user": {"type": "http", "scheme": "bearer", "description": "`channel-server token`"}
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _complete_operation(path, method, operation)
    return document


def _complete_operation(path: str, method: str, operation: dict[str, Any]) -> None:
    responses: dict[str, Any] = operation["responses"]
    for status in [status for status in responses if not status.startswith("2")]:
        del responses[status]
    responses["default"] = {
        "description": "A problem; `code` says which.",
        "content": {MEDIA_TYPE: _body("Problem")},
    }
    if not path.startswith(_OPEN):
        operation["security"] = [{"user": []}]
    if path in _BODIES and method == "post":
        names, required = _BODIES[path]
        bodies = {kind: _body(name) for kind, name in names.items()}
        operation["requestBody"] = {"required": required, "content": bodies}
    if (path, method) in _STREAMS:
        streams = _STREAMS[path, method]
        content = {kind: _body(name) if name else {} for kind, name in streams.items()}
        responses["200"] = {"description": "A stream.", "content": content}
    if path == "/api/runs/{run_id}/cancel":
        responses["202"] = {**responses["200"], "description": "The worker is asked to end it."}
    for body in (operation.get("requestBody", {}), *responses.values()):
        for media in body.get("content", {}).values():
            _show(path, media)


def _show(path: str, media: dict[str, Any]) -> None:
    """Give a body an example: that of its struct, a list of it, or that of a map."""
    schema = media.get("schema", {})
    name = schema.get("items", schema).get("$ref", "").rpartition("/")[2]
    if name in EXAMPLES:
        media["example"] = [EXAMPLES[name]] if "items" in schema else EXAMPLES[name]
    elif path in _MAPS:
        media["example"] = _MAPS[path]


def _body(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": REF.format(name=name)}}
