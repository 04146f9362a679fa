"""Every code of an error, what it means, and whether the same request may succeed later.

The list is closed and stable: programs compare codes, people read messages. A code never changes
its meaning and is never reused; new ones may be added. The same codes are in structured error
replies of channels and in the problem bodies of HTTP.
"""

from typing import Final, Literal, cast, get_args

import msgspec

Code = Literal[
    "required",
    "invalid",
    "invalid_type",
    "too_long",
    "too_deep",
    "bad_text",
    "not_found",
    "duplicate",
    "in_use",
    "wrong_state",
    "disabled",
    "wiped",
    "unrunnable",
    "unauthorized",
    "forbidden",
    "lease_lost",
    "unknown_event",
    "invalid_plan",
    "join_crashed",
    "join_timeout",
    "duplicate_join",
    "too_many_channels",
    "bad_request",
    "method_not_allowed",
    "conflict",
    "timeout",
    "too_large",
    "not_json",
    "too_many_requests",
    "rate_limited",
    "draining",
    "busy",
    "unavailable",
    "internal_error",
    "error",
]
"""A code, as it goes over the wire."""


class Meaning(msgspec.Struct, frozen=True):
    """What a code says.

    Attributes:
        text: One sentence for the reference.
        status: Status of an HTTP answer with it.
        retryable: Whether the same request may succeed later without anybody changing it.
    """

    text: str
    status: int
    retryable: bool = False


MEANINGS: Final[dict[Code, Meaning]] = {
    "required": Meaning("A field is missing, null or blank.", 422),
    "invalid": Meaning("A field has a value that is not allowed.", 422),
    "invalid_type": Meaning("A field has a value of the wrong type or out of its range.", 422),
    "too_long": Meaning("A text or list is longer than is stored.", 422),
    "too_deep": Meaning("A value is nested deeper than is stored.", 422),
    "bad_text": Meaning("A text has characters that cannot be stored.", 422),
    "not_found": Meaning("What is named does not exist, or not for you.", 404),
    "duplicate": Meaning("The id or name belongs to something else already.", 409),
    "in_use": Meaning("It cannot go, because something else needs it.", 409),
    "wrong_state": Meaning("The run or step is in a state that does not allow this.", 409),
    "disabled": Meaning("The trigger, or the workflow it belongs to, is switched off.", 403),
    "wiped": Meaning("The data was deleted by the retention policy.", 410),
    "unrunnable": Meaning("The workflow has nothing that a run could begin with.", 422),
    "unauthorized": Meaning("There is no token, or it is not genuine or not in force.", 401),
    "forbidden": Meaning("The token is genuine and does not allow this.", 403),
    "lease_lost": Meaning("The run belongs to another claim; stop working on it.", 409),
    "unknown_event": Meaning("The topic has no such event.", 400),
    "invalid_plan": Meaning("The run cannot be executed; it was ended with the reason.", 422),
    "join_crashed": Meaning("The join met a bug of the server, which its log describes.", 500),
    "join_timeout": Meaning("The join took too long.", 503, retryable=True),
    "duplicate_join": Meaning("A later join of the same topic took the place of this one.", 409),
    "too_many_channels": Meaning(
        "The connection has joined as many topics as it may.", 429, retryable=True
    ),
    "bad_request": Meaning("The request cannot be read.", 400),
    "method_not_allowed": Meaning("The path has no such method.", 405),
    "conflict": Meaning("It is being changed, or was changed, by somebody else.", 409),
    "timeout": Meaning("It did not end, or the request did not arrive, in time.", 504),
    "too_large": Meaning("The body is larger than the limit.", 413),
    "not_json": Meaning("The body is no JSON, or no JSON that can be stored.", 415),
    "too_many_requests": Meaning("Too many callers wait at this time.", 429, retryable=True),
    "rate_limited": Meaning("Too much in too little time; see `retry_after`.", 429, retryable=True),
    "draining": Meaning("The server shuts down; others take over.", 503, retryable=True),
    "busy": Meaning("The database is slow or another change is in the way.", 503, retryable=True),
    "unavailable": Meaning("The database or a part of the server is away.", 503, retryable=True),
    "internal_error": Meaning("A bug of the server, which its log describes.", 500),
    "error": Meaning("Anything else; the message says what.", 500),
}
"""All codes, in the order of the reference."""


def code_named(name: str) -> Code:
    """Return a code by its name; `error` stands for one that is not in the list."""
    return cast("Code", name) if name in get_args(Code) else "error"


def codes_table() -> str:
    """Return the reference as a Markdown table."""
    rows = ["| code | means | HTTP | retryable |", "| --- | --- | --- | --- |"]
    for code, meaning in MEANINGS.items():
        again = "yes" if meaning.retryable else ""
        rows.append(f"| `{code}` | {meaning.text} | {meaning.status} | {again} |")
    return "\n".join(rows) + "\n"
