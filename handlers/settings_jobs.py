"""Settings of the job engine and of what shows its work; part of the settings of a deployment."""

from typing import Annotated, Literal

from handlers.settings_feeds import FeedSettings
from handlers.settings_fields import field


class JobSettings(FeedSettings, frozen=True, kw_only=True):
    """How this process runs durable jobs, takes their inputs, and streams their progress."""

    pipelines: Annotated[
        Literal["on", "off"],
        field(
            "CHANNEL_SERVER_PIPELINES",
            "`off`: this process takes and shows jobs, and leaves running them to others.",
        ),
    ] = "on"
    pipelines_concurrency: Annotated[
        int, field("CHANNEL_SERVER_PIPELINES_CONCURRENCY", "Jobs that run at once.", ge=1, le=1000)
    ] = 4
    pipelines_stale_window: Annotated[
        float,
        field(
            "CHANNEL_SERVER_PIPELINES_STALE_WINDOW",
            "A running job whose owner gave no sign for this long is taken over; the same for all"
            " processes of a database.",
            unit="s",
            gt=0,
        ),
    ] = 3600.0
    pipelines_poll_interval: Annotated[
        float,
        field(
            "CHANNEL_SERVER_PIPELINES_POLL_INTERVAL",
            "How often the queue of jobs is looked at when no notification comes.",
            unit="s",
            gt=0,
        ),
    ] = 2.0
    pipelines_inputs: Annotated[
        str,
        field(
            "CHANNEL_SERVER_PIPELINES_INPUTS",
            "Folder whose files may be dispatched by their path; empty allows uploads only.",
        ),
    ] = ""
    pipelines_max_upload_bytes: Annotated[
        int,
        field(
            "CHANNEL_SERVER_PIPELINES_MAX_UPLOAD_BYTES",
            "Largest upload; a larger one is answered 413.",
            unit="bytes",
            ge=1024,
        ),
    ] = 64 * 1024 * 1024
    pipelines_providers: Annotated[
        str,
        field(
            "CHANNEL_SERVER_PIPELINES_PROVIDERS",
            'Where `api_ingest` may pull from, as JSON: `{"name": {"url": "https://…",'
            ' "headers": {}}}`; requests name a provider and never an address.',
            secret=True,
        ),
    ] = ""
    stream_interval: Annotated[
        float,
        field(
            "CHANNEL_SERVER_STREAM_INTERVAL",
            "How often an event stream looks by itself when it is told nothing.",
            unit="s",
            gt=0,
        ),
    ] = 2.0
    stream_ping: Annotated[
        float,
        field(
            "CHANNEL_SERVER_STREAM_PING",
            "Silence after which an event stream sends a ping.",
            unit="s",
            gt=0,
        ),
    ] = 15.0
    stream_lifetime: Annotated[
        float,
        field(
            "CHANNEL_SERVER_STREAM_LIFETIME",
            "Longest life of an event stream; browsers come back by themselves.",
            unit="s",
            gt=0,
        ),
    ] = 900.0
    run_statistics_cron: Annotated[
        str,
        field(
            "CHANNEL_SERVER_RUN_STATISTICS_CRON",
            "When statistics of runs are brought up to date (UTC); empty is never.",
        ),
    ] = "* * * * *"
    retention_cron: Annotated[
        str,
        field(
            "CHANNEL_SERVER_RETENTION_CRON",
            "When dataclips are wiped as their projects ask for it (UTC); empty is never.",
        ),
    ] = "*/5 * * * *"
