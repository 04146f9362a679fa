"""Token buckets: never more than the burst and what came since, and waits that are exact."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channel_server.rate_limit import Buckets, Rate, address_key

SLACK = 1e-4

rates = st.builds(
    Rate,
    per_second=st.floats(0.1, 10_000),
    burst=st.integers(1, 1_000).map(float),
)
gaps = st.lists(st.tuples(st.floats(0, 10), st.integers(1, 50)), min_size=1, max_size=60)


@given(rates, gaps)
@settings(max_examples=100, deadline=None)
def test_no_stretch_of_time_gets_more_than_the_burst_and_what_came_meanwhile(
    rate: Rate, asked: list[tuple[float, int]]
) -> None:
    now, full_at = 1_000.0, 0.0
    taken: list[tuple[float, float]] = []
    for gap, count in asked:
        now += gap
        full_at, wait = rate.take(full_at, now, count)
        if not wait:
            taken.append((now, min(count, rate.burst)))
    for first, (began, _) in enumerate(taken):
        total = 0.0
        for at, count in taken[first:]:
            total += count
            assert total <= (rate.burst + rate.per_second * (at - began)) * (1 + SLACK) + SLACK


@given(rates, gaps, st.integers(1, 50))
@settings(max_examples=100, deadline=None)
def test_who_waits_as_long_as_told_succeeds_and_not_before(
    rate: Rate, before: list[tuple[float, int]], count: int
) -> None:
    now, full_at = 1_000.0, 0.0
    for gap, taken in before:
        now += gap / 100
        full_at, _ = rate.take(full_at, now, taken)
    _, wait = rate.take(full_at, now, count)
    if not wait:
        return
    assert wait <= rate.burst / rate.per_second + SLACK
    assert rate.take(full_at, now + wait, count)[1] == 0
    early = wait * 0.99 - 1e-5
    if early > 0:
        assert rate.take(full_at, now + early, count)[1] > 0


@given(rates, gaps)
@settings(max_examples=100, deadline=None)
def test_what_is_owed_is_paid_by_waiting_and_by_nothing_else(
    rate: Rate, owed: list[tuple[float, int]]
) -> None:
    now, full_at, level = 1_000.0, 0.0, rate.burst
    for gap, count in owed:
        now += gap
        level = min(rate.burst, level + gap * rate.per_second) - count
        full_at, wait = rate.owe(full_at, now, count)
        assert wait == pytest.approx(max(0.0, -level / rate.per_second), rel=1e-3, abs=1e-3)


def test_a_refused_try_costs_nothing() -> None:
    rate = Rate(1.0, 1.0)
    full_at, _ = rate.take(0.0, 100.0)
    for _ in range(1_000):
        full_at, wait = rate.take(full_at, 100.0)
        assert wait == 1.0
    assert rate.take(full_at, 101.0)[1] == 0


def test_a_rate_of_nothing_is_no_limit() -> None:
    off = Buckets(Rate(0.0, 1.0))
    assert [off.take("a", 0.0, 1e9) for _ in range(100)] == [0.0] * 100
    assert Rate(0.0, 1.0).owe(0.0, 0.0, 1e9) == (0.0, 0.0)
    assert len(off) == 0


def test_keys_do_not_share_a_bucket() -> None:
    buckets = Buckets(Rate(1.0, 2.0))
    assert [buckets.take("a", 5.0) for _ in range(3)] == [0.0, 0.0, 1.0]
    assert buckets.take("b", 5.0) == 0.0


@given(st.lists(st.integers(0, 50), max_size=300))
@settings(max_examples=50, deadline=None)
def test_their_number_is_bounded_and_who_asks_often_is_not_forgotten(keys: list[int]) -> None:
    buckets = Buckets(Rate(1e-6, 3.0), most=8)
    for _ in range(3):
        assert buckets.take("often", 1.0) == 0
    for key in keys:
        buckets.take(key, 1.0)
        assert buckets.take("often", 1.0) > 0
        assert len(buckets) <= 8


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("nonsense", "nonsense", True),
    ],
)
def test_a_network_of_one_owner_is_one_address(one: str, other: str, same: bool) -> None:
    assert (address_key(one) == address_key(other)) == same
