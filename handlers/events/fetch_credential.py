"""`fetch:credential`: the body of a credential that a job of the run uses."""

from typing import Any, Final

import msgspec

from channel_server.channel import Reply
from channel_server.log import get_logger
from handlers import wire_errors
from handlers.params import fields_of
from handlers.run_context import RunContext
from handlers.run_tokens import as_uuid
from schema import credentials
from schema.refused import Refused

EVENT = "fetch:credential"

log = get_logger(__name__)

NOT_FOUND: Final = wire_errors.wrap({"id": ["Credential not found!"]}, "not_found")


class _Job(msgspec.Struct):
    credential_id: str | None = None


class _Plan(msgspec.Struct):
    jobs: list[_Job]


async def learn_all(run: RunContext) -> None:
    """Learn the secrets of every credential in the plan, for a run that this process took over.

    More than the run has fetched, perhaps; what cannot be read now is left out.
    """
    plan = msgspec.json.decode(run.plan_json, type=_Plan)
    gateway = run.gateway
    for credential_id in {job.credential_id for job in plan.jobs} - {None}:
        named = as_uuid(credential_id)
        if named is None:
            continue
        try:
            body = await credentials.fetch(gateway.repo, run.owner, named, gateway.cipher)
        except Exception as error:
            # A re-join is never refused, not even for a credential that cannot be decrypted.
            log.warning("credential_unreadable", id=str(named), error=type(error).__name__)
            continue
        if not isinstance(body, Refused):
            run.scrubber.learn(body)


async def handle(run: RunContext, payload: Any) -> Reply:
    """The body; from now on its values are scrubbed from the run's log lines."""
    given = fields_of(payload).get("id")
    if given in (None, ""):
        return wire_errors.blank("id")
    credential_id = as_uuid(given)
    if credential_id is None:
        return NOT_FOUND
    gateway = run.gateway
    body = await run.persist(
        lambda: credentials.fetch(gateway.repo, run.owner, credential_id, gateway.cipher)
    )
    if isinstance(body, Refused):
        return NOT_FOUND if body.errors else wire_errors.refusal(body)
    run.scrubber.learn(body)
    return Reply("ok", body)
