"""Changesets: what somebody wants stored, cast and checked, with the constraints it may violate.

Pure and immutable; each method returns a new changeset. Checks that need only the values come
first and collect every error. What only the database can decide safely is declared with a field
and a message, and reported by :mod:`schema.repo` when the database refuses.

>>> changes = cast({"reason": "ok"}, {"reason": casts.enum({"ok": "success"})}).require("reason")
>>> changes.valid, changes.changes
(True, {'reason': 'success'})
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from typing import cast as typing_cast

import msgspec

from schema import casts
from schema.codes import Code
from schema.refused import Refused

BLANK: Final = "This field can't be blank."
MISSING: Final = "does not exist"
TAKEN: Final = "has already been taken"
BASE: Final = "base"
"""Name of the field for errors that belong to none."""

Constraint = tuple[str, str]
"""Field and message that a violated constraint stands for."""


class InvalidChangesetError(Exception):
    """A changeset with errors was used as if it had none.

    Attributes:
        errors: Its messages by field.
    """

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        super().__init__(errors)
        self.errors = errors


class Changeset(msgspec.Struct, frozen=True):
    """Values to store, and what is wrong with them.

    Attributes:
        changes: Values that were given and could be cast, nulls included, by field.
        errors: Messages by field, in the order in which they were found.
        constraints: Declared constraints by name.
        codes: What the first message of each field is to programs.
    """

    changes: Mapping[str, Any]
    errors: Mapping[str, list[str]] = msgspec.field(default_factory=dict[str, list[str]])
    constraints: Mapping[str, Constraint] = msgspec.field(default_factory=dict[str, Constraint])
    codes: Mapping[str, Code] = msgspec.field(default_factory=dict[str, Code])

    @property
    def valid(self) -> bool:
        """Whether there are no errors."""
        return not self.errors

    def get(self, field: str, default: Any = None) -> Any:
        """Return a value, or ``default`` when it was not given or is null."""
        value = self.changes.get(field)
        return default if value is None else value

    def put(self, **values: Any) -> "Changeset":
        """Set values as they are, without casting them."""
        return msgspec.structs.replace(self, changes={**self.changes, **values})

    def default(self, **values: Any) -> "Changeset":
        """Set values for the fields that were not given or are null."""
        return self.put(**{name: self.get(name, value) for name, value in values.items()})

    def drop(self, *fields: str) -> "Changeset":
        """Forget values; their errors stay."""
        kept = {name: value for name, value in self.changes.items() if name not in fields}
        return msgspec.structs.replace(self, changes=kept)

    def add_error(self, field: str, message: str, code: Code | None = None) -> "Changeset":
        """Add a message to a field; its code is `required` if it is blank, else `invalid`."""
        errors = {**self.errors, field: [*self.errors.get(field, []), message]}
        code = code or ("required" if message == BLANK else None)
        codes = self.codes if code is None else {field: code, **self.codes}
        return msgspec.structs.replace(self, errors=errors, codes=codes)

    def require(self, *fields: str, message: str = BLANK) -> "Changeset":
        """Refuse fields that are missing, null or only white space.

        A field that has an error already gets no second one.
        """
        changeset = self
        for field in fields:
            if field not in self.errors and _blank(self.changes.get(field)):
                changeset = changeset.add_error(field, message, "required")
        return changeset

    def validate_inclusion(
        self, field: str, values: Iterable[Any], *, message: str = casts.INVALID
    ) -> "Changeset":
        """Refuse a value that is none of ``values``; null passes."""
        known = list(values)
        return self.validate_change(field, lambda value: None if value in known else message)

    def validate_length(
        self, field: str, *, minimum: int = 0, maximum: int | None = None
    ) -> "Changeset":
        """Refuse a text or list that is too short or too long, in characters or items."""

        def check(value: Any) -> str | None:
            if len(value) < minimum:
                return f"should be at least {minimum} long"
            if maximum is not None and len(value) > maximum:
                return f"should be at most {maximum} long"
            return None

        return self.validate_change(field, check)

    def validate_change(self, field: str, check: Callable[[Any], str | None]) -> "Changeset":
        """Refuse a value for which ``check`` returns a message; null is not checked."""
        value = self.changes.get(field)
        message = None if value is None else check(value)
        return self if message is None else self.add_error(field, message)

    def foreign_key_constraint(
        self, field: str, *, name: str, message: str = MISSING
    ) -> "Changeset":
        """Declare a foreign key: violated when the parent does not exist."""
        return self._declare(name, field, message)

    def assoc_constraint(self, field: str, *, name: str, message: str = MISSING) -> "Changeset":
        """Declare an association: violated when the associated row does not exist."""
        return self._declare(name, field, message)

    def unique_constraint(self, field: str, *, name: str, message: str = TAKEN) -> "Changeset":
        """Declare a unique constraint, index or primary key."""
        return self._declare(name, field, message)

    def check_constraint(
        self, field: str, *, name: str, message: str = casts.INVALID
    ) -> "Changeset":
        """Declare a check constraint."""
        return self._declare(name, field, message)

    def declare(self, constraints: Mapping[str, Constraint]) -> "Changeset":
        """Declare many constraints; those declared before win."""
        return msgspec.structs.replace(self, constraints={**constraints, **self.constraints})

    def refusal(self) -> Refused | None:
        """Return the errors as a refusal, if there are any."""
        if self.valid:
            return None
        errors = {field: list(messages) for field, messages in self.errors.items()}
        return Refused(errors, codes=dict(self.codes))

    def apply(self) -> dict[str, Any]:
        """Return the values.

        Raises:
            InvalidChangesetError: There are errors; ask :attr:`valid` or :meth:`refusal` first.
        """
        if not self.valid:
            raise InvalidChangesetError(self.errors)
        return dict(self.changes)

    def _declare(self, name: str, field: str, message: str) -> "Changeset":
        return msgspec.structs.replace(
            self, constraints={**self.constraints, name: (field, message)}
        )


def cast(params: Any, fields: Mapping[str, casts.Type]) -> Changeset:
    """Take the known fields out of what came, each cast to its type. Never raises.

    Args:
        params: What came; anything but a mapping is an error of the whole (``base``).
        fields: Type of each field. What is not in here is left out; what was not given is not in
            the changes; null is null, of whatever type.
    """
    if not isinstance(params, Mapping):
        return Changeset({}, {BASE: [casts.INVALID]}, codes={BASE: "invalid_type"})
    given = typing_cast("Mapping[Any, Any]", params)
    changes: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    codes: dict[str, Code] = {}
    for field, cast_to in fields.items():
        if field not in given:
            continue
        value = given[field]
        try:
            changes[field] = None if value is None else cast_to(value)
        except casts.CastError as error:
            errors[field], codes[field] = [error.message], error.code
    return Changeset(changes, errors, codes=codes)


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
