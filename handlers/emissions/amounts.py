"""Amounts as people write them in files: finite, not negative, of a sane size. Pure."""

import re
from decimal import Decimal
from typing import Any, Final

_PLAIN: Final = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)
_LARGEST: Final = Decimal(10) ** 15
_SMALLEST: Final = Decimal(10) ** -20


class AmountError(ValueError):
    """A value is not an amount.

    Attributes:
        field: Name of the column.
        reason: What is wrong with the value.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field} {self.reason}"


def parse_amount(value: Any, field: str) -> Decimal:
    """Return the amount that a text or a JSON number stands for, exactly as written.

    Args:
        value: Text or number.
        field: Where it stands, for the error.

    Raises:
        AmountError: It is empty, not a number, not finite, negative, or beyond 10^15.
    """
    text = repr(value) if isinstance(value, float) else str(value).strip()
    if not text or value is None:
        raise AmountError(field, "is missing")
    if isinstance(value, bool) or not _PLAIN.fullmatch(text):
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        raise AmountError(field, f"is not a finite number: {shown!r}")
    amount = Decimal(text)
    if amount < 0:
        raise AmountError(field, f"is negative: {text}")
    if amount >= _LARGEST:
        raise AmountError(field, f"is too large: {text}")
    return amount if amount >= _SMALLEST else Decimal(0)


def plain(amount: Decimal) -> str:
    """Return an amount without an exponent, as PostgreSQL reads it."""
    return format(amount, "f")


def parse_override(value: Any, field: str) -> float | None:
    """Return the override that a text or a JSON number stands for; None when it is blank.

    Zero is an override.

    Raises:
        AmountError: It is there, but not a finite amount of at least 0.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return float(parse_amount(value, field))
