"""One attempt to join a topic: run concurrently with everything else, answered exactly once.

The answer is the first frame that the client sees of the join. Messages for the topic that arrive
before it are kept and routed again after it. The attempt object lives only as long as the join.
"""

import asyncio
from collections.abc import Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any

from channel_server.channel import JoinResult, Reply, ok
from channel_server.channel_services import RUNNING, TERMINATED
from channel_server.errors import BadReturn, describe_event
from channel_server.message import Message
from channel_server.runner import Runner
from channel_server.session import Answer, Membership
from channel_server.tasks import spawn

if TYPE_CHECKING:
    from channel_server.connection import Connection

CRASHED = "join crashed"
TIMED_OUT = "join timeout"
SUPERSEDED = "duplicate join"
DRAINING = "draining"


def surplus(connection: "Connection", message: Message, plain: Answer) -> Answer:
    """Return the answer to a join beyond the limit, in the shape that its channel gives it."""
    route = connection.socket.route(message.topic)
    if route is None:
        return plain
    join_ref = message.ref if message.join_ref is None else message.join_ref
    runner = Runner(connection, Membership(message.topic, message), route, join_ref)
    reply = runner.channel.refused(plain.response["reason"], message.payload)
    return Answer(plain.kind, reply.status, reply.response, keep_join_ref=True)


class JoinAttempt:
    """Joins a topic for a client.

    Args:
        connection: Where the answer goes.
        runner: The new channel.
        message: The join message.
        replaced: The channel of an earlier join that this one ends.
    """

    __slots__ = (
        "_answered",
        "_closes",
        "_connection",
        "_deferred",
        "_full",
        "_message",
        "_replaced",
        "_runner",
        "_started",
        "_task",
        "_timer",
        "_why",
    )

    def __init__(
        self,
        connection: "Connection",
        runner: Runner,
        message: Message,
        replaced: Runner | None,
    ) -> None:
        self._connection = connection
        self._runner = runner
        self._message = message
        self._replaced = replaced
        # An earlier join that was never accepted has been answered; nothing is open to close.
        running = replaced is not None and replaced.state == RUNNING
        self._closes = replaced if running else None
        self._deferred: list[Message] = []
        self._full = False
        self._answered = False
        self._why = ""
        self._started = perf_counter()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, once an earlier channel of the topic has terminated."""
        replaced = self._replaced
        late = self._connection.context.gate.draining
        if late and not self._runner.channel.joins_while_draining:
            self._refuse(self._reply(DRAINING), "draining")
        elif replaced is None or replaced.state == TERMINATED:
            self._run()
        else:
            replaced.successor = self._run
            self._arm()

    def defer(self, message: Message) -> None:
        """Keep a message that arrived before the answer."""
        self._deferred.append(message)
        if not self._full and len(self._deferred) >= self._connection.context.limits.mailbox:
            self._full = True
            self._connection.pause_reading()

    def supersede(self) -> None:
        """The client joined again before this join was answered."""
        self._deferred.clear()
        self._why = "duplicate_join"
        self._answer(self._reply(SUPERSEDED), "error")
        self._runner.replace()
        if self._task is not None:
            grace = self._connection.context.limits.shutdown_grace
            asyncio.get_running_loop().call_later(grace, self._task.cancel)

    def _arm(self) -> None:
        timeout = self._runner.channel.join_timeout
        if timeout is None:
            timeout = self._connection.context.limits.join_timeout
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(timeout, self._timed_out)

    def _run(self) -> None:
        if self._answered:
            # Later: its end begins the next one, and a thousand of them would be a thousand deep.
            asyncio.get_running_loop().call_soon(self._runner.terminated)
            return
        try:
            result = self._runner.channel.join(self._message.payload)
            if isinstance(result, Coroutine):
                self._arm()
                task = spawn(self._await(result))
                if not task.done():
                    self._task = task
                return
            self._settle(result)
        except Exception as failure:
            self._crashed(failure)

    async def _await(self, coroutine: Coroutine[Any, Any, JoinResult]) -> None:
        try:
            self._settle(await coroutine)
        except (Exception, asyncio.CancelledError) as failure:
            self._crashed(failure)

    def _settle(self, result: object) -> None:
        if result is None:
            result = ok()
        if not isinstance(result, Reply) or result.status not in {"ok", "error"}:
            raise BadReturn("result of join", "None, ok(...) or error(...)", type(result))
        if self._answered:
            self._too_late(joined=result.status == "ok")
        elif result.status == "ok":
            self._accept(result)
        else:
            self._connection.context.log.info(
                "join_refused", topic=describe_event(self._runner.topic)
            )
            self._refuse(result, "error")

    def _accept(self, reply: Reply) -> None:
        runner = self._runner
        self._send(reply)
        self._answered = True
        self._connection.session.accepted(runner.membership)
        runner.started()
        self._close_replaced(accepted=True)
        self._count("ok")
        self._connection.context.log.info("channel_joined", topic=describe_event(runner.topic))
        # The runner is still busy: they queue in front of what arrives from now on.
        self._connection.reroute(self._end())
        runner.release()

    def _refuse(self, reply: Reply, result: str) -> None:
        self._answer(reply, result)
        self._runner.terminated()

    def _answer(self, reply: Reply, result: str) -> None:
        """Answer a join that failed; its topic is free afterwards."""
        self._send(reply)
        self._answered = True
        self._close_replaced(accepted=False)
        self._count(result)
        self._connection.join_failed(self._runner)
        self._connection.reroute(self._end())

    def _timed_out(self) -> None:
        self._connection.context.log.warning(
            "join_timeout", topic=describe_event(self._runner.topic)
        )
        self._why = "join_timeout"
        self._runner.mute()
        self._answer(self._reply(TIMED_OUT), "timeout")
        if self._task is not None:
            self._task.cancel()

    def _crashed(self, failure: BaseException) -> None:
        if self._answered and isinstance(failure, asyncio.CancelledError):
            self._too_late(joined=False)
            return
        self._runner.note_crash("join", failure)
        if self._answered:
            self._too_late(joined=False)
        else:
            self._refuse(self._reply(CRASHED), "crash")

    def _too_late(self, *, joined: bool) -> None:
        """The application finished a join that was answered without it."""
        if joined:
            self._runner.terminate(self._why)
        else:
            self._runner.terminated()

    def _reply(self, reason: str) -> Reply:
        return self._runner.channel.refused(reason, self._message.payload)

    def _send(self, reply: Reply) -> None:
        message = self._message
        self._connection.send_reply(
            message.join_ref, message.ref, self._runner.topic, reply.status, reply.response
        )

    def _close_replaced(self, *, accepted: bool) -> None:
        """Tell the client that its earlier join is over, after the answer to this one."""
        if self._closes is not None:
            self._connection.close_replaced(
                self._closes.membership, self._runner.membership if accepted else None
            )
            self._closes = None

    def _count(self, result: str) -> None:
        self._connection.context.metrics.joined(result, perf_counter() - self._started)

    def _end(self) -> list[Message]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._full:
            self._full = False
            self._connection.resume_reading()
        self._runner.attempt = None
        deferred, self._deferred = self._deferred, []
        return deferred
