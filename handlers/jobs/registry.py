"""Every job type that this application knows: the gateway's own, and the domain's."""

from handlers.emissions.registry import register as register_emissions
from handlers.jobs import cron, retention, statistics
from pipelines import Registry


def build_registry() -> Registry:
    """Return a registry of all job types.

    Raises:
        pipelines.registry.HandlerError: A handler does not fit, or a type is registered twice.
    """
    registry = Registry()
    registry.job_handler(cron.JOB_TYPE)(cron.cron_work_order)
    registry.job_handler(retention.JOB_TYPE)(retention.retention_wipe)
    registry.job_handler(statistics.SWEEP)(statistics.run_statistics_sweep)
    registry.job_handler(statistics.JOB_TYPE)(statistics.run_statistics)
    registry.declare_chain(statistics.CHAIN)
    return register_emissions(registry)
