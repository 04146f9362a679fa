"""Answers to requests that are not fulfilled: problem details of RFC 9457, one shape everywhere.

``application/problem+json`` with ``type``, ``title``, ``status``, ``detail`` and ``code``, which is
one of :mod:`schema.codes`; ``errors`` names what is wrong with which parameter. ``error``
and ``message`` say the same as ``code`` by status and ``detail``, for clients that are older.
Nothing of what went wrong inside is told.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from channel_server.log import get_logger
from schema.codes import MEANINGS, Code
from schema.refused import Refused

log = get_logger(__name__)

RETRY_AFTER: Final = 2.0
"""Seconds that a caller is asked to wait before it tries again."""

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:channel-server:problem:"

_CODES: Final[dict[int, Code]] = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    410: "wiped",
    413: "too_large",
    415: "not_json",
    422: "invalid",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
    504: "timeout",
}


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with one part of a request.

    Attributes:
        field: Name of the parameter, or path of the part of the body.
        detail: What is wrong with it.
        code: The same as a constant.
    """

    field: str
    detail: str
    code: Code = "invalid"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every answer that is no success.

    Attributes:
        type: A URN that ends in the code.
        title: What the code means, the same for every problem with it.
        status: Status of the answer.
        detail: What is wrong this time, for people.
        code: A constant, for programs.
        error: The constant that belongs to the status.
        message: The same as ``detail``.
        errors: What is wrong with which part of the request.
        retry_after: Seconds after which the same request may succeed.
    """

    type: str
    title: str
    status: int
    detail: str
    code: Code
    error: str
    message: str
    errors: list[FieldError] | None = None
    retry_after: int | None = None


class ProblemError(HTTPException):
    """Ends a request with a problem.

    Args:
        code: The code, which decides the status.
        detail: What is wrong, for people.
        status: Another status than the code's.
        errors: What is wrong with which part of the request.
        retry_after: Seconds after which the same request may succeed.
    """

    def __init__(
        self,
        code: Code,
        detail: str | None = None,
        *,
        status: int | None = None,
        errors: Sequence[FieldError] = (),
        retry_after: float | None = None,
    ) -> None:
        meaning = MEANINGS[code]
        if retry_after is None and meaning.retryable:
            retry_after = RETRY_AFTER
        super().__init__(detail=detail or meaning.text, status_code=status or meaning.status)
        self.code: Code = code
        self.errors = list(errors)
        self.retry_after = retry_after


def field_problem(field: str, detail: str, code: Code = "invalid") -> ProblemError:
    """Return the problem of one parameter that makes no sense: 422."""
    error = FieldError(field, detail, code)
    return ProblemError(code, f"{field}: {detail}", status=422, errors=[error])


def refusal_problem(refused: Refused) -> ProblemError:
    """Return the problem that a refusal of the schema is."""
    errors = [
        FieldError(field, message, refused.code_of(field))
        for field, messages in refused.errors.items()
        for message in messages
    ]
    detail = "; ".join(f"{error.field} {error.detail}" for error in errors) or None
    if refused.kind == "unavailable" or (refused.retryable and refused.kind != "busy"):
        return ProblemError("unavailable")
    if refused.kind == "busy":
        return ProblemError("busy")
    if refused.kind == "not_found":
        return ProblemError("not_found")
    if refused.kind == "internal":
        return ProblemError("internal_error")
    return ProblemError(refused.code, detail, errors=errors)


def problem_response(
    code: Code,
    detail: str | None = None,
    *,
    status: int | None = None,
    errors: Sequence[FieldError] = (),
    retry_after: float | None = None,
) -> Response[Problem]:
    """Return an answer with a problem, as :class:`ProblemError` would end a request with it."""
    meaning = MEANINGS[code]
    status = meaning.status if status is None else status
    detail = detail or meaning.text
    seconds = None if retry_after is None else math.ceil(retry_after)
    body = Problem(
        type=TYPE_PREFIX + code,
        title=meaning.text,
        status=status,
        detail=detail,
        code=code,
        error=_CODES.get(status, "error"),
        message=detail,
        errors=list(errors) or None,
        retry_after=seconds,
    )
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    return Response(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def error_response(
    status: int, message: str, *, retry_after: float | None = None, code: Code | None = None
) -> Response[Problem]:
    """Return an answer with the code that belongs to ``status``, unless another is given."""
    found = code or _CODES.get(status, "error")
    return problem_response(found, message, status=status, retry_after=retry_after)


def unavailable(message: str, code: Code = "unavailable") -> Response[Problem]:
    """Return 503 with the time after which to try again."""
    return error_response(503, message, retry_after=RETRY_AFTER, code=code)


def on_http_exception(_request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Answer what controllers and the framework refuse: unknown path, wrong method, too large."""
    if isinstance(error, ProblemError):
        response = problem_response(
            error.code,
            str(error.detail),
            status=error.status_code,
            errors=error.errors,
            retry_after=error.retry_after,
        )
    elif isinstance(error, ValidationException):
        response = _invalid(error, error.status_code, {})
    else:
        response = error_response(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


def on_exception(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Answer what nobody foresaw: logged once, and the caller learns nothing of it."""
    log.error("http_request_failed", path=request.url.path, exc_info=error)
    return error_response(500, "The request failed; the server's log says why.")


def on_invalid(request: Request[Any, Any, Any], error: ValidationException) -> Response[Problem]:
    """Answer 422 for parameters of the API that the framework could not read."""
    return _invalid(error, 422, parameter_names(request.route_handler))


def parameter_names(handler: Any) -> dict[str, str]:
    """Return how the parameters of an endpoint are called in a query, by their names in Python."""
    return {
        name: getattr(field.kwarg_definition, "name", None) or name
        for name, field in handler.parsed_fn_signature.parameters.items()
    }


def _invalid(
    error: ValidationException, status: int, names: Mapping[str, str]
) -> Response[Problem]:
    """Name the parameters that could not be read."""
    extra = cast("list[dict[str, str]]", error.extra if isinstance(error.extra, list) else [])
    errors = [
        FieldError(
            names.get(each.get("key", ""), each.get("key", "")),
            each.get("message", "is invalid"),
            "invalid_type",
        )
        for each in extra
    ]
    detail = "; ".join(f"{each.field}: {each.detail}" for each in errors) or str(error.detail)
    return problem_response("invalid_type", detail, status=status, errors=errors)
