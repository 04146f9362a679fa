"""A refusal is a value: what was not done, and why."""

from typing import Any, Literal

import msgspec

from schema.codes import Code

Kind = Literal["invalid", "not_found", "lease_lost", "busy", "unavailable", "internal"]
"""Field errors; no such row; another owner; try again; no database; our bug."""


class Refused(msgspec.Struct, frozen=True):
    """Nothing was changed, and this is why.

    Attributes:
        errors: Messages by field; empty for kinds that concern no field.
        kind: What sort of refusal.
        retryable: Whether the same request may succeed later.
        constraint: Name of the violated constraint, if that is what it was.
        code: Finer than ``kind``, for programs; see :mod:`schema.codes`.
        codes: Codes of fields that have another one.
        outcome_unknown: The connection was lost with the statement under way: it may have been
            committed after all. Send the same again; every write of this package is idempotent.
    """

    errors: dict[str, list[str]] = msgspec.field(default_factory=dict[str, list[str]])
    kind: Kind = "invalid"
    retryable: bool = False
    constraint: str | None = None
    code: Code = "invalid"
    outcome_unknown: bool = False
    codes: dict[str, Code] = msgspec.field(default_factory=dict[str, Code])

    def code_of(self, field: str) -> Code:
        """Return the code of what is wrong with a field."""
        return self.codes.get(field, self.code)


def invalid(field: str, message: str, **more: Any) -> Refused:
    """Return a refusal with one message on one field."""
    return Refused({field: [message]}, **more)
