"""Which browser pages may connect: the check of the ``Origin`` header. Pure.

A policy is one of

* ``"same-host"``: the host of the origin is the host of the request; scheme and port are ignored;
* ``"same-origin"``: scheme, host and port equal those of the request;
* ``"any"``: no check;
* a tuple of patterns: ``example.com``, ``//example.com``, ``https://example.com``,
  ``https://example.com:8443``, ``*.example.com``. A missing scheme or port allows any; a scheme
  without a port means its default port. ``*.example.com`` covers ``example.com`` and every
  subdomain of it; a pattern without ``*.`` covers exactly one host;
* a callable that is given the parsed origin.

Origins without a host (``null``, ``file://``), and whatever is not just scheme, host and port, are
refused, except by ``"any"`` or a callable.
"""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from channel_server.limits import OriginPolicy

# Browsers write nothing else. URL parsers disagree about the rest, such as ``http://a\@b``.
_ORIGIN: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)(?::[0-9]{1,5})?",
    re.ASCII | re.IGNORECASE,
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def check_policy(policy: OriginPolicy) -> None:
    """Raise ValueError for a pattern that could never match, or would match too much."""
    if isinstance(policy, str) or callable(policy):
        return
    for pattern in policy:
        host = _split(pattern).hostname
        if not host or "*" in host.removeprefix("*."):
            raise ValueError(f"origin pattern {pattern!r} has no usable host")


def origin_allowed(policy: OriginPolicy, origin: str, *, scheme: str, host: str) -> bool:
    """Whether a request with this ``Origin`` header may connect.

    Args:
        policy: Of the socket.
        origin: The value of the header.
        scheme: ``http`` or ``https``, of the request.
        host: The ``Host`` header of the request, with port if it has one.
    """
    if policy == "any":
        return True
    try:
        parsed = urlsplit(origin)
        port = _port(parsed)
    except ValueError:
        return False
    if callable(policy):
        return policy(parsed)
    if _ORIGIN.fullmatch(origin) is None:
        return False
    if isinstance(policy, str):
        return _same(policy, parsed, port, scheme, host)
    return any(_matches(_split(pattern), parsed, port) for pattern in policy)


def host_of(header: str) -> str:
    """The name in a ``Host`` header, in lower case and without port; empty if it is none."""
    try:
        return _host(urlsplit(f"//{header}"))
    except ValueError:
        return ""


def _same(policy: str, origin: SplitResult, port: int | None, scheme: str, host: str) -> bool:
    try:
        request = urlsplit(f"{scheme}://{host}")
        request_port = _port(request)
    except ValueError:
        return False
    if _host(origin) != _host(request):
        return False
    return policy == "same-host" or (origin.scheme == scheme and port == request_port)


def _split(pattern: str) -> SplitResult:
    return urlsplit(pattern if "//" in pattern else f"//{pattern}")


def _port(url: SplitResult) -> int | None:
    return url.port if url.port is not None else _DEFAULT_PORTS.get(url.scheme)


def _host(url: SplitResult) -> str:
    # "example.com." is the same host as "example.com" for DNS, but a different string: compare
    # them as different, so that nobody gains access by a spelling that nobody listed.
    return (url.hostname or "").lower()


def _matches(pattern: SplitResult, origin: SplitResult, port: int | None) -> bool:
    if pattern.scheme and pattern.scheme != origin.scheme:
        return False
    wanted_port = _port(pattern)
    if wanted_port is not None and wanted_port != port:
        return False
    wanted, actual = _host(pattern), _host(origin)
    if wanted.startswith("*."):
        return actual == wanted[2:] or actual.endswith(wanted[1:])
    return actual == wanted
