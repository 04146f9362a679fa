"""Settings of the feeds that dashboards follow; part of the settings of a deployment."""

from typing import Annotated

import msgspec

from handlers.settings_fields import field


class FeedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How dashboards are told of runs, and how long they may resume."""

    feed_sweep_interval: Annotated[
        float,
        field(
            "CHANNEL_SERVER_FEED_SWEEP_INTERVAL",
            "How often the runs and projects that somebody watches are compared with the database:"
            " what a lost notice costs at most.",
            unit="s",
            gt=0,
            le=60,
        ),
    ] = 1.0
    event_retention: Annotated[
        float,
        field(
            "CHANNEL_SERVER_EVENT_RETENTION",
            "How long after the end of a run its events are kept for dashboards that resume; 0"
            " keeps them for ever. Logs, steps and the run itself are not touched.",
            unit="s",
            ge=0,
        ),
    ] = 30 * 86_400.0
    streams_per_user: Annotated[
        int,
        field(
            "CHANNEL_SERVER_STREAMS_PER_USER",
            "Event streams of runs and projects that one user has open in one process; one more is"
            " answered 429.",
            ge=1,
        ),
    ] = 20
