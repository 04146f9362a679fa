"""Query strings with nested keys, decoded as Plug decodes them.

``a[b]=1&a[c][]=2&a[c][]=3&d=&e`` is ``{"a": {"b": "1", "c": ["2", "3"]}, "d": "", "e": ""}``. Every
scalar is a string. Where keys contradict each other the last one wins.
"""

from itertools import pairwise
from typing import Any, Final, TypeAlias, cast
from urllib.parse import unquote_to_bytes

Params: TypeAlias = dict[str, Any]

MAX_DEPTH: Final = 16
MAX_PARAMETERS: Final = 512


class BadQueryError(ValueError):
    """A query string that cannot be decoded; the text is fit to be shown to the client."""


def decode_query(query: str) -> Params:
    """Decode a query string.

    Raises:
        BadQueryError: Not UTF-8, more than 512 parameters, or nested deeper than 16 levels.
    """
    params: Params = {}
    if not query:
        return params
    pairs = query.split("&", MAX_PARAMETERS)
    if len(pairs) > MAX_PARAMETERS:
        raise BadQueryError(f"more than {MAX_PARAMETERS} query parameters")
    for pair in pairs:
        if pair:
            key, _, value = pair.partition("=")
            _assign(params, _split_key(_unquote(key)), _unquote(value))
    return params


def _unquote(text: str) -> str:
    if "%" not in text and "+" not in text and text.isascii():
        return text
    try:
        return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode()
    except UnicodeError:
        raise BadQueryError("query string is not UTF-8") from None


def _split_key(key: str) -> list[str]:
    name, bracket, rest = key.partition("[")
    if not bracket or not name or not rest.endswith("]"):
        return [key]
    parts = [name, *rest[:-1].split("][")]
    if len(parts) > MAX_DEPTH:
        raise BadQueryError(f"query parameter nested deeper than {MAX_DEPTH} levels")
    return parts


def _assign(params: Params, path: list[str], value: str) -> None:
    # The container for each part is created from what the *next* part needs: "" makes a list.
    target: Params | list[Any] = params
    for part, following in pairwise(path):
        wanted: type[Params] | type[list[Any]] = list if following == "" else dict
        if isinstance(target, list):
            child = wanted()
            target.append(child)
        else:
            existing = target.get(part)
            child = existing if type(existing) is wanted else wanted()
            target[part] = child
        target = cast("Params | list[Any]", child)
    if isinstance(target, list):
        target.append(value)
    else:
        target[path[-1]] = value
