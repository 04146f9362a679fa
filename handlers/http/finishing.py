"""The last touch on the API's answers: a tag for what clients may keep, and gzip.

A complete JSON answer to GET carries an ``ETag`` made of its content, unless it is ``no-store``; a
client that sends the tag back is answered 304 without a body. The work of the database is not
saved, only the way. What is streamed as JSON lines is packed piece by piece; event streams are left
alone, for packing would hold events back.
"""

import asyncio
import gzip
import zlib
from hashlib import blake2b
from typing import Any, Final

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from handlers.http.conditional import accepts_gzip, matches

API: Final = "/api/"
KEEP: Final = b"private, no-cache"
"""What answers with a tag say of caches: keep it, and ask whether it still holds."""

SMALLEST: Final = 1024
"""Bytes below which packing gains nothing."""

LARGE: Final = 256 * 1024
"""Bytes from which packing is done beside the event loop."""

LEVEL: Final = 5
_JSON: Final = (
    b"application/json",
    b"application/problem+json",
    b"application/vnd.oai.openapi+json",
)
_LINES: Final = b"application/x-ndjson"

Headers = list[tuple[bytes, bytes]]


class Finishing:
    """An ASGI application that tags and packs the answers of another.

    Args:
        app: The other.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await self.app(scope, receive, _Answer(scope, send).send)


class _Answer:
    """One answer on its way: its head is held until it is known whether it comes in one piece."""

    def __init__(self, scope: HTTPScope, send: Send) -> None:
        self._scope = scope
        self._send: Any = send
        self._head: Any = None
        self._packer: Any = None
        self._gzip = accepts_gzip(_request_header(scope, b"accept-encoding"))

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = message
        elif message["type"] == "http.response.body":
            await self._body(message.get("body", b""), more=message.get("more_body", False))
        else:
            await self._send(message)

    async def _body(self, body: bytes, *, more: bool) -> None:
        head, self._head = self._head, None
        if head is not None and not more:
            await self._whole(head, body)
            return
        if head is not None:
            await self._send(self._streamed(head))
        if self._packer is not None:
            body = self._packer.compress(body)
            body += self._packer.flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def _streamed(self, head: Any) -> Any:
        if self._gzip and _content_type(head) == _LINES:
            self._packer = zlib.compressobj(LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
            return {**head, "headers": [*_without_length(head), *_PACKED]}
        return head

    async def _whole(self, head: Any, body: bytes) -> None:
        headers: Headers = list(head.get("headers", ()))
        if _content_type(head) in _JSON:
            headers.append((b"vary", b"Accept-Encoding, Authorization"))
            if self._may_be_kept(head):
                headers, body = self._tagged(head, headers, body)
            if self._gzip and len(body) >= SMALLEST:
                body = await _pack(body)
                headers = [*_without_length({"headers": headers}), _GZIP]
                headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**head, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _may_be_kept(self, head: Any) -> bool:
        if head["status"] != 200 or self._scope["method"] not in {"GET", "HEAD"}:
            return False
        stored = _header(head, b"cache-control") != b"no-store"
        return stored and self._scope["path"].startswith(API)

    def _tagged(self, head: Any, headers: Headers, body: bytes) -> tuple[Headers, bytes]:
        etag = f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
        headers = [pair for pair in headers if pair[0].lower() != b"cache-control"]
        headers += [(b"etag", etag.encode()), (b"cache-control", KEEP)]
        if not matches(_request_header(self._scope, b"if-none-match"), etag):
            return headers, body
        head["status"] = 304
        kept = (b"etag", b"cache-control", b"vary")
        return [pair for pair in headers if pair[0].lower() in kept], b""


_GZIP: Final = (b"content-encoding", b"gzip")
_PACKED: Final = (_GZIP, (b"vary", b"Accept-Encoding, Authorization"))


async def _pack(body: bytes) -> bytes:
    if len(body) < LARGE:
        return gzip.compress(body, LEVEL, mtime=0)
    return await asyncio.to_thread(gzip.compress, body, LEVEL, mtime=0)


def _without_length(head: Any) -> Headers:
    given: Headers = list(head.get("headers", ()))
    return [pair for pair in given if pair[0].lower() != b"content-length"]


def _header(head: Any, wanted: bytes) -> bytes:
    found = [value for name, value in head.get("headers", ()) if name.lower() == wanted]
    return found[0] if found else b""


def _content_type(head: Any) -> bytes:
    return _header(head, b"content-type").partition(b";")[0].strip().lower()


def _request_header(scope: HTTPScope, wanted: bytes) -> str:
    values = [value for name, value in scope["headers"] if name == wanted]
    return b",".join(values).decode("latin-1")
