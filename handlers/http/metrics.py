"""``/metrics``: everything that is counted, for Prometheus.

For processes of this machine, and for collectors with the token of the settings. What a proxy
passes on is not from this machine, wherever the proxy runs.
"""

import hmac
from ipaddress import ip_address
from typing import Any, Final

from litestar import Request, Response, get

from handlers.config import Settings
from handlers.http.backend import backend_of
from handlers.http.errors import ProblemError

CONTENT_TYPE: Final = "text/plain; version=0.0.4"
"""Litestar adds the charset."""

_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


@get("/metrics", cache=False)
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Answer with the metrics; names no project, run or user. 403 for strangers."""
    backend = backend_of(request)
    if not _allowed(request, backend.gateway.settings):
        raise ProblemError("forbidden", "Metrics are for this machine, or by their token.")
    return Response(backend.render_metrics(), media_type=CONTENT_TYPE)


def _allowed(request: Request[Any, Any, Any], settings: Settings) -> bool:
    if settings.metrics_access == "open":
        return True
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if settings.metrics_token and scheme.lower() == "bearer":
        expected = settings.metrics_token.encode()
        return hmac.compare_digest(token.strip().encode(), expected)
    return _is_local(request)


def _is_local(request: Request[Any, Any, Any]) -> bool:
    client = request.client
    if any(name in request.headers for name in _FORWARDED):
        return False
    if client is None:
        return True  # a Unix domain socket
    try:
        return ip_address(client.host).is_loopback
    except ValueError:
        return False
