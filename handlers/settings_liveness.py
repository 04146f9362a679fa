"""Settings of who counts as present; part of the settings of a deployment."""

from typing import Annotated

from handlers.settings_fields import field
from handlers.settings_http import HttpSettings

LONGEST_INTERVAL = 5.0


class LivenessSettings(HttpSettings, frozen=True, kw_only=True):
    """When the absence of a worker is believed."""

    worker_gone_after: Annotated[
        float,
        field(
            "CHANNEL_SERVER_WORKER_GONE_AFTER",
            "How long a worker may have no connection to any server before its runs are lost; the"
            " same for all servers of a database.",
            unit="s",
            ge=1,
        ),
    ] = 60.0

    @property
    def heartbeat_interval(self) -> float:
        """Seconds between two heartbeats of a server in the database."""
        return min(LONGEST_INTERVAL, self.worker_gone_after / 6)

    @property
    def heartbeat_gap(self) -> float:
        """Seconds between two heartbeats after which a server has not watched without a gap."""
        return 1.5 * self.heartbeat_interval
