"""``POST /i/<trigger id>``: a webhook call becomes a work order and its first run.

With ``webhook_reply: before_start`` the caller gets ``{"work_order_id", "run_id"}`` at once; with
``after_completion`` it waits for the run (:mod:`handlers.webhook_replies`).
"""

import asyncio
from typing import Any, Final, cast
from uuid import UUID, uuid4

import msgspec
from litestar import Request, Response, post
from litestar.params import FromPath

from handlers.gateway import Gateway
from handlers.http.backend import backend_of
from handlers.http.errors import Problem, error_response, problem_response, unavailable
from handlers.http.webhook_request import NotJsonError, describe_request, json_body
from handlers.request_rates import wait_for
from handlers.run_context import insist
from handlers.webhook_replies import DrainingError, Outcome, ResponseConfig
from schema import views, webhook_triggers, work_orders
from schema.outcomes import is_final
from schema.refused import Refused
from schema.work_orders import Created, NewWorkOrder

BODY_DEADLINE: Final = 30.0
"""Seconds in which the body of a call must have arrived."""

MOST_WAITING: Final = 1000
"""Callers of one process that may wait for the end of their run; one more gets 429."""


class Accepted(msgspec.Struct, frozen=True):
    """The answer to a call that does not wait."""

    work_order_id: UUID
    run_id: UUID


class _Ids(msgspec.Struct, frozen=True):
    work_order_id: UUID
    run_id: UUID


_THERE_ALREADY: Final = frozenset({"work_orders_pkey", "runs_pkey"})

Answer = Response[Accepted] | Response[Problem] | Response[bytes]


@post("/i/{trigger_id:str}", status_code=200)
async def receive_webhook(
    request: Request[Any, Any, Any],
    trigger_id: FromPath[str],
) -> Answer:
    """Create a work order and a run from a request.

    Answers 200 with the ids, or what the run gives when the caller waits for it; 202 with the ids
    when the server drains while it waits (the run goes on); 403 when the
    trigger or its workflow is disabled, 404 when it is unknown, 408 when the body does not arrive,
    413 when it is too large, 415 when it is no JSON, 429 when too many callers wait or the project
    gets too many calls, 503 while the server drains or the database is away, 504 when the run does
    not end in time (it goes on).
    """
    gateway = backend_of(request).gateway
    if gateway.draining:
        return unavailable("The server is shutting down; try again.", "draining")
    trigger = await _find_trigger(gateway, trigger_id)
    if isinstance(trigger, Refused):
        return _refusal(trigger)
    wait = wait_for(gateway.rates.projects, trigger.project_id)
    if wait:
        return problem_response("rate_limited", retry_after=wait)
    if not trigger.enabled:
        return error_response(403, "This trigger is disabled.", code="disabled")
    try:
        async with asyncio.timeout(BODY_DEADLINE):
            raw = await request.body()
        body = json_body(request.headers.get("content-type"), raw)
    except TimeoutError:
        return error_response(408, "The body did not arrive in time.")
    except NotJsonError as error:
        return error_response(415, f"Not JSON: {error.reason}.")
    new = NewWorkOrder(
        trigger_id=UUID(trigger_id),
        dataclip_type="http_request",
        body=body,
        request=_describe(request),
        run_id=uuid4(),
    )
    if trigger.webhook_reply != "after_completion":
        return _accepted(await _create(gateway, new))
    return await _create_and_wait(gateway, new, trigger.webhook_response_config)


async def _find_trigger(
    gateway: Gateway, trigger_id: str
) -> webhook_triggers.WebhookTrigger | Refused:
    try:
        identifier = UUID(trigger_id)
    except ValueError:
        return webhook_triggers.UNKNOWN
    return await webhook_triggers.find(gateway.repo, identifier)


def _describe(request: Request[Any, Any, Any]) -> str:
    query = cast("list[tuple[str, str]]", request.query_params.multi_items())
    return describe_request(request.method, request.url.path, query, request.headers)


async def _create(gateway: Gateway, new: NewWorkOrder) -> Created | _Ids | Refused:
    uncertain = False

    def retrying(refused: Refused) -> None:
        nonlocal uncertain
        uncertain |= refused.outcome_unknown

    created = await insist(
        lambda: work_orders.create(gateway.repo, new),
        gateway.settings.database_patience,
        retrying,
    )
    if uncertain and isinstance(created, Refused) and created.constraint in _THERE_ALREADY:
        # A try whose answer was lost was committed: its ids are those that were asked for.
        created = _Ids(new.work_order_id, new.run_id)
    if not isinstance(created, Refused):
        gateway.queue_changed()  # dashboards are told by the notice that the statement sent
    return created


async def _create_and_wait(gateway: Gateway, new: NewWorkOrder, config: str | None) -> Answer:
    run_id = str(new.run_id)
    if gateway.webhooks.waiting >= MOST_WAITING:
        return error_response(429, "Too many callers wait for their runs.", retry_after=5.0)
    # Registered before the run exists: it may be claimed and finished before we hear of it.
    gateway.webhooks.expect(run_id, msgspec.json.decode(config or "{}", type=ResponseConfig))
    created = await _create(gateway, new)
    if isinstance(created, Refused):
        gateway.webhooks.forget(run_id)
        return _refusal(created)
    try:
        reply = await gateway.webhooks.wait(
            run_id,
            gateway.settings.webhook_reply_timeout,
            lambda: _stored_outcome(gateway, new.run_id),
        )
    except DrainingError:
        return Response(Accepted(created.work_order_id, created.run_id), status_code=202)
    if reply is None:
        return error_response(504, f"Run {run_id} has not ended in time; it goes on.")
    return Response(reply.body, status_code=reply.status, media_type="application/json")


async def _stored_outcome(gateway: Gateway, run_id: UUID) -> tuple[Outcome, Any] | None:
    """How a run ended, if it did, and the last response that a step asked for."""
    stored = await views.outcome(gateway.repo, run_id)
    if stored is None or isinstance(stored, Refused):
        return None
    run: dict[str, Any] = msgspec.json.decode(stored.payload_json)["run"]
    if not is_final(run["state"]):
        return None
    state, response = stored.final_state, stored.webhook_response
    return (
        Outcome(run, None if state is None else msgspec.Raw(state.encode())),
        None if response is None else msgspec.json.decode(response),
    )


def _accepted(created: Created | _Ids | Refused) -> Answer:
    if isinstance(created, Refused):
        return _refusal(created)
    return Response(Accepted(created.work_order_id, created.run_id), status_code=200)


def _refusal(refused: Refused) -> Response[Problem]:
    if refused.retryable or refused.kind in {"busy", "unavailable"}:
        return unavailable("The database is not available; try again.")
    if refused.kind == "not_found":
        return error_response(404, "There is no such webhook.")
    if refused.code == "disabled":
        return error_response(403, "This trigger is disabled.", code="disabled")
    messages = "; ".join(text for texts in refused.errors.values() for text in texts)
    return error_response(422, messages or "The request was refused.", code=refused.code)
