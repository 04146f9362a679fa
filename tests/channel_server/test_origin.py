"""The origin check: phoenix-protocol 1.3 and the cases of OWASP."""

from urllib.parse import SplitResult

import pytest

from channel_server.limits import OriginPolicy
from channel_server.origin import check_policy, origin_allowed


def allowed(policy: OriginPolicy, origin: str, *, scheme: str = "https") -> bool:
    return origin_allowed(policy, origin, scheme=scheme, host="app.example.com")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://app.example.com", True),
        ("http://app.example.com", True),
        ("https://app.example.com:8443", True),
        ("https://APP.Example.COM", True),
        ("https://app.example.com.evil.com", False),
        ("https://evil-app.example.com", False),
        ("https://example.com", False),
        ("https://app.example.com.", False),
        ("https://app.example.com@evil.com", False),
        ("https://app.example.com:port", False),
        ("https://[::1", False),
        ("null", False),
        ("file://", False),
        ("", False),
    ],
)
def test_same_host_ignores_scheme_and_port_and_nothing_else(origin: str, expected: bool) -> None:
    assert allowed("same-host", origin) is expected


@pytest.mark.parametrize(
    ("origin", "scheme", "expected"),
    [
        ("https://app.example.com", "https", True),
        ("https://app.example.com:443", "https", True),
        ("http://app.example.com", "https", False),
        ("https://app.example.com", "http", False),
        ("https://app.example.com:8443", "https", False),
        ("wss://app.example.com", "https", False),
    ],
)
def test_same_origin_compares_scheme_host_and_port(
    origin: str, scheme: str, expected: bool
) -> None:
    assert allowed("same-origin", origin, scheme=scheme) is expected


def test_same_origin_with_an_ipv6_host() -> None:
    host = "[::1]:4000"
    assert origin_allowed("same-origin", "http://[::1]:4000", scheme="http", host=host)
    assert not origin_allowed("same-origin", "http://[::2]:4000", scheme="http", host=host)


def test_an_unreadable_host_header_matches_nothing() -> None:
    assert not origin_allowed("same-host", "https://a.com", scheme="https", host="a.com:port")


@pytest.mark.parametrize(
    ("pattern", "origin", "expected"),
    [
        ("example.com", "https://example.com", True),
        ("example.com", "http://example.com:8080", True),
        ("//example.com", "https://sub.example.com", False),
        ("https://example.com", "https://example.com", True),
        ("https://example.com", "https://example.com:8443", False),
        ("https://example.com", "http://example.com", False),
        ("https://example.com:8443", "https://example.com:8443", True),
        ("http://example.com", "http://example.com:80", True),
        ("*.example.com", "https://example.com", True),
        ("*.example.com", "https://a.b.example.com", True),
        ("*.example.com", "https://prefix-example.com", False),
        ("*.example.com", "https://example.com.evil.com", False),
        ("https://*.example.com", "http://a.example.com", False),
        ("example.com", "null", False),
        ("example.com", "file://", False),
    ],
)
def test_patterns(pattern: str, origin: str, expected: bool) -> None:
    assert allowed((pattern,), origin) is expected


def test_any_pattern_of_several_is_enough() -> None:
    assert allowed(("a.com", "b.com"), "https://b.com")
    assert not allowed((), "https://b.com")


@pytest.mark.parametrize("origin", ["null", "file://", "", "https://evil.example"])
def test_no_check_allows_everything(origin: str) -> None:
    assert allowed("any", origin)


def test_a_callable_decides_also_about_origins_without_host() -> None:
    seen: list[SplitResult] = []

    def policy(origin: SplitResult) -> bool:
        seen.append(origin)
        return origin.scheme == "file"

    assert allowed(policy, "file://")
    assert not allowed(policy, "https://a.com")
    assert [origin.scheme for origin in seen] == ["file", "https"]


@pytest.mark.parametrize("pattern", ["", "https://", "a.*.com", "*"])
def test_unusable_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no usable host"):
        check_policy((pattern,))


def test_usable_policies_are_accepted() -> None:
    policies: list[OriginPolicy] = ["any", "same-host", ("*.a.com", "b.com"), bool]
    for policy in policies:
        check_policy(policy)
