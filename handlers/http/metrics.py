"""``/metrics``: everything that is counted, for Prometheus."""

from typing import Final

from litestar import Response, get
from litestar.datastructures import State

from handlers.http.backend import backend_of

CONTENT_TYPE: Final = "text/plain; version=0.0.4"
"""Litestar adds the charset."""


@get("/metrics", cache=False)
async def metrics(
    state: State,
) -> Response[bytes]:
    """Answer with the metrics; names no project, run or user."""
    return Response(backend_of(state).render_metrics(), media_type=CONTENT_TYPE)
