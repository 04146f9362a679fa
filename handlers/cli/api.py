"""The HTTP interface of a server, as commands use it: JSON there and back, with a token of ours."""

import asyncio
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from handlers.cli.errors import CommandError, unavailable, usage
from handlers.cli.people import who
from handlers.config import Settings
from handlers.run_tokens import ALL_TENANTS, UserTokens

PATIENCE: Final = 60.0
"""Seconds until a request counts as unanswered; an upload takes a while."""

TOKEN_LIFETIME: Final = 3600.0

Query = Mapping[str, Any]


class Api:
    """A server.

    Args:
        settings: Whose key signs the token; the server must have the same.
        url: Address of the server.
    """

    def __init__(self, settings: Settings, url: str) -> None:
        self._url = url
        tokens = UserTokens(settings.user_key())
        token = tokens.issue(who(), [], "operator", TOKEN_LIFETIME, tenants=[ALL_TENANTS])
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, query: Query | None = None) -> Any:
        """Return what the server has at a path.

        Raises:
            CommandError: It does not answer, or refuses.
        """
        given = [(name, value) for name, value in (query or {}).items() if value is not None]
        suffix = f"?{urlencode(given, doseq=True)}" if given else ""
        return await self._send("GET", path + suffix, None, {})

    async def post(self, path: str) -> Any:
        """Ask the server to do something.

        Raises:
            CommandError: It does not answer, or refuses.
        """
        return await self._send("POST", path, b"", {})

    async def upload(self, path: str, name: str, content: bytes, fields: Query) -> Any:
        """Send a file and the fields that are not None.

        Raises:
            CommandError: The server does not answer, or refuses.
        """
        boundary = secrets.token_hex(16)
        body = _form(boundary, name, content, fields)
        content_type = f"multipart/form-data; boundary={boundary}"
        return await self._send("POST", path, body, {"Content-Type": content_type})

    async def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Any:
        request = urllib.request.Request(  # noqa: S310 (the address is the operator's own)
            self._url + path, data=body, headers={**self._headers, **headers}, method=method
        )
        return await asyncio.to_thread(_ask, request)


def _form(boundary: str, name: str, content: bytes, fields: Query) -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n'.encode()
        + f"{value}\r\n".encode()
        for field, value in fields.items()
        if value is not None
    ]
    safe = name.replace('"', "_").replace("\r", "_").replace("\n", "_")
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{safe}"\r\n'
    kind = "Content-Type: text/csv\r\n\r\n"
    return b"".join([*parts, (head + kind).encode(), content, f"\r\n--{boundary}--\r\n".encode()])


def _ask(request: urllib.request.Request) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE) as response:
            return msgspec.json.decode(response.read())
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error.code, error.read()) from None
    except (OSError, msgspec.DecodeError) as error:
        raise unavailable(
            f"{request.host} does not answer.",
            why=str(error),
            hint="start the server (`channel-server serve`), or name it with --url",
        ) from None


def _refusal(status: int, body: bytes) -> CommandError:
    try:
        why = str(msgspec.json.decode(body, type=dict[str, Any])["message"])
    except (msgspec.MsgspecError, KeyError):
        why = f"It answered {status}."
    if status in {401, 403}:
        hint = "the server must have the same WORKER_SECRET or CHANNEL_SERVER_USER_SECRET"
        return unavailable("The server refused us.", why=why, hint=hint)
    if status >= 500:
        return unavailable("The server cannot do this now.", why=why, hint="try again")
    if status in {400, 422}:
        return usage("The server does not accept this.", why=why)
    return CommandError("The server refused this.", why=why)
