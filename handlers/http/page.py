"""The dashboard at ``/``: its files, and its index for every address that its router knows.

Whatever is asked for with GET below a name that is not the API's is a file of the dashboard, else
the index if a browser navigates there (``Accept: text/html`` and no ending), else the API's 404.
Vendored files with a version in their name may be kept for good; all others are asked for again
with ``If-None-Match``.
"""

from typing import Final

from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from handlers.http.conditional import accepts_gzip, matches
from handlers.http.headers import PAGE_POLICY
from handlers.http.page_files import INDEX, PageFile, PageFiles

OURS: Final = frozenset({"api", "i", "schema", "healthz", "readyz", "metrics", "worker", "socket"})
"""First segments of addresses that are never the page's."""

_DOCUMENTS: Final = ("text/html", "image/svg")
_DOCUMENT: Final = (
    (b"content-security-policy", PAGE_POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""What matters to documents alone; a page is many small files, and headers are not compressed."""

_FOREVER: Final = b"public, max-age=31536000, immutable"
_ASK_AGAIN: Final = b"no-cache"


class Page:
    """An ASGI application that serves the dashboard, and leaves the rest to another.

    Args:
        app: The other.
        files: The files of the dashboard.
    """

    def __init__(self, app: ASGIApp, files: PageFiles) -> None:
        self.app = app
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}:
            file = self._file(scope)
            if file is not None:
                await _answer(scope, send, file)
                return
        await self.app(scope, receive, send)

    def _file(self, scope: HTTPScope) -> PageFile | None:
        # The raw path: what is percent-encoded is none of our names.
        path = scope["raw_path"].split(b"?")[0].decode("latin-1")
        name = path.removeprefix("/")
        first = name.partition("/")[0]
        if first in OURS:
            return None
        found = self._files.find(name) if name else None
        if found is None and _navigates(scope, name):
            found = self._files.find(INDEX)
        return found


def _header(scope: HTTPScope, wanted: bytes) -> str:
    values = [value for name, value in scope["headers"] if name == wanted]
    return b",".join(values).decode("latin-1")


def _navigates(scope: HTTPScope, name: str) -> bool:
    if not name:
        return True
    last = name.rpartition("/")[2]
    return "." not in last and "\\" not in name and "text/html" in _header(scope, b"accept")


async def _answer(scope: HTTPScope, send: Send, file: PageFile) -> None:
    headers = [
        (b"cache-control", _FOREVER if file.immutable else _ASK_AGAIN),
        *(_DOCUMENT if file.media_type.startswith(_DOCUMENTS) else ()),
        (b"etag", file.etag.encode()),
        (b"vary", b"Accept-Encoding"),
    ]
    if matches(_header(scope, b"if-none-match"), file.etag):
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    body = file.content
    if file.packed is not None and accepts_gzip(_header(scope, b"accept-encoding")):
        body = file.packed
        headers.append((b"content-encoding", b"gzip"))
    headers += [
        (b"content-type", file.media_type.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else body
    await send({"type": "http.response.body", "body": body, "more_body": False})
