"""Settings of the port: TLS, unix socket, proxies; part of the settings of a deployment."""

import ssl
from ipaddress import ip_network
from typing import Annotated, Literal

from handlers.settings_fields import field
from handlers.settings_guard import GuardSettings


class WireSettings(GuardSettings, frozen=True, kw_only=True):
    """Where and how this process listens, beside host and port."""

    unix_socket: Annotated[
        str,
        field(
            "CHANNEL_SERVER_UNIX_SOCKET",
            "Path of a unix socket to listen on instead of host and port, for a proxy on the same"
            " machine.",
        ),
    ] = ""
    tls_certificate: Annotated[
        str,
        field(
            "CHANNEL_SERVER_TLS_CERTIFICATE",
            "File with the certificate and its chain (PEM); with it, and its key, TLS is served.",
        ),
    ] = ""
    tls_key: Annotated[
        str,
        field("CHANNEL_SERVER_TLS_KEY", "File with the private key of the certificate (PEM)."),
    ] = ""
    trusted_proxies: Annotated[
        tuple[str, ...],
        field(
            "CHANNEL_SERVER_TRUSTED_PROXIES",
            "Addresses and networks (`10.0.0.0/8`, `unix`) whose `X-Forwarded-For` and"
            " `X-Forwarded-Proto` are believed, with commas between.",
        ),
    ] = ()
    plain: Annotated[
        Literal["allow", "refuse"],
        field(
            "CHANNEL_SERVER_PLAIN",
            "`refuse`: websockets without TLS are refused with 403, unless they come from this"
            " machine. Behind a proxy that ends TLS, name it in `CHANNEL_SERVER_TRUSTED_PROXIES`.",
        ),
    ] = "allow"

    def wire_problems(self) -> list[str]:
        """What of these settings cannot work, one sentence each."""
        problems = [
            f"CHANNEL_SERVER_TRUSTED_PROXIES: {name!r} is no address and no network."
            for name in self.trusted_proxies
            if name != "unix" and not _is_network(name)
        ]
        return problems + self._tls_problems()

    def _tls_problems(self) -> list[str]:
        if bool(self.tls_certificate) != bool(self.tls_key):
            return ["CHANNEL_SERVER_TLS_CERTIFICATE and CHANNEL_SERVER_TLS_KEY need each other."]
        try:
            self.ssl_context()
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or str(error)
            return [f"CHANNEL_SERVER_TLS_CERTIFICATE and its key cannot be loaded: {reason}."]
        return []

    def ssl_context(self) -> ssl.SSLContext | None:
        """What TLS is served with, or None.

        Raises:
            OSError: A file cannot be read, or holds something else.
        """
        if not self.tls_certificate:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.tls_certificate, self.tls_key)
        return context


def _is_network(name: str) -> bool:
    try:
        ip_network(name)
    except ValueError:
        return False
    return True
