"""Settings of the HTTP API; part of the settings of a deployment."""

from typing import Annotated

from handlers.settings_fields import field
from handlers.settings_wire import WireSettings


class HttpSettings(WireSettings, frozen=True, kw_only=True):
    """Who may ask from other pages, and how long a worker may take to end what is cancelled."""

    cors_origins: Annotated[
        tuple[str, ...],
        field(
            "CHANNEL_SERVER_CORS_ORIGINS",
            "Origins whose pages may use the HTTP API, as `https://example.org`, with commas"
            " between; empty is none but the server's own page.",
        ),
    ] = ()
    cancel_grace: Annotated[
        float,
        field(
            "CHANNEL_SERVER_CANCEL_GRACE",
            "Time that a worker has to end a run which it was asked to cancel; then the janitor"
            " ends it.",
            unit="s",
            ge=0,
        ),
    ] = 30.0
