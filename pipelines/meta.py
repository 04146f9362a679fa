"""What may be stored beside a job: cleaned metadata and text that PostgreSQL accepts. Pure."""

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, cast

import msgspec

LONGEST_MESSAGE: Final = 4_000
"""Characters of a status message; the rest is cut off."""

_REPLACEMENT: Final = "\ufffd"


def clean_text(value: str, limit: int | None = None) -> str:
    """Return ``value`` without NUL and lone surrogates, which PostgreSQL refuses, cut at ``limit``.

    They are replaced by U+FFFD.
    """
    cleaned = value.replace("\x00", _REPLACEMENT)
    if not cleaned.isascii():
        cleaned = "".join(
            _REPLACEMENT if "\ud800" <= character <= "\udfff" else character
            for character in cleaned
        )
    return cleaned if limit is None else cleaned[:limit]


def clean_meta(value: Any) -> Any:
    """Return a JSON value, recursively without keys that start with an underscore.

    Enumerations become their names, other mappings dicts, sequences and sets lists, NaN and the
    infinities null, anything that JSON does not have its text.
    """
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {
            clean_text(str(key)): clean_meta(item)
            for key, item in items
            if not str(key).startswith("_")
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [clean_meta(item) for item in cast("list[object]", value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return clean_meta(msgspec.to_builtins(value, enc_hook=str))


def merge_meta(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``new`` merged over ``old``, shallow, both cleaned."""
    return {**clean_meta(old), **clean_meta(new)}


def encode_meta(value: Mapping[str, Any]) -> str:
    """Return cleaned metadata as JSON text."""
    return msgspec.json.encode(clean_meta(value)).decode()
