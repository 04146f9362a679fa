"""Answers to requests that are not fulfilled: one shape, no detail of what went wrong inside.

``{"error": "<code>", "message": "<sentence>"}``, the codes being constants that programs may
compare.
"""

import math
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from channel_server.log import get_logger

log = get_logger(__name__)

RETRY_AFTER: Final = 2.0
"""Seconds that a caller is asked to wait before it tries again."""

_CODES: Final = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "not_json",
    422: "invalid",
    429: "too_many_requests",
    503: "unavailable",
    504: "timeout",
}


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every answer that is no success.

    Attributes:
        error: A constant.
        message: What is wrong, for people.
    """

    error: str
    message: str


def error_response(
    status: int, message: str, *, retry_after: float | None = None
) -> Response[ErrorBody]:
    """Return an answer with the code that belongs to ``status``."""
    headers = {} if retry_after is None else {"Retry-After": str(math.ceil(retry_after))}
    body = ErrorBody(_CODES.get(status, "error"), message)
    return Response(body, status_code=status, headers=headers)


def unavailable(message: str) -> Response[ErrorBody]:
    """Return 503 with the time after which to try again."""
    return error_response(503, message, retry_after=RETRY_AFTER)


def on_http_exception(
    _request: Request[Any, Any, Any], error: HTTPException
) -> Response[ErrorBody]:
    """Answer what the framework refuses: unknown path, wrong method, body too large."""
    response = error_response(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


def on_exception(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorBody]:
    """Answer what nobody foresaw: logged once, and the caller learns nothing of it."""
    log.error("http_request_failed", path=request.url.path, exc_info=error)
    body = ErrorBody("internal_error", "The request failed; the server's log says why.")
    return Response(body, status_code=500)
