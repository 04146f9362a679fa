"""Pulling JSON from a configured address, off the event loop, with limits.

Addresses come from the configuration of the server and never from a request: whoever may dispatch a
job can choose a provider by name, and nothing else.
"""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

SCHEMES: Final = frozenset({"http", "https"})
SERVICE: Final = "emissions.providers"
"""Name under which jobs find the providers among the services of their engine."""

_CHUNK: Final = 64 * 1024


class ProviderError(Exception):
    """The provider cannot be used as it is configured, or answered with something unusable."""


class ProviderUnavailableError(ProviderError):
    """The provider did not answer, or not now: asking again later may help."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Where data entries can be pulled from.

    Attributes:
        url: Address, ``http`` or ``https``. ``{year}`` in it is replaced.
        headers: Sent along, for example with a token.
        timeout: Seconds for each wait on the network.
        deadline: Seconds for the whole answer.
        max_bytes: Size of the answer at most.
    """

    url: str
    headers: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    timeout: float = 10.0
    deadline: float = 60.0
    max_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        _checked(self.url)


Providers = Mapping[str, Provider]
"""The configured providers by name."""


async def pull(provider: Provider, year: int) -> bytes:
    """Return what a provider has for a year.

    Raises:
        ProviderUnavailableError: No answer, too slow, or a status that passes (429, 5xx).
        ProviderError: Any other status, an answer that is too large, a redirect elsewhere.
    """
    url = _checked(provider.url.replace("{year}", str(year)))
    try:
        async with asyncio.timeout(provider.deadline):
            return await asyncio.to_thread(_get, url, provider)
    except TimeoutError as error:
        raise ProviderUnavailableError(f"no answer within {provider.deadline:g} s") from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if _origin(newurl) != _origin(req.full_url):
            # It would take our headers, and with them our token, to somebody else.
            raise ProviderError(f"redirected to another origin, status {code}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


# No handler for proxies, files or FTP: only what is listed is ever opened.
_OPENER: Final = urllib.request.OpenerDirector()
for _handler in (
    urllib.request.HTTPHandler(),
    urllib.request.HTTPSHandler(),
    urllib.request.HTTPDefaultErrorHandler(),
    urllib.request.HTTPErrorProcessor(),
    _Redirects(),
):
    _OPENER.add_handler(_handler)


def _get(url: str, provider: Provider) -> bytes:
    headers = {"Accept": "application/json", **provider.headers}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (the scheme was checked)
    try:
        with _OPENER.open(request, timeout=provider.timeout) as answer:
            return _read(answer, provider.max_bytes)
    except urllib.error.HTTPError as error:
        with error:
            passing = error.code == 429 or error.code >= 500
            kind = ProviderUnavailableError if passing else ProviderError
            raise kind(f"the provider answered with status {error.code}") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise ProviderUnavailableError(f"the provider cannot be reached: {reason}") from error


def _read(answer: Any, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := answer.read(_CHUNK):
        size += len(part)
        if size > limit:
            raise ProviderError(f"the answer is larger than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ProviderError("the address of a provider begins with http:// or https://")
    return url
