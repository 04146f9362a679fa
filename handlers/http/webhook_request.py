"""What a webhook call becomes: the dataclip's body and its description of the request. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from channel_server.errors import MalformedFrame
from channel_server.json_input import check_depth
from schema.casts import CastError, json_text

WITHHELD: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "cookie2", "x-api-key"}
)
"""Headers that are not stored: they are the caller's secrets."""

DEEPEST: Final = 64
"""Deepest nesting of a body, as on the sockets."""


class NotJsonError(Exception):
    """The body is not the JSON that was asked for.

    Attributes:
        reason: What is wrong with it, without its contents.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RequestInfo(msgspec.Struct, frozen=True):
    """The ``request`` of an ``http_request`` dataclip.

    Attributes:
        method: The HTTP method.
        path: The parts of the path.
        query_params: By name; the last value of a name that was given several times.
        headers: By lower-case name, without the secrets in :data:`WITHHELD`.
    """

    method: str
    path: list[str]
    query_params: dict[str, str]
    headers: dict[str, str]


def describe_request(
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
) -> str:
    """Return the JSON text of a request's description, fit to be stored."""
    info = RequestInfo(
        method=method,
        path=[part for part in path.split("/") if part],
        query_params=dict(query),
        headers={
            name.lower(): value for name, value in headers.items() if name.lower() not in WITHHELD
        },
    )
    return json_text(msgspec.to_builtins(info))


def json_body(content_type: str | None, body: bytes) -> str:
    r"""Return the JSON text of a body, fit to be stored: ``\u0000`` and lone surrogates repaired.

    An empty body is ``{}``, whatever its type.

    Raises:
        NotJsonError: The type is not JSON, or the body is none, or it is nested too deeply.
    """
    if not body:
        return "{}"
    if not _is_json_type(content_type):
        raise NotJsonError("send the body as application/json")
    try:
        check_depth(body, DEEPEST)
        return json_text(body.decode())
    except MalformedFrame as error:
        raise NotJsonError(error.reason) from None
    except (CastError, UnicodeDecodeError):
        raise NotJsonError("the body is not valid JSON") from None


def _is_json_type(content_type: str | None) -> bool:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    main, _, sub = media_type.partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))
