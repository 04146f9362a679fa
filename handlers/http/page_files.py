"""The files of the dashboard: which there are, and how each is sent.

A name is looked up segment by segment, and only names that we could have given are looked up at
all: no dot segments, no hidden files, no backslashes, no NUL. What a symbolic link leads to must
lie in the folder as well. Files are read when they changed, so that an editor needs no restart.
"""

import gzip
import re
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

INDEX: Final = "index.html"

TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""Files with other endings are not served."""

PACKED: Final = frozenset({".ico", ".png", ".woff2"})
"""What does not get smaller."""

NOT_SERVED: Final = frozenset({"tests", "node_modules"})
LARGEST: Final = 4 * 1024 * 1024

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_@-][A-Za-z0-9_@.-]{0,99}")
_VERSIONED: Final = re.compile(r"(?:^|/)vendor/.*\d+\.\d+")


class PageFile(msgspec.Struct, frozen=True):
    """A file as it is sent.

    Attributes:
        content: Its bytes.
        packed: The same with gzip; None where that gains nothing.
        media_type: What it is.
        etag: Changes with the content.
        immutable: Its name holds its version: browsers need not ask again.
    """

    content: bytes
    packed: bytes | None
    media_type: str
    etag: str
    immutable: bool


def dashboard_folder() -> Path | None:
    """Return the folder of the dashboard: packaged with us, or beside us in a clone."""
    here = Path(__file__).resolve().parents[1]
    for folder in (here / "dashboard", here.parent / "dashboard"):
        if (folder / INDEX).is_file():
            return folder
    return None


class PageFiles:
    """The files of one folder.

    Args:
        folder: Where they are; None serves nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._root = None if folder is None else folder.resolve()
        self._read: dict[str, tuple[tuple[int, int], PageFile]] = {}

    def find(self, name: str) -> PageFile | None:
        """Return the file of a name, such as ``store/runs.js``; None if it is none of ours."""
        file = self._locate(name)
        if file is None:
            return None
        try:
            status = file.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            known = self._read.get(name)
            if known is not None and known[0] == stamp:
                return known[1]
            content = file.read_bytes()
        except OSError:
            return None
        made = _prepare(name, file.suffix, content)
        self._read[name] = (stamp, made)
        return made

    def _locate(self, name: str) -> Path | None:
        if self._root is None:
            return None
        segments = name.split("/")
        if segments[0] in NOT_SERVED or not all(map(_SEGMENT.fullmatch, segments)):
            return None
        try:
            file = self._root.joinpath(*segments).resolve(strict=True)
            fits = file.is_file() and file.stat().st_size <= LARGEST
        except (OSError, ValueError):
            return None
        inside = file.is_relative_to(self._root) and file.suffix in TYPES
        return file if inside and fits else None


def _prepare(name: str, suffix: str, content: bytes) -> PageFile:
    packed = None if suffix in PACKED else gzip.compress(content, 9, mtime=0)
    if packed is not None and len(packed) >= len(content):
        packed = None
    return PageFile(
        content=content,
        packed=packed,
        media_type=TYPES[suffix],
        etag=f'W/"{blake2b(content, digest_size=12).hexdigest()}"',
        immutable=_VERSIONED.search(name) is not None,
    )
