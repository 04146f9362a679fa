"""HTTP callers that wait for a run: `webhook_reply: after_completion`.

The HTTP controller registers the run before anybody can claim it and waits; the run channel hands
in the `webhook_response` of each step and, once the run's end is committed, its outcome. The first
outcome answers the caller; later ones find nobody.

What if it is lost? A caller is a connection of this process: if the process ends, so does the call.
A run that ends through another process is not heard of here: the database is asked every
`LOOK_INTERVAL` seconds. A caller whose run does not end in time is answered 504, and the run is not
touched by that. When the server drains, the caller is answered 202 with the ids of its run, which
goes on with another process; not 503, which invites to call again and so to run twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import msgspec

DEFAULT_STATUS = 201

LOOK_INTERVAL: Final = 2.0
"""Seconds between two looks into the database for a run that may end elsewhere."""

_META = (
    "work_order_id",
    "run_id",
    "state",
    "error_type",
    "inserted_at",
    "started_at",
    "claimed_at",
    "finished_at",
)
_SMALLEST_STATUS, _LARGEST_STATUS = 100, 599


class WebhookReply(msgspec.Struct, frozen=True):
    """What the HTTP caller gets: a status and a JSON text."""

    status: int
    body: bytes


class DrainingError(Exception):
    """The server stops while a caller waits for its run."""


class ResponseConfig(msgspec.Struct, frozen=True):
    """The `webhook_response_config` of a trigger; an absent code means 201."""

    success_code: int | None = None
    error_code: int | None = None


class Outcome(msgspec.Struct, frozen=True):
    """How a run ended, as committed.

    Attributes:
        run: the run as dashboards are told of it; the fields of `meta` are taken from it.
        final_state: JSON text of the final state, if the worker sent one.
    """

    run: dict[str, Any]
    final_state: msgspec.Raw | None = None


Look = Callable[[], Awaitable[tuple[Outcome, Any] | None]]
"""Asks the database for the end of a run: its outcome and the last `webhook_response`."""


class _Waiting(msgspec.Struct):
    config: ResponseConfig
    future: asyncio.Future[WebhookReply]
    response: Any = None


class WebhookReplies:
    """Who waits for which run.

    Attributes:
        look_interval: seconds between two looks into the database.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}
        self.look_interval = LOOK_INTERVAL

    @property
    def waiting(self) -> int:
        """How many callers wait."""
        return len(self._waiting)

    def waits_for(self, run_id: str) -> bool:
        """Whether an HTTP caller waits for this run."""
        return run_id in self._waiting

    def close(self) -> None:
        """Nobody is waited for any more: let everybody go who waits."""
        for waiting in self._waiting.values():
            if not waiting.future.done():
                waiting.future.set_exception(DrainingError())

    def expect(self, run_id: str, config: ResponseConfig) -> None:
        """Register a caller; do it before the run can be claimed, then `wait`."""
        future: asyncio.Future[WebhookReply] = asyncio.get_running_loop().create_future()
        self._waiting[run_id] = _Waiting(config, future)

    async def wait(self, run_id: str, limit: float, look: Look) -> WebhookReply | None:
        """The reply for the caller, or None if the run did not end within `limit` seconds.

        Raises:
            DrainingError: the server stops; the run goes on elsewhere.
        """
        waiting = self._waiting[run_id]
        try:
            async with asyncio.timeout(limit):
                while True:
                    await asyncio.wait({waiting.future}, timeout=self.look_interval)
                    if waiting.future.done():
                        return waiting.future.result()
                    stored = await look()
                    if stored is not None:
                        return build_reply(waiting.config, *stored)
        except TimeoutError:
            return None
        finally:
            self.forget(run_id)

    def forget(self, run_id: str) -> None:
        """Nobody waits any more; the caller hung up or has its answer."""
        self._waiting.pop(run_id, None)

    def step_responded(self, run_id: str, response: Any) -> None:
        """A step sent a `webhook_response`: the last one wins, None clears nothing."""
        waiting = self._waiting.get(run_id)
        if waiting is not None and response is not None:
            waiting.response = response

    def run_ended(self, run_id: str, outcome: Outcome) -> None:
        """The end of a run was committed: answer its caller, once."""
        waiting = self._waiting.get(run_id)
        if waiting is not None and not waiting.future.done():
            waiting.future.set_result(build_reply(waiting.config, outcome, waiting.response))


def build_reply(config: ResponseConfig, outcome: Outcome, response: Any = None) -> WebhookReply:
    """The reply of section 6: defaults, overridden by what a step asked for.

    Args:
        config: codes of the trigger.
        outcome: how the run ended.
        response: the last `webhook_response` of a step, as the worker sent it, or None.
    """
    default_status, default_data = _defaults(config, outcome)
    if response is None:
        status, data = default_status, default_data
    else:
        status, data = _asked_for(response, default_status, default_data)
    run = outcome.run
    meta = {name: run.get("id" if name == "run_id" else name) for name in _META}
    return WebhookReply(status, msgspec.json.encode({"data": data, "meta": meta}))


def _defaults(config: ResponseConfig, outcome: Outcome) -> tuple[int, Any]:
    state = outcome.run.get("state")
    if state == "success":
        return config.success_code or DEFAULT_STATUS, outcome.final_state
    message = f"Run finished with state {state}; its final state is withheld as a security policy."
    return config.error_code or DEFAULT_STATUS, message


def _asked_for(response: Any, default_status: int, default_data: Any) -> tuple[int, Any]:
    if not isinstance(response, dict):
        return default_status, _malformed("it is not an object")
    parts = cast("dict[str, Any]", response)
    status = _status(parts.get("status"), default_status)
    if isinstance(status, str):
        return default_status, _malformed(status)
    body = parts.get("body")
    if body is None:
        return status, default_data
    if not isinstance(body, dict):
        return default_status, _malformed("body is not an object")
    return status, cast("dict[str, Any]", body)


def _status(given: Any, default: int) -> int | str:
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int | float):
        return "status is not a number"
    status = int(given)
    if not _SMALLEST_STATUS <= status <= _LARGEST_STATUS:
        return f"status must be from {_SMALLEST_STATUS} to {_LARGEST_STATUS}"
    return status


def _malformed(why: str) -> str:
    return f"The webhook_response of the workflow was malformed: {why}."
