"""Where sockets are mounted."""

from collections.abc import Iterable, Iterator

import msgspec

from channel_server.errors import DefinitionError
from channel_server.limits import SocketLimits
from channel_server.origin import check_policy
from channel_server.rate_limit import Buckets, address_key
from channel_server.socket import Socket
from channel_server.transport.request import split_path


class Mount(msgspec.Struct, frozen=True, eq=False):
    """A socket at a path.

    Attributes:
        path: Such as ``/socket``; clients connect to ``/socket/websocket``. A segment may be a
            variable (``/tenants/:tenant/socket``), which is merged into the params of ``connect``.
        socket: The application's socket class.
        limits: Of this mount; those of the socket class if None. Never shared between mounts.
    """

    path: str
    socket: type[Socket]
    limits: SocketLimits | None = None

    def effective_limits(self) -> SocketLimits:
        """The limits that apply."""
        return self.limits if self.limits is not None else self.socket.limits


class Place:
    """A mount, ready to be matched against request paths."""

    __slots__ = ("_upgrades", "addresses", "limits", "mount", "segments")

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.limits = mount.effective_limits()
        self.segments = tuple(mount.path.strip("/").split("/")) if mount.path.strip("/") else ()
        self.addresses: dict[str, int] = {}
        self._upgrades = Buckets(self.limits.upgrades)
        check_policy(self.limits.check_origin)

    def match(self, segments: tuple[str, ...]) -> dict[str, str] | None:
        """The path variables if these segments are this place's websocket path."""
        if len(segments) != len(self.segments) + 1 or segments[-1] != "websocket":
            return None
        variables: dict[str, str] = {}
        for pattern, segment in zip(self.segments, segments[:-1], strict=True):
            if pattern.startswith(":"):
                variables[pattern[1:]] = segment
            elif pattern != segment:
                return None
        return variables

    def upgrade_wait(self, address: str | None, now: float) -> float:
        """Count a request from ``address``; the seconds it should wait, 0 if it may go on."""
        return 0.0 if address is None else self._upgrades.take(address_key(address), now)

    def enter(self, address: str | None) -> bool:
        """Count a connection from ``address``; False if it has too many already."""
        if address is None:
            return True
        count = self.addresses.get(address, 0)
        if count >= self.limits.max_connections_per_address:
            return False
        self.addresses[address] = count + 1
        return True

    def leave(self, address: str | None) -> None:
        """Undo one successful :meth:`enter`."""
        if address is None:
            return
        count = self.addresses[address] - 1
        if count:
            self.addresses[address] = count
        else:
            del self.addresses[address]


class Places:
    """All mounts of an endpoint; the first that matches wins.

    Raises:
        DefinitionError: Two mounts have the same path.
    """

    def __init__(self, mounts: Iterable[Mount]) -> None:
        self._places = [Place(mount) for mount in mounts]
        paths = [place.segments for place in self._places]
        if len(set(paths)) != len(paths):
            raise DefinitionError("two sockets are mounted at the same path")

    def __iter__(self) -> Iterator[Place]:
        return iter(self._places)

    def find(self, path: str) -> tuple[Place, dict[str, str]] | None:
        """The place of a request path, with the path's variables."""
        segments = split_path(path)
        if segments is not None:
            for place in self._places:
                variables = place.match(segments)
                if variables is not None:
                    return place, variables
        return None
