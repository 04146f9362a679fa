"""Types that a changeset casts to: each takes whatever came and returns a value that can be stored.

A type is a function of one value. It raises :class:`CastError` for what it cannot take, and nothing
else, whatever it is given. Null never reaches a type.
"""

import json as stdlib_json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from schema.codes import Code

Type = Callable[[Any], Any]
"""A function from any value but null to a value that can be stored."""

REPLACEMENT: Final = "\ufffd"
"""What stands for characters that PostgreSQL cannot store."""

INVALID: Final = "is invalid"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INFINITE: Final = (
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
)
_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_MICROSECONDS: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# A pair (kept), half a pair or a NUL (replaced). Whether the backslash is one, or the second of
# two, is looked at for what is found only: most texts have no such escape and many others.
_ESCAPE: Final = re.compile(
    r"\\u(?:[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|([dD][89a-fA-F][0-9a-fA-F]{2}|0000))"
)
_EXPONENTS: Final = bytes.maketrans(b"E023456789", b"e111111111")
_ESCAPED_REPLACEMENT: Final = "\\ufffd"


class CastError(Exception):
    """A value cannot be cast.

    Attributes:
        message: What the sender is told.
        code: What programs are told.
    """

    def __init__(self, message: str = INVALID, code: Code = "invalid_type") -> None:
        super().__init__(message)
        self.message = message
        self.code: Code = code


def uuid(value: Any) -> UUID:
    """Cast a UUID in its 36-character form."""
    if isinstance(value, UUID):
        return value
    if isinstance(value, str) and _UUID.fullmatch(value):
        return UUID(value)
    raise CastError


def verbatim(value: Any) -> str:
    """Cast text, the empty text too; what cannot be stored becomes U+FFFD."""
    if not isinstance(value, str):
        raise CastError
    return repair_text(value)


def text(value: Any) -> str | None:
    """Cast text; the empty text is null."""
    return verbatim(value) or None


def timestamp(value: Any) -> datetime:
    """Cast microseconds since the epoch, an integer or a string of digits, exact to each of them.

    Accepts what a ``datetime`` can hold, the years 1 to 9999, but for the very first and last
    microsecond: PostgreSQL is told these as infinity.
    """
    if isinstance(value, str) and _MICROSECONDS.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise CastError
    try:
        # Not fromtimestamp: a float has no room for 16 digits.
        moment = _EPOCH + timedelta(microseconds=value)
    except OverflowError:
        raise CastError from None
    if moment in _INFINITE:
        raise CastError
    return moment


def integer(value: Any) -> int:
    """Cast an integer of 64 bits."""
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    raise CastError


def boolean(value: Any) -> bool:
    """Cast true or false."""
    if isinstance(value, bool):
        return value
    raise CastError


def enum(values: Mapping[str, str] | Sequence[str]) -> Type:
    """Return a type that takes one of some strings.

    Args:
        values: The strings; or, as a mapping, what each of them stands for.
    """
    table = dict(values) if isinstance(values, Mapping) else {value: value for value in values}

    def cast(value: Any) -> str:
        if isinstance(value, str) and value in table:
            return table[value]
        raise CastError(code="invalid" if isinstance(value, str) else "invalid_type")

    return cast


def json(value: Any) -> str:
    """Cast any JSON value to its JSON text, repaired as :func:`repair_json` says."""
    try:
        return repair_json(_encode(value))
    except RecursionError:
        raise CastError("is too deeply nested", "too_deep") from None
    except (TypeError, ValueError, NotImplementedError, OverflowError):
        raise CastError from None


def json_text(value: Any) -> str:
    """Cast a JSON value, or a string that holds JSON, to JSON text."""
    if not isinstance(value, str):
        return json(value)
    repaired = repair_json(repair_text(value, nul=False))
    try:
        # Checked and not built, unless a number may be too large: the database parses it again.
        large = _has_large_exponent(repaired.encode())
        msgspec.json.decode(repaired, type=Any if large else msgspec.Raw)
    except RecursionError:
        raise CastError("is too deeply nested", "too_deep") from None
    except (msgspec.DecodeError, ValueError):
        raise CastError from None
    return repaired


def _has_large_exponent(text: bytes) -> bool:
    # Three times as fast as a regular expression, on megabytes.
    alike = text.translate(_EXPONENTS)
    return b"1e111" in alike or b"1e+111" in alike


def repair_text(value: str, *, nul: bool = True) -> str:
    """Replace lone surrogates, and NUL if asked, by U+FFFD; surrogates in pairs become one."""
    if nul and "\0" in value:
        value = value.replace("\0", REPLACEMENT)
    if value.isascii() or _SURROGATE.search(value) is None:
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def repair_json(text: str) -> str:
    r"""Replace ``\u0000`` and lone surrogates, written as escapes in JSON text, by U+FFFD."""
    if "\\u" not in text:
        return text
    kept: list[str] = []
    end = 0
    at = 0
    while (found := _ESCAPE.search(text, at)) is not None:
        if _second_of_two(text, found.start()):
            at = found.start() + 1
            continue
        at = found.end()
        if found[1]:
            kept += (text[end : found.start()], _ESCAPED_REPLACEMENT)
            end = at
    return "".join((*kept, text[end:])) if kept else text


def _second_of_two(text: str, at: int) -> bool:
    """Whether the backslash at this place is itself escaped."""
    before = at
    while before and text[before - 1] == "\\":
        before -= 1
    return (at - before) % 2 == 1


def _encode(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        # A lone surrogate somewhere inside. The standard library writes it as an escape.
        return stdlib_json.dumps(value, separators=(",", ":"), allow_nan=False)
