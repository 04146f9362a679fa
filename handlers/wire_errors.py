"""Refusals on the wire: the only place that knows the shapes of error replies.

Two shapes exist, and workers know both. What a changeset or a constraint found is a plain map of
fields to messages. What a handler checked by hand is wrapped into `errors`, and stays wrapped where
a constraint stands behind the check. Refusals that concern no field are a `reason`.
"""

from collections.abc import Mapping
from typing import Any, Final

from channel_server.channel import Reply, error
from schema.changeset import BLANK
from schema.refused import Refused

NO_FIELDS: Final[frozenset[str]] = frozenset()

UNAUTHORIZED: Final = error({"reason": "unauthorized"})
NOT_FOUND: Final = error({"reason": "not_found"})
LEASE_LOST: Final = error({"reason": "lease_lost"})
INTERNAL: Final = error({"reason": "internal_error"})
UNKNOWN_EVENT: Final = error({"reason": "unknown event"})


def refusal(refused: Refused, wrapped: frozenset[str] = NO_FIELDS) -> Reply:
    """The reply to an event that was refused.

    Args:
        refused: what the schema said.
        wrapped: fields whose `does not exist` is a check made by hand on the wire.
    """
    if refused.kind == "lease_lost":
        return LEASE_LOST
    if refused.kind == "internal":
        return INTERNAL
    if refused.kind in ("busy", "unavailable"):
        return error({"reason": refused.kind, "retryable": True})
    if not refused.errors:
        return NOT_FOUND if refused.kind == "not_found" else INTERNAL
    missing = {field for field, messages in refused.errors.items() if "does not exist" in messages}
    if missing & wrapped:
        return wrap(refused.errors)
    return error(refused.errors)


def wrap(errors: Mapping[str, Any]) -> Reply:
    """An error of a check made by hand: `{"errors": {field: [message]}}`."""
    return error({"errors": dict(errors)})


def blank(field: str) -> Reply:
    """The wrapped error of a field that is missing."""
    return wrap({field: [BLANK]})
