"""The ``Sec-WebSocket-Protocol`` header: subprotocols, and the token that hides among them.

Browsers cannot send an ``Authorization`` header with a websocket. phoenix.js offers its token as a
subprotocol instead, ``base64url.bearer.phx.<token>``, whose last part is *standard* base64 without
padding; both alphabets are accepted here. The entry is never echoed.
"""

import base64
from collections.abc import Sequence
from typing import Final, NamedTuple

PHOENIX: Final = "phoenix"
TOKEN_PREFIX: Final = "base64url.bearer.phx."  # noqa: S105 - a prefix, not a token


class BadTokenError(ValueError):
    """An auth token that is no base64 of UTF-8."""


class Offer(NamedTuple):
    """What a client offered.

    Attributes:
        token: The decoded token; None if there is none, or more than one.
        protocols: All other entries.
    """

    token: str | None
    protocols: list[str]


def parse_offer(headers: Sequence[str], *, auth_token: bool) -> Offer:
    """Split the header into token and subprotocols.

    Args:
        headers: All values of the header.
        auth_token: Whether the socket takes tokens this way; if not, a token is an ordinary entry.

    Raises:
        BadTokenError: The only token cannot be decoded.
    """
    entries = [entry for value in headers for part in value.split(",") if (entry := part.strip())]
    if not auth_token:
        return Offer(None, entries)
    tokens = [entry for entry in entries if entry.startswith(TOKEN_PREFIX)]
    protocols = [entry for entry in entries if not entry.startswith(TOKEN_PREFIX)]
    token = _decode(tokens[0].removeprefix(TOKEN_PREFIX)) if len(tokens) == 1 else None
    return Offer(token, protocols)


def choose(
    offered: Sequence[str], configured: Sequence[str], *, auth_token: bool
) -> tuple[bool, str | None]:
    """Whether the offer is acceptable, and the subprotocol to echo.

    The first of the server's subprotocols that was offered is echoed. Nothing offered is fine.
    Without ``auth_token`` and without configured subprotocols the header is ignored.
    """
    if not offered or not (auth_token or configured):
        return True, None
    for protocol in (PHOENIX, *configured) if auth_token else configured:
        if protocol in offered:
            return True, protocol
    return False, None


def _decode(text: str) -> str:
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True).decode()
    except ValueError:  # not ASCII, not base64, or not UTF-8
        raise BadTokenError("auth token is not base64 of UTF-8") from None
