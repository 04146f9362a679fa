"""When no connection is to be had, every function says so and nothing is raised."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

from schema import (
    cancellations,
    credentials,
    dataclips,
    janitor,
    log_lines,
    plans,
    projects,
    queue,
    refusals,
    runs,
    steps,
    views,
    work_orders,
)
from schema.changeset import Changeset
from schema.log_lines import Batch, LogLine
from schema.outcomes import Owner
from schema.reading import run_list
from schema.reading.run_list import RunFilter
from schema.refused import Refused
from schema.repo import Repo
from schema.work_orders import NewWorkOrder
from tests.schema.world import CIPHER, project

OWNER = Owner(uuid4(), uuid4())
STEP = Changeset({"step_id": uuid4(), "job_id": uuid4(), "exit_reason": "success"})
MARK = b"m" * 16
LINE = LogLine("hello", datetime(2026, 11, 21, tzinfo=UTC))

CALLS: list[Callable[[Repo], Awaitable[object]]] = [
    lambda repo: runs.start(repo, OWNER, Changeset({}), MARK),
    lambda repo: runs.complete(repo, OWNER, Changeset({"state": "success"}), MARK),
    lambda repo: runs.cancel(repo, OWNER.run_id),
    lambda repo: steps.start(repo, OWNER, STEP, MARK),
    lambda repo: steps.complete(repo, OWNER, STEP, MARK),
    lambda repo: refusals.explain_start(repo, OWNER, MARK),
    lambda repo: refusals.explain_complete(repo, OWNER, "success", MARK, "accept"),
    lambda repo: refusals.explain_step(repo, OWNER, uuid4(), MARK, completing=True, late="accept"),
    lambda repo: log_lines.insert(repo, OWNER, [LINE]),
    lambda repo: plans.join(repo, OWNER),
    lambda repo: dataclips.fetch_input(repo, OWNER),
    lambda repo: credentials.fetch(repo, OWNER, uuid4(), CIPHER),
    lambda repo: queue.claim(repo, 1),
    lambda repo: queue.release(repo, OWNER),
    queue.release_unheard,
    janitor.mark_lost,
    janitor.close_orphan_steps,
    lambda repo: work_orders.create(repo, NewWorkOrder(job_id=uuid4())),
    lambda repo: work_orders.retry(repo, uuid4()),
    lambda repo: projects.provision(repo, project(), CIPHER),
    lambda repo: views.run(repo, uuid4()),
    lambda repo: views.logs(repo, uuid4()),
    lambda repo: views.project_of(repo, uuid4()),
    lambda repo: views.outcome(repo, uuid4()),
    lambda repo: run_list.page(repo, RunFilter()),
    lambda repo: run_list.counts(repo, RunFilter()),
    lambda repo: cancellations.cancel(repo, OWNER.run_id),
    views.workflows,
]


async def test_without_a_connection_every_statement_is_refused_as_retryable(
    database_url: str,
) -> None:
    repo = await Repo.connect(database_url, min_size=1, max_size=1, acquire_timeout=0.01)
    async with repo.transaction():
        for call in CALLS:
            result = await call(repo)
            assert isinstance(result, Refused), result
            assert (result.kind, result.retryable) == ("busy", True)
        batches = [Batch(Owner(uuid4(), uuid4()), [LINE]) for _ in range(2)]
        for result in await log_lines.insert_many_runs(repo, batches):
            assert isinstance(result, Refused)
            assert result.kind == "busy"
    await repo.close()
