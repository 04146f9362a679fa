"""What a reverse proxy may say about its client."""

import pytest

from channel_server.transport.proxies import TrustedProxies

PEER = ("10.0.0.1", 1234)


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("", PEER),
        ("203.0.113.7", ("203.0.113.7", 0)),
        ("6.6.6.6, 203.0.113.7", ("203.0.113.7", 0)),
        ("203.0.113.7, 10.0.0.2", ("203.0.113.7", 0)),
        ("10.0.0.3, 10.0.0.2", ("10.0.0.3", 0)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
        ("203.0.113.7, nonsense", PEER),
    ],
)
def test_the_rightmost_untrusted_address_is_the_client(
    forwarded: str, client: tuple[str, int]
) -> None:
    assert TrustedProxies(["10.0.0.0/8"]).client(PEER, forwarded) == client


def test_nobody_is_believed_by_default() -> None:
    nobody = TrustedProxies()
    assert nobody.client(PEER, "203.0.113.7") == PEER
    assert nobody.scheme(PEER, "http", "https") == "http"
    assert nobody.client(None, "203.0.113.7") is None


@pytest.mark.parametrize(
    ("header", "scheme"),
    [
        ("https", "https"),
        ("http, wss", "https"),
        ("http", "http"),
        ("gopher", "http"),
        ("", "http"),
    ],
)
def test_the_scheme_of_a_trusted_proxy_is_believed(header: str, scheme: str) -> None:
    assert TrustedProxies(["10.0.0.1"]).scheme(PEER, "http", header) == scheme
    assert TrustedProxies(["unix"]).scheme(None, "http", "ws") == "http"


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        TrustedProxies(["nonsense"])
    assert not TrustedProxies(["10.0.0.1"]).trusts("nonsense")
