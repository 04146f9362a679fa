"""Fingerprints of events: how a re-send is told from another event with the same key.

An event is a re-send when its content and its timestamp are those of an event that was applied.
Workers report crashes without a timestamp: none is the same as none. An event that says nothing at
all, such as `run:start {}`, cannot be told from another one, so each is its own.
"""

import secrets
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, cast

import msgspec

SIZE = 16
"""Length of a fingerprint in bytes."""

_encoder = msgspec.json.Encoder(order="deterministic")


def fingerprint(event: str, payload: Any, **large: str | None) -> bytes:
    """The fingerprint of one event of a worker.

    Args:
        event: its name.
        payload: what came; the order of keys does not matter.
        large: text that stands in the place of the field of that name, so that a body that was
            encoded already is not encoded again.
    """
    if not isinstance(payload, Mapping):
        return secrets.token_bytes(SIZE)
    fields = cast("Mapping[str, Any]", payload)
    if all(value is None for value in fields.values()):
        return secrets.token_bytes(SIZE)
    digest = blake2b(event.encode(), digest_size=SIZE)
    digest.update(_canonical({k: v for k, v in fields.items() if k not in large}))
    for name, text in sorted(large.items()):
        data = b"\0" if text is None else text.encode(errors="surrogatepass")
        digest.update(f"{name}:{len(data)}:".encode())
        digest.update(data)
    return digest.digest()


def _canonical(fields: dict[str, Any]) -> bytes:
    try:
        return _encoder.encode(fields)
    except (UnicodeEncodeError, TypeError, ValueError):
        # Text with half a surrogate pair has no JSON; its representation is as good here.
        return repr(sorted(fields.items())).encode(errors="surrogatepass")
