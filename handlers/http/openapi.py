"""The OpenAPI 3.1 document at ``/schema``: what the framework finds, made exact.

The schemas of the API's bodies are those that msgspec decodes by; every endpoint may answer with a
problem; bodies that are read by hand and streams are declared in here, and examples are added.
"""

from typing import Any, Final

import msgspec
from litestar import MediaType, Request, Response, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from handlers.http.api import shapes, shapes_activity
from handlers.http.api.examples import EXAMPLES
from handlers.http.api.health import ServerHealth
from handlers.http.api.revocations import RevocationList, RevocationWish
from handlers.http.api.run_actions import Cancelled, Retried, RetryWish
from handlers.http.api.run_bulk import BulkProgress, BulkWish
from handlers.http.errors import MEDIA_TYPE, Problem, problem_response

REF: Final = "#/components/schemas/{name}"
JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"
EVENTS: Final = "text/event-stream"

STRUCTS: Final[tuple[type[msgspec.Struct], ...]] = (
    *(
        each
        for each in {**vars(shapes), **vars(shapes_activity)}.values()
        if isinstance(each, type) and issubclass(each, msgspec.Struct) and each is not shapes.Shape
    ),
    *(Problem, Retried, RetryWish, Cancelled, BulkWish, BulkProgress),
    *(RevocationList, RevocationWish, ServerHealth),
)
"""Bodies whose schemas are those of msgspec."""

_BODIES: Final = {
    "/api/runs/{run_id}/retry": ("RetryWish", False),
    "/api/runs/bulk": ("BulkWish", True),
    "/api/revocations": ("RevocationWish", True),
}
_STREAMS: Final = {
    ("/api/runs/bulk", "post"): {LINES: "BulkProgress", EVENTS: "BulkProgress"},
    ("/api/runs/{run_id}/logs.ndjson", "get"): {LINES: "LogLine"},
    ("/api/runs/{run_id}/events", "get"): {EVENTS: None},
    ("/api/projects/{project_id}/events", "get"): {EVENTS: None},
    ("/api/pipelines/{pipeline_id}/stream", "get"): {EVENTS: None},
    ("/api/pipelines/jobs/{job_id}/stream", "get"): {EVENTS: None},
}
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
        name, required = _BODIES[path]
        operation["requestBody"] = {"required": required, "content": {JSON: _body(name)}}
    if (path, method) in _STREAMS:
        streams = _STREAMS[path, method]
        content = {kind: _body(name) if name else {} for kind, name in streams.items()}
        responses["200"] = {"description": "A stream.", "content": content}
    if path == "/api/runs/{run_id}/cancel":
        responses["202"] = {**responses["200"], "description": "The worker is asked to end it."}
    for response in responses.values():
        for media in response.get("content", {}).values():
            name = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if name in EXAMPLES:
                media["example"] = EXAMPLES[name]


def _body(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": REF.format(name=name)}}
