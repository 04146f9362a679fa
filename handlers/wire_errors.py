"""Refusals on the wire: the only place that knows the shapes of error replies.

Two plain shapes exist, and workers know both. What a changeset or a constraint found is a plain map
of fields to messages. What a handler checked by hand is wrapped into `errors`, and stays wrapped
where a constraint stands behind the check. Refusals that concern no field are a `reason`.

A client that joins with `{"errors": "structured"}` gets the same in one shape, for programs:
`{"errors": [{code, field, message, constraint, retryable}]}`. Codes are those of `schema.codes`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from channel_server.channel import Reply
from handlers.params import fields_of
from schema.changeset import BLANK
from schema.codes import MEANINGS, Code
from schema.refused import Refused

NO_FIELDS: Final[frozenset[str]] = frozenset()

STRUCTURED: Final = "structured"
"""Value of `errors` in the payload of a join that asks for structured errors."""


def _about(text: str) -> msgspec.Meta:
    return msgspec.Meta(extra_json_schema={"description": text})


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    code: Annotated[Code, _about("For programs.")]
    field: Annotated[str | None, _about("Field of the message that it is about, or null.")]
    message: Annotated[str, _about("For people; may change.")]
    constraint: Annotated[
        str | None, _about("Name of the violated constraint of the database, or null.")
    ]
    retryable: Annotated[bool, _about("Whether the same message may succeed later.")]


class Problems(msgspec.Struct, frozen=True, kw_only=True):
    """The response of a structured error reply: everything that is wrong, at least one thing."""

    errors: list[Problem]


class ErrorReply(Reply, frozen=True, gc=False):
    """An error reply in its plain shape that can also be told in the structured one.

    Attributes:
        problems: what is wrong, field by field.
    """

    problems: tuple[Problem, ...] = ()


def because(
    reason: str, code: Code, *, retryable: bool = False, message: str | None = None
) -> ErrorReply:
    """A refusal that concerns no field.

    Args:
        reason: the word of the plain shape.
        code: for programs.
        retryable: told in both shapes.
        message: a sentence for people; else the code's own, in the structured shape alone.
    """
    response: dict[str, Any] = {"reason": reason}
    if retryable:
        response["retryable"] = True
    if message is not None:
        response["message"] = message
    problem = Problem(
        code=code,
        field=None,
        message=message or MEANINGS[code].text,
        constraint=None,
        retryable=MEANINGS[code].retryable,
    )
    return ErrorReply("error", response, (problem,))


UNAUTHORIZED: Final = because("unauthorized", "unauthorized")
NOT_FOUND: Final = because("not_found", "not_found")
LEASE_LOST: Final = because("lease_lost", "lease_lost")
INTERNAL: Final = because("internal_error", "internal_error")
UNKNOWN_EVENT: Final = because("unknown event", "unknown_event")
BUSY: Final = because("busy", "busy", retryable=True)
UNAVAILABLE: Final = because("unavailable", "unavailable", retryable=True)

_JOINS: Final[dict[str, Code]] = {
    "join crashed": "join_crashed",
    "join timeout": "join_timeout",
    "duplicate join": "duplicate_join",
    "draining": "draining",
    "too many channels joined": "too_many_channels",
}


def refusal(refused: Refused, wrapped: frozenset[str] = NO_FIELDS) -> ErrorReply:
    """The reply to an event that was refused.

    Args:
        refused: what the schema said.
        wrapped: fields whose `does not exist` is a check made by hand on the wire.
    """
    if refused.kind == "lease_lost":
        return LEASE_LOST
    if refused.kind == "internal":
        return INTERNAL
    if refused.kind == "busy":
        return BUSY
    if refused.kind == "unavailable":
        return UNAVAILABLE
    if not refused.errors:
        return NOT_FOUND if refused.kind == "not_found" else INTERNAL
    missing = {field for field, messages in refused.errors.items() if "does not exist" in messages}
    plain: Any = {"errors": refused.errors} if missing & wrapped else refused.errors
    return ErrorReply("error", plain, _problems(refused))


def wrap(errors: Mapping[str, list[str]], code: Code = "invalid") -> ErrorReply:
    """An error of a check made by hand: `{"errors": {field: [message]}}`."""
    fields = dict(errors)
    return ErrorReply("error", {"errors": fields}, _problems(Refused(fields, code=code)))


def blank(field: str) -> ErrorReply:
    """The wrapped error of a field that is missing."""
    return wrap({field: [BLANK]}, "required")


def refused_join(reason: str) -> ErrorReply:
    """The reply to a join that the channel server refused by itself."""
    return because(reason, _JOINS.get(reason, "error"))


def wants_structure(payload: Any) -> bool:
    """Whether the payload of a join asks for structured errors."""
    return fields_of(payload).get("errors") == STRUCTURED


def structured(reply: Reply) -> Reply:
    """The reply in the shape for programs; what is no error stays as it is."""
    if reply.status != "error":
        return reply
    problems = reply.problems if isinstance(reply, ErrorReply) else ()
    return Reply("error", Problems(errors=list(problems) or list(INTERNAL.problems)))


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the response of a structured error reply."""
    made = msgspec.json.schema(Problems)
    names = made["$defs"]["Problem"]["properties"]
    names["code"]["oneOf"] = [
        {"const": code, "description": meaning.text} for code, meaning in MEANINGS.items()
    ]
    del names["code"]["enum"]
    made["$defs"]["Problems"]["properties"]["errors"]["minItems"] = 1
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The response of a structured error reply",
        **made,
    }


def _problems(refused: Refused) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            code=refused.code_of(field),
            field=field,
            message=message,
            constraint=refused.constraint,
            retryable=refused.retryable,
        )
        for field, messages in refused.errors.items()
        for message in messages
    )
