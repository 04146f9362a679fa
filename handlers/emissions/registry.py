"""Registers the job types of the domain with the engine's registry."""

import importlib
import pkgutil
from typing import Final

from handlers.emissions import jobs
from handlers.emissions.chaining import EMISSIONS_CHAIN
from pipelines import Registry

JOB_TYPES: Final = frozenset(
    {
        "csv_ingest",
        "api_ingest",
        "factor_ingest",
        "emission_recalc",
        "module_emission_recalc",
        "aggregation",
        "unit_sync",
    }
)
"""What the domain promises to do."""


def register(registry: Registry) -> Registry:
    """Register every job type of :mod:`handlers.emissions.jobs`, and what its pipelines look like.

    Returns:
        ``registry``.

    Raises:
        HandlerError: A type is registered already.
    """
    for found in pkgutil.iter_modules(jobs.__path__, f"{jobs.__name__}."):
        module = importlib.import_module(found.name)
        registry.job_handler(module.JOB_TYPE)(module.run)
    registry.declare_chain(EMISSIONS_CHAIN)
    return registry
