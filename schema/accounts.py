"""Under which account the embedded PostgreSQL runs, and whether that account can reach its files.

PostgreSQL refuses to run as root. As root we run it under an unprivileged account that exists
already, never under one that we make. Such an account may not be allowed to enter the folders above
the clone (``/root`` is 0700); then it is given one capability, to look up and read, by ``setpriv``.
"""

import os
import pwd
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

CANDIDATES: Final = ("postgres", "nobody")
"""Accounts to run PostgreSQL under when we are root, the first that exists."""

_READ_SEARCH: Final = 2
_OVERRIDE: Final = 1
_CAPABILITIES: Final = {_READ_SEARCH: "dac_read_search", _OVERRIDE: "dac_override"}


class Account(NamedTuple):
    """An account to run programs under.

    Attributes:
        name: Its name.
        uid: Its user id.
        gid: Its group id.
        prefix: Words to put before a command, empty unless a capability is needed.
    """

    name: str
    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def command(self, words: Iterable[str]) -> list[str]:
        """Return the command line that runs ``words`` under this account."""
        return [*self.prefix, *words]

    @property
    def switched(self) -> bool:
        """Whether the one who runs the command has to change to this account first."""
        return not self.prefix and os.geteuid() != self.uid


class UnreachableError(Exception):
    """The account cannot enter a folder that it needs.

    Attributes:
        folder: The first folder on the way that it may not enter.
        account: Name of the account.
    """

    def __init__(self, folder: Path, account: str) -> None:
        super().__init__(folder, account)
        self.folder = folder
        self.account = account

    def __str__(self) -> str:
        return (
            f"PostgreSQL does not run as root, and the account {self.account!r} that it would run "
            f"under may not enter {self.folder}. Do one of these: move this folder to a place that "
            f"everybody may enter (/opt, /srv), run `chmod o+x {self.folder}`, start it as another "
            "user than root, or give the URL of a PostgreSQL of yours in DATABASE_URL."
        )


class NoAccountError(Exception):
    """We are root and there is no unprivileged account to run PostgreSQL under."""

    def __str__(self) -> str:
        names = " nor ".join(CANDIDATES)
        return (
            f"PostgreSQL does not run as root, and there is neither an account {names}. "
            "Start this as another user than root, or give the URL of a PostgreSQL in DATABASE_URL."
        )


def choose(paths: Iterable[Path]) -> Account:
    """Return the account to run PostgreSQL under: the current one, unless that is root.

    Args:
        paths: What the account has to reach.

    Raises:
        NoAccountError: We are root and no unprivileged account exists.
        UnreachableError: It cannot enter a folder, and cannot be given the capability to.
    """
    if os.geteuid() != 0:
        entry = pwd.getpwuid(os.geteuid())
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    entry = _unprivileged()
    account = Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    barred = first_barred(paths, account)
    if barred is None:
        return account
    prefix = _capability_prefix(account)
    if not prefix:
        raise UnreachableError(barred, account.name)
    return account._replace(prefix=prefix)


def _unprivileged() -> pwd.struct_passwd:
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return entry
    raise NoAccountError


def first_barred(paths: Iterable[Path], account: Account) -> Path | None:
    """Return the first folder on the way to ``paths`` that the account may not enter."""
    for path in paths:
        resolved = path.resolve()
        for folder in reversed(resolved.parents):
            if not may_enter(folder, account):
                return folder
    return None


def may_enter(folder: Path, account: Account) -> bool:
    """Say whether an account may enter a folder; a missing one it may."""
    try:
        status = folder.stat()
    except FileNotFoundError:
        return True
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _capability_prefix(account: Account) -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    capability = _held_capability()
    if setpriv is None or capability is None:
        return ()
    return (
        setpriv,
        f"--reuid={account.uid}",
        f"--regid={account.gid}",
        "--clear-groups",
        f"--inh-caps=+{capability}",
        f"--ambient-caps=+{capability}",
        "--",
    )


def _held_capability() -> str | None:
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        return None
    held = next((int(line.split()[1], 16) for line in lines if line.startswith("CapPrm:")), 0)
    return next((name for bit, name in _CAPABILITIES.items() if held >> bit & 1), None)
