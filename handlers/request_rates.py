"""How often workers, users, projects and addresses may ask, counted by this process.

Each process of a deployment counts by itself, so several together let through as many times more.
"""

from collections.abc import Hashable
from time import monotonic

from channel_server.rate_limit import Buckets
from handlers.config import Settings
from handlers.settings_rates import rate


class RequestRates:
    """The buckets of one application.

    Args:
        settings: the rates.

    Attributes:
        claims: by worker.
        addresses: HTTP requests by address.
        users: API requests by subject.
        projects: webhook calls by project.
    """

    def __init__(self, settings: Settings) -> None:
        self.claims = Buckets(rate(settings.rate_claims))
        self.addresses = Buckets(rate(settings.rate_http_address))
        self.users = Buckets(rate(settings.rate_http_user))
        self.projects = Buckets(rate(settings.rate_webhooks))


def wait_for(buckets: Buckets, key: Hashable) -> float:
    """Take one from the bucket of a key; the seconds to wait, 0 if it was taken."""
    return buckets.take(key, monotonic())
