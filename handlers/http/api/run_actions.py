"""``POST /api/runs/<id>/retry`` and ``/cancel``: another attempt, or the end of this one."""

from typing import Literal
from uuid import UUID

import msgspec
from litestar import Response, post
from litestar.params import FromPath

from handlers.gateway import Gateway
from handlers.http.api.access import Asked as Request
from handlers.http.api.access import accept, asker, body_of, gateway_of, scope
from handlers.http.errors import field_problem
from handlers.run_tokens import User
from schema import cancellations, work_orders
from schema.cancellations import Asked
from schema.refused import Refused
from schema.work_orders import Created


class RetryWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where another attempt begins; without either, at the beginning.

    Attributes:
        step_id: At the job of this step, with the input that the step had.
        job_id: The same, with the last step of this job.
    """

    step_id: UUID | None = None
    job_id: UUID | None = None


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """A new run of the same work order."""

    run_id: UUID
    work_order_id: UUID


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a wish to cancel.

    Attributes:
        state: ``cancelled`` when it is over (200); ``cancelling`` when the worker that holds the
            run is asked (202): it is over when the run says so, at the latest after the time of
            grace, by the janitor.
    """

    state: Literal["cancelled", "cancelling"]


@post("/runs/{run_id:uuid}/retry", status_code=201)
async def retry_run(request: Request, run_id: FromPath[UUID]) -> Response[Retried]:
    """Run a finished run's work order once more, from the start or from one of its steps.

    Body: nothing, or a JSON object with ``step_id`` or ``job_id``. 404 when there is no such run
    or step, 409 while the run is not over, 410 when the input was wiped, 422 when the step's input
    is not known. For operators.
    """
    user = asker(request, "operator")
    wish = await body_of(request, RetryWish)
    if wish.step_id is not None and wish.job_id is not None:
        raise field_problem("job_id", "cannot be given together with step_id")
    created = accept(await retry(gateway_of(request), user, run_id, wish))
    body = Retried(run_id=created.run_id, work_order_id=created.work_order_id)
    location = {"Location": f"/api/runs/{created.run_id}"}
    return Response(body, status_code=201, headers=location)


@post("/runs/{run_id:uuid}/cancel", status_code=200)
async def cancel_run(request: Request, run_id: FromPath[UUID]) -> Response[Cancelled]:
    """Cancel a run: at once if no worker has it, else by asking its worker.

    Cancelling again while the worker is asked answers 202 again. 404 when there is no such run,
    409 when it is over. For operators.
    """
    user = asker(request, "operator")
    done = accept(await cancel(gateway_of(request), user, run_id))
    if isinstance(done, Asked):
        return Response(Cancelled(state="cancelling"), status_code=202)
    return Response(Cancelled(state="cancelled"), status_code=200)


async def retry(gateway: Gateway, user: User, run_id: UUID, wish: RetryWish) -> Created | Refused:
    """Make another attempt at what a run was for, as a user; workers are told of it."""
    created = await work_orders.retry(
        gateway.repo,
        run_id,
        user.subject,
        step_id=wish.step_id,
        job_id=wish.job_id,
        projects=scope(user),
    )
    if isinstance(created, Created):
        gateway.queue_changed()  # dashboards are told by the notice that the statement sent
    return created


async def cancel(
    gateway: Gateway, user: User, run_id: UUID
) -> cancellations.Applied | Asked | Refused:
    """Cancel a run as a user; workers and dashboards are told by the notice of the statement."""
    return await cancellations.cancel(gateway.repo, run_id, user.subject, scope(user))
