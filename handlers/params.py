"""From the payload of a worker to a changeset: missing payloads, renamed fields."""

from collections.abc import Mapping
from typing import Any
from typing import cast as cast_type

from schema import casts
from schema.changeset import Changeset, cast


def cast_params(payload: Any, fields: Mapping[str, casts.Type], /, **renamed: str) -> Changeset:
    """Cast the known fields of a payload; errors keep the names of the message.

    Args:
        payload: what came; null counts as empty.
        fields: type of each field of the message.
        renamed: message field = column, for those whose names differ. A field that was not given
            stays away.
    """
    found = cast({} if payload is None else payload, fields)
    given = {
        column: found.changes[field] for field, column in renamed.items() if field in found.changes
    }
    return found.drop(*renamed).put(**given)


def fields_of(payload: Any) -> Mapping[str, Any]:
    """The fields of a payload; none if it is no object."""
    return cast_type("Mapping[str, Any]", payload) if isinstance(payload, Mapping) else {}
