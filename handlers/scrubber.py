"""Takes the values of credentials out of log lines.

A scrubber belongs to one run and knows the credentials that the run has fetched. Each value longer
than three characters is replaced by `***`, as it is, as it looks inside JSON, and in base64; so is
`user:password` of one credential, the form of basic auth.

Not promised: values that a job cuts into pieces, encodes otherwise, or spreads over several lines.
"""

import base64
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast
from uuid import UUID

import msgspec

MASK: Final = "***"
"""What stands in the place of a value."""

_SHORTEST = 4
_USER_KEYS = frozenset({"user", "username", "login", "email", "clientid", "accountid", "account"})
_PASSWORD_KEYS = frozenset(
    {"password", "pass", "passwd", "pwd", "passphrase", "secret", "clientsecret", "token", "apikey"}
)


class Scrubber:
    """The secrets of one run, compiled to one pattern."""

    __slots__ = ("_pattern", "_secrets")

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to scrub."""
        return bool(self._secrets)

    def learn(self, body: Mapping[str, Any]) -> None:
        """Add the values of a credential body; learning one twice changes nothing."""
        known = len(self._secrets)
        self._secrets.update(form for form in secret_forms(body) if len(form) >= _SHORTEST)
        if len(self._secrets) == known:
            return
        # A value that contains another one must be tried first.
        longest_first = sorted(self._secrets, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def scrub(self, text: str) -> str:
        """`text` with every known value replaced."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)


class Scrubbers:
    """The scrubbers of the runs that this process serves, so that a reconnect loses none.

    Args:
        most: how many are kept; beyond, the one that was asked for longest ago is forgotten.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._by_run: OrderedDict[UUID, Scrubber] = OrderedDict()

    def known(self, run_id: UUID) -> bool:
        """Whether this process has served the run before."""
        return run_id in self._by_run

    def of(self, run_id: UUID) -> Scrubber:
        """The scrubber of a run; a new one if there is none."""
        scrubber = self._by_run.setdefault(run_id, Scrubber())
        self._by_run.move_to_end(run_id)
        if len(self._by_run) > self._most:
            self._by_run.popitem(last=False)
        return scrubber


def secret_forms(body: Mapping[str, Any]) -> Iterator[str]:
    """Every text under which a value of this credential body may appear in a log."""
    for value in _values(body):
        if len(value) >= _SHORTEST:
            yield from _forms(value)
    for pair in _basic_auth(body):
        yield from _forms(pair)


def _forms(value: str) -> Iterator[str]:
    yield value
    escaped = msgspec.json.encode(value).decode()[1:-1]
    if escaped != value:
        yield escaped
    raw = value.encode(errors="surrogatepass")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(raw).decode()
        yield encoded
        yield encoded.rstrip("=")


def _values(node: Any) -> Iterator[str]:
    """Scalars of a nested body as text; booleans and null are no secrets."""
    pending: list[Any] = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, str):
            yield current
        elif isinstance(current, Mapping):
            pending.extend(cast("Mapping[str, Any]", current).values())
        elif isinstance(current, list):
            pending.extend(cast("list[Any]", current))
        elif isinstance(current, int | float) and not isinstance(current, bool):
            yield str(current)


def _basic_auth(body: Mapping[str, Any]) -> Iterator[str]:
    users = _under(body, _USER_KEYS)
    passwords = _under(body, _PASSWORD_KEYS)
    return (f"{user}:{password}" for user in users for password in passwords)


def _under(body: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    return [
        str(value)
        for key, value in body.items()
        if key.lower().replace("_", "").replace("-", "") in names
        and isinstance(value, str | int | float)
        and value not in ("", True, False)
    ]
