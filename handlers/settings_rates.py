"""Settings of how often something may happen; part of the settings of a deployment.

Each is a rate per second in the long run. After a quiet time, ten seconds' worth may come at once.
"""

from math import ceil
from typing import Annotated, Final, Literal

from channel_server.rate_limit import Rate
from handlers.settings_fields import field
from handlers.settings_jobs import JobSettings

BURST: Final = 10.0
"""Seconds whose worth may come at once."""


USER_MESSAGE_DEADLINE: Final = 30.0
WORKER_MESSAGE_DEADLINE: Final = 120.0
"""Seconds from the first byte of a message to its last."""


def rate(per_second: float) -> Rate:
    """The rate of a setting; 0 is without limit."""
    return Rate(per_second=per_second, burst=max(1.0, per_second * BURST))


def byte_rate_problems(name: str, per_second: float, largest: int, deadline: float) -> list[str]:
    """What is wrong with a rate of bytes: that the largest message would never arrive in time."""
    least = ceil(largest / (deadline + BURST))
    if not 0 < per_second < least:
        return []
    said = f"{largest} bytes, the largest message, would not arrive within {deadline:g} s"
    return [f"{name}: {said}; give at least {least}, or 0 for no limit."]


class RateSettings(JobSettings, frozen=True, kw_only=True):
    """Rates, connections and names of hosts; 0 switches a limit off."""

    rate_user_messages: Annotated[
        float,
        field(
            "CHANNEL_SERVER_RATE_USER_MESSAGES",
            "Messages of one dashboard connection; more are answered `rate_limited`, ten thousand"
            " more close it with 1008.",
            unit="1/s",
            ge=0,
        ),
    ] = 200.0
    rate_worker_messages: Annotated[
        float,
        field(
            "CHANNEL_SERVER_RATE_WORKER_MESSAGES",
            "Messages of one worker connection; it is read no faster, and nothing is refused.",
            unit="1/s",
            ge=0,
        ),
    ] = 1000.0
    rate_user_bytes: Annotated[
        float,
        field(
            "CHANNEL_SERVER_RATE_USER_BYTES",
            "Bytes of one dashboard connection; it is read no faster, and nothing is refused.",
            unit="B/s",
            ge=0,
        ),
    ] = 64.0 * 1024
    rate_worker_bytes: Annotated[
        float,
        field(
            "CHANNEL_SERVER_RATE_WORKER_BYTES",
            "Bytes of one worker connection; it is read no faster, and nothing is refused.",
            unit="B/s",
            ge=0,
        ),
    ] = 16.0 * 1024 * 1024
    rate_claims: Annotated[
        float,
        field(
            "CHANNEL_SERVER_RATE_CLAIMS",
            "Claims of one worker; more are answered with no runs and `retry_after`.",
            unit="1/s",
            ge=0,
        ),
    ] = 100.0
    rate_upgrades: Annotated[
        float,
        field(
            "CHANNEL_SERVER_RATE_UPGRADES",
            "Requests for a websocket from one address, for each of the two sockets; more are"
            " answered 429.",
            unit="1/s",
            ge=0,
        ),
    ] = 200.0
    rate_http_address: Annotated[
        float,
        field(
            "CHANNEL_SERVER_RATE_HTTP_ADDRESS",
            "HTTP requests of one address, except probes; more are answered 429.",
            unit="1/s",
            ge=0,
        ),
    ] = 500.0
    rate_http_user: Annotated[
        float,
        field(
            "CHANNEL_SERVER_RATE_HTTP_USER",
            "API requests of one user; more are answered 429.",
            unit="1/s",
            ge=0,
        ),
    ] = 50.0
    rate_webhooks: Annotated[
        float,
        field(
            "CHANNEL_SERVER_RATE_WEBHOOKS",
            "Webhook calls of one project; more are answered 429.",
            unit="1/s",
            ge=0,
        ),
    ] = 200.0
    http_connections: Annotated[
        int,
        field(
            "CHANNEL_SERVER_HTTP_CONNECTIONS",
            "Connections of one address that speak HTTP; one more is answered 429.",
            ge=0,
        ),
    ] = 1000
    hosts: Annotated[
        tuple[str, ...],
        field(
            "CHANNEL_SERVER_HOSTS",
            "Names that dashboards use for this server, with commas between; a websocket for"
            " another name is refused. Empty believes the `Host` header.",
        ),
    ] = ()
    metrics_access: Annotated[
        Literal["loopback", "open"],
        field(
            "CHANNEL_SERVER_METRICS_ACCESS",
            "Who may read `/metrics`: `loopback`, processes of this machine that no proxy speaks"
            " for; `open`, everybody. Who has `CHANNEL_SERVER_METRICS_TOKEN` always may.",
        ),
    ] = "loopback"
    metrics_token: Annotated[
        str,
        field(
            "CHANNEL_SERVER_METRICS_TOKEN",
            "What a collector of metrics sends as `Authorization: Bearer`.",
            secret=True,
        ),
    ] = ""
