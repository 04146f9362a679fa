"""A small HTTP client for commands: JSON there, JSON back."""

import asyncio
import urllib.error
import urllib.request
from typing import Any, Final

import msgspec

from handlers.cli.errors import CommandError, unavailable

PATIENCE: Final = 10.0
"""Seconds until a request counts as unanswered."""


async def post_json(url: str, value: Any) -> dict[str, Any]:
    """Post a JSON value and return the JSON object that comes back.

    Raises:
        CommandError: No answer, or one that is no success.
    """
    request = urllib.request.Request(  # noqa: S310 - the address is our own server's
        url,
        data=msgspec.json.encode(value),
        headers={"Content-Type": "application/json"},
    )
    return await asyncio.to_thread(_send, request)


async def get_json(url: str) -> tuple[int, dict[str, Any]]:
    """Get a JSON object, whatever its status; returns both.

    Raises:
        CommandError: No answer, or one that is no JSON object.
    """
    request = urllib.request.Request(url)  # noqa: S310 - as above
    return await asyncio.to_thread(_get, request)


def _send(request: urllib.request.Request) -> dict[str, Any]:
    status, body = _get(request)
    if status >= 400:
        why = str(body.get("message") or body)
        raise CommandError(f"{request.full_url} answered {status}.", why=why)
    return body


def _get(request: urllib.request.Request) -> tuple[int, dict[str, Any]]:
    # No proxy: the servers that commands talk to are near, and the token is not for others.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE) as response:
            return response.status, msgspec.json.decode(response.read(), type=dict[str, Any])
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _object(error.read())
    except (OSError, msgspec.DecodeError) as error:
        raise unavailable(f"{request.full_url} does not answer.", why=str(error)) from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
