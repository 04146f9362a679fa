"""Enumerations of the job engine.

Value and name are the same, and are what goes on the wire and into the database: never a number.
"""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is. Nothing leaves ``FINISHED``; ``QUEUED`` is accepted and never written."""

    NOT_STARTED = "NOT_STARTED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"


class JobResult(StrEnum):
    """How a finished job ended; null before."""

    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    ERROR = "ERROR"


class PipelineStatus(StrEnum):
    """How a pipeline stands, derived from its jobs.

    ``FAILED``: the root ended with an error. ``PARTIAL``: something after it did.
    """

    NOT_STARTED = "NOT_STARTED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"


class TargetType(StrEnum):
    """What a job writes."""

    DATA_ENTRIES = "DATA_ENTRIES"
    FACTORS = "FACTORS"
    REDUCTION_OBJECTIVES = "REDUCTION_OBJECTIVES"
    REFERENCE_DATA = "REFERENCE_DATA"


class IngestionMethod(StrEnum):
    """Where the input of a job comes from."""

    api = "api"
    csv = "csv"
    manual = "manual"
    computed = "computed"


class EntityType(StrEnum):
    """What kind of scope a job has."""

    MODULE_PER_YEAR = "MODULE_PER_YEAR"
    MODULE_UNIT_SPECIFIC = "MODULE_UNIT_SPECIFIC"
    GLOBAL_PER_YEAR = "GLOBAL_PER_YEAR"


class UserProvider(StrEnum):
    """Which directory the requesting user comes from; for the audit."""

    ACCRED = "ACCRED"
    DEFAULT = "DEFAULT"
    TEST = "TEST"


ACTIVE_STATES = frozenset({JobState.NOT_STARTED, JobState.QUEUED, JobState.RUNNING})
"""A job in one of these is not over."""

PENDING_STATES = frozenset({JobState.NOT_STARTED, JobState.QUEUED})
"""A job in one of these waits to be claimed."""
