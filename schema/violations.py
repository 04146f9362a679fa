"""What each class of database error means: a field error, a refusal worth retrying, or a bug.

::

    UndeclaredConstraintError   a constraint was violated that the statement does not declare (bug)

Everything else is either turned into a :class:`schema.refused.Refused` here, or it is a bug of
ours and passes through as it is.
"""

from collections.abc import Mapping
from typing import Final

from asyncpg import exceptions as pg
from asyncpg.exceptions import PostgresError

from schema import lifecycle
from schema.codes import Code
from schema.refused import Refused

STILL_USED: Final = "is still in use"
BLANK: Final = "This field can't be blank."

Constraints = Mapping[str, tuple[str, str]]
"""Field and message by name of constraint."""


class UndeclaredConstraintError(Exception):
    """A statement violated a constraint that it does not declare.

    Attributes:
        statement: Name of the statement.
        constraint: Name of the violated constraint.
        declared: Names of those that it declares.
    """

    def __init__(self, statement: str, constraint: str, declared: list[str]) -> None:
        super().__init__(statement, constraint, declared)
        self.statement = statement
        self.constraint = constraint
        self.declared = declared

    def __str__(self) -> str:
        names = ", ".join(self.declared) or "none"
        return (
            f"{self.statement} violated {self.constraint!r}, which it does not declare. "
            f"Declared are: {names}. Add the constraint, with its field and message, to the "
            "statement or the changeset."
        )


_CODES: Final[dict[type[PostgresError], Code]] = {
    pg.ForeignKeyViolationError: "not_found",
    pg.RestrictViolationError: "in_use",
    pg.CheckViolationError: "invalid",
    pg.UniqueViolationError: "duplicate",
    pg.ExclusionViolationError: "duplicate",
}

_BAD_VALUES: Final[dict[type[PostgresError], tuple[Code, str]]] = {
    pg.StringDataRightTruncationError: ("too_long", "is too long"),
    pg.CharacterNotInRepertoireError: ("bad_text", "contains text that cannot be stored"),
    pg.UntranslatableCharacterError: ("bad_text", "contains text that cannot be stored"),
    pg.NumericValueOutOfRangeError: ("invalid_type", "is out of range"),
    pg.StatementTooComplexError: ("too_deep", "is too deeply nested"),
}

_BUSY: Final = (
    pg.QueryCanceledError,
    pg.LockNotAvailableError,
    pg.TransactionRollbackError,
)

_UNAVAILABLE: Final = (
    pg.PostgresConnectionError,
    pg.CannotConnectNowError,
    pg.AdminShutdownError,
    pg.CrashShutdownError,
    pg.InsufficientResourcesError,
    pg.ReadOnlySQLTransactionError,
)

BUSY: Final = Refused(kind="busy", retryable=True, code="busy")
UNAVAILABLE: Final = Refused(kind="unavailable", retryable=True, code="unavailable")
LOST: Final = Refused(kind="unavailable", retryable=True, code="unavailable", outcome_unknown=True)


def classify(
    error: BaseException,
    *,
    statement: str,
    constraints: Constraints,
    deletes: bool = False,
    connection_lost: bool = False,
) -> Refused | None:
    """Say what an error of a statement means.

    Args:
        error: What was raised.
        statement: Name of the statement, for the one who reads about the bug.
        constraints: What it declares.
        deletes: Whether it deletes parents: then a violated foreign key means "still in use".
        connection_lost: Whether the connection is closed now.

    Returns:
        The refusal, or None for an error that is a bug of ours.

    Raises:
        UndeclaredConstraintError: A violated constraint is not declared.
    """
    if isinstance(error, pg.NotNullViolationError):
        return _refused(error.column_name or "base", BLANK, "required", None)
    if isinstance(error, pg.IntegrityConstraintViolationError):
        return _violation(error, statement, constraints, deletes=deletes)
    if isinstance(error, PostgresError):
        return _database_error(error)
    return _client_error(error, connection_lost=connection_lost)


def hide_contents(error: BaseException) -> None:
    """Take what was to be stored out of an error that will be logged with its traceback."""
    if isinstance(error, PostgresError):
        # "Failing row contains (...)": state, log lines and whatever else came from a worker.
        error.detail = None


def connecting(error: BaseException) -> Refused | None:
    """Say what an error means that came before anything was asked; None is a bug of ours."""
    if isinstance(error, TimeoutError):
        return BUSY
    if isinstance(error, (OSError, pg.InterfaceError, pg.InternalClientError, *_UNAVAILABLE)):
        return UNAVAILABLE
    return None


def _violation(
    error: pg.IntegrityConstraintViolationError,
    statement: str,
    constraints: Constraints,
    *,
    deletes: bool,
) -> Refused:
    name = str(error.constraint_name or "")
    if name not in constraints:
        hide_contents(error)
        raise UndeclaredConstraintError(statement, name, sorted(constraints)) from error
    field, message = constraints[name]
    code = _CODES.get(type(error), "invalid")
    # Up to PostgreSQL 17 the delete of a parent reports the class of a missing parent, 23503.
    if code == "in_use" or (deletes and code == "not_found"):
        return _refused(field, STILL_USED, "in_use", name)
    if name == lifecycle.TRANSITION_CONSTRAINT:
        message, code = _transition_message(error.detail, message), "wrong_state"
    return _refused(field, message, code, name)


def _transition_message(detail: str | None, message: str) -> str:
    source, _, target = (detail or "").partition(" -> ")
    if not source or lifecycle.allowed(source, target):
        return message
    return lifecycle.refusal(source, target)["state"][0]


def _database_error(error: PostgresError) -> Refused | None:
    if type(error) in _BAD_VALUES:
        code, message = _BAD_VALUES[type(error)]
        return _refused("base", message, code, None)
    if type(error) is pg.DataError:
        # Raised by the client, before anything is sent, for a value that is not of the type.
        return _refused("base", "is invalid", "invalid_type", None)
    if isinstance(error, _BUSY):
        return BUSY
    if isinstance(error, (pg.AdminShutdownError, pg.CrashShutdownError)):
        return LOST
    if isinstance(error, pg.PostgresConnectionError):
        return LOST
    return UNAVAILABLE if isinstance(error, _UNAVAILABLE) else None


def _client_error(error: BaseException, *, connection_lost: bool) -> Refused | None:
    if isinstance(error, pg.InternalClientError | OSError):
        return LOST if connection_lost or isinstance(error, OSError) else None
    if isinstance(error, pg.InterfaceError) and connection_lost:
        # Raised when the connection is found closed, and also when it closes under a statement.
        return LOST
    return BUSY if isinstance(error, TimeoutError) else None


def _refused(field: str, message: str, code: Code, constraint: str | None) -> Refused:
    return Refused({field: [message]}, constraint=constraint, code=code)
