"""What a reverse proxy says about its client, believed only from listed proxies."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Address = tuple[str, int]


class TrustedProxies:
    """Networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` headers are believed.

    Args:
        networks: Addresses or networks (``10.0.0.0/8``); ``unix`` stands for connections over a
            Unix domain socket.

    Raises:
        ValueError: One of them is neither.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        names = list(networks)
        self._unix = "unix" in names
        self._networks: list[IPv4Network | IPv6Network] = [
            ip_network(name) for name in names if name != "unix"
        ]

    def trusts(self, host: str | None) -> bool:
        """Whether the peer with this address is a listed proxy; None is a Unix domain socket."""
        if host is None:
            return self._unix
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def client(self, peer: Address | None, forwarded_for: str) -> Address | None:
        """The client's address: the rightmost forwarded one that is not itself a listed proxy.

        Args:
            peer: Who connected.
            forwarded_for: The joined ``X-Forwarded-For`` headers; anything unreadable ends the
                search, because the rest could be made up.
        """
        if not forwarded_for or not self.trusts(peer[0] if peer else None):
            return peer
        found = peer
        for part in reversed(forwarded_for.split(",")):
            host = part.strip().strip("[]")
            try:
                ip_address(host)
            except ValueError:
                return found
            found = (host, 0)
            if not self.trusts(host):
                return found
        return found

    def scheme(self, peer: Address | None, scheme: str, forwarded_proto: str) -> str:
        """``http`` or ``https`` as the client used it."""
        if self.trusts(peer[0] if peer else None):
            last = forwarded_proto.rsplit(",", 1)[-1].strip().lower()
            if last in ("https", "wss"):
                return "https"
            if last in ("http", "ws"):
                return "http"
        return scheme
