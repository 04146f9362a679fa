"""What a client has already, and what it can unpack: two request headers. Pure."""

from typing import Final

_ANY: Final = "*"


def matches(if_none_match: str, etag: str) -> bool:
    """Say whether a client has what carries ``etag``; compared weakly, as RFC 9110 asks.

    Args:
        if_none_match: The header, empty if there is none.
        etag: Of what would be sent.
    """
    wanted = etag.removeprefix("W/")
    given = (each.strip().removeprefix("W/") for each in if_none_match.split(","))
    return any(each in (wanted, _ANY) for each in given)


def accepts_gzip(accept_encoding: str) -> bool:
    """Say whether a client takes gzip: named (or ``*``) and not with a quality of nothing."""
    qualities: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, _, parameter = part.partition(";")
        qualities[name.strip()] = _quality(parameter)
    return qualities.get("gzip", qualities.get(_ANY, 0.0)) > 0


def _quality(parameter: str) -> float:
    key, _, value = parameter.partition("=")
    if key.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
