"""JSON of clients: bounded nesting, and lone surrogates repaired; pure."""

import re
from typing import Any, Final

from channel_server.errors import MalformedFrame

_STRING: Final = re.compile(rb'"[^"]*"')
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_ESCAPE: Final = re.compile(
    rb"\\(?:"
    rb"(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"  # a pair: kept
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})"  # half of one: replaced
    rb"|.)",
    re.DOTALL,
)


def check_depth(data: bytes, limit: int) -> None:
    """Refuse JSON nested deeper than `limit`, before anything is built from it.

    Never recurses, and costs two counts for ordinary messages. Text that is no JSON may pass: the
    decoder finds that out.

    Args:
        data: JSON text.
        limit: Deepest nesting allowed; `[]` has depth 1.

    Raises:
        MalformedFrame: With close code 1008.
    """
    if data.count(b"[") + data.count(b"{") > limit and not _is_shallow_text(data, limit):
        raise too_deep(limit)


def is_shallow(value: list[Any], limit: int) -> bool:
    """Whether lists and dicts are nested no deeper than `limit`; `[]` has depth 1.

    Looks at one level after the other, and never recurses.
    """
    level: list[list[Any] | dict[str, Any]] = [value]
    for _ in range(limit):
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, dict | list)
        ]
        if not level:
            return True
    return False


def too_deep(limit: int) -> MalformedFrame:
    """The error for JSON nested deeper than `limit`."""
    return MalformedFrame(f"JSON is nested deeper than {limit}", 1008, "json_depth")


def _is_shallow_text(data: bytes, limit: int) -> bool:
    # Escaped backslashes go first, so that every \" that is left is an escaped quote.
    text = data.replace(rb"\\", b"").replace(rb"\"", b"")
    brackets = _STRING.sub(b"", text).translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(limit):
        # Removes exactly the innermost level of every branch.
        outer = brackets.replace(b"[]", b"")
        if not outer:
            return True
        if len(outer) == len(brackets):
            return brackets.count(b"[") <= limit
        brackets = outer
    return False


def repair_surrogates(data: bytes) -> bytes:
    r"""Replace escapes of lone surrogates by `\ufffd`; pairs and everything else stay.

    JSON allows them and JavaScript writes them; no UTF-8 text can hold them.

    Args:
        data: JSON text that the decoder refused.

    Returns:
        The same object if there was nothing to repair.
    """
    if rb"\ud" not in data and rb"\uD" not in data:
        return data
    return _ESCAPE.sub(_repair, data)


def _repair(match: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if match.group(2) is not None else match.group()
