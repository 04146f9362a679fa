"""``api_ingest``: what a configured provider answers becomes data entries."""

from datetime import timedelta
from typing import Any, Final

from handlers.emissions.ingest_job import write_entries
from handlers.emissions.inputs import store_input
from handlers.emissions.provider import SERVICE, Provider, ProviderUnavailableError, pull
from handlers.emissions.scope import job_scope
from handlers.emissions.sheets import InputError, read_json
from pipelines import Job, JobContext, Outcome, RetryJob, Transaction

JOB_TYPE: Final = "api_ingest"

_RETRY: Final = timedelta(seconds=10)


async def run(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
    """Pull from the provider that ``provider_name`` in the config names, and write its entries.

    The answer is kept beside the uploaded files; its hash is in the metadata. A provider that is
    out of reach is asked again, as long as the job has attempts.
    """
    scope = job_scope(job)
    provider = _provider(job, context)
    try:
        content = await pull(provider, scope.year)
    except ProviderUnavailableError as error:
        raise RetryJob(str(error), _RETRY) from error
    connection = await transaction.connection()
    name = str(job.config.get("provider_name"))
    digest = await store_input(connection, f"{name}.json", content)
    written = await write_entries(
        connection, job, scope, context, "API", lambda: read_json(content)
    )
    written.details["input"] = digest
    return written.outcome()


def _provider(job: Job, context: JobContext) -> Provider:
    name: Any = job.config.get("provider_name")
    provider = context.services.get(SERVICE, {}).get(name)
    if provider is None:
        raise InputError(f"no provider {name!r} is configured")
    return provider
