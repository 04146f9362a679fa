"""Links that open the dashboard, signed in."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from handlers.cli.people import who
from handlers.config import Settings
from handlers.run_tokens import ALL_TENANTS, Role, UserTokens

LIFETIME: Final = 24 * 3600.0
"""Seconds that a link is good for."""


def page_link(settings: Settings, url: str, projects: Sequence[UUID], role: Role = "viewer") -> str:
    """Return a link that signs in.

    The token is in the fragment, which browsers keep to themselves: it is in no request line, no
    log and no referrer.

    Args:
        settings: Whose key signs the token.
        url: Of the server.
        projects: That may be seen; pipelines of all tenants may be, too.
        role: What may be done.
    """
    tokens = UserTokens(settings.user_key())
    return f"{url}/#token={tokens.issue(who(), projects, role, LIFETIME, tenants=[ALL_TENANTS])}"
