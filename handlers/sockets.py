"""The two sockets: `/worker` for workers, `/socket` for dashboards."""

from typing import Any, ClassVar, Final

from channel_server.limits import SocketLimits
from channel_server.socket import ClientClose, ConnectInfo, Refuse, Route, Socket
from handlers.config import Settings
from handlers.gateway import Gateway
from handlers.pipeline_channel import ModuleChannel, PipelineChannel
from handlers.project_viewer import ProjectViewerChannel
from handlers.revocations import USER_TOPIC, WORKER_TOPIC
from handlers.run_tokens import WorkerIdentity
from handlers.run_viewer import RunViewerChannel
from handlers.run_worker import RunWorkerChannel
from handlers.settings_rates import USER_MESSAGE_DEADLINE, WORKER_MESSAGE_DEADLINE, rate
from handlers.worker_queue import WorkerQueueChannel

FORBIDDEN = Refuse(403, "forbidden")

GOODBYE: Final = frozenset({1000, 1001, 1005})
"""Close codes of a client that leaves; 1005 stands for none."""

HEARTBEAT_TIMEOUT: Final = "heartbeat timeout"


class GatewaySocket(Socket):
    """A socket of one gateway; the subclasses made per application know which."""

    gateway: ClassVar[Gateway]


class WorkerSocket(GatewaySocket):
    """A worker, by worker token. Bad tokens are refused at the upgrade, never later."""

    _params: dict[str, Any]

    def connect(self, params: dict[str, Any], info: ConnectInfo) -> Refuse | None:
        """Accept a genuine worker token."""
        worker = self.gateway.worker_tokens.verify(params.get("token"))
        if worker is None:
            return FORBIDDEN
        self.assigns.update(gateway=self.gateway, worker=worker)
        self._params = params
        self.expires_at = worker.expires_at
        return None

    def id(self) -> str | None:
        """A topic per process of a worker; None if its token names none."""
        worker_id = self.assigns["worker"].worker_id
        return None if worker_id is None else f"{WORKER_TOPIC}{worker_id}"

    def may_stay(self) -> bool:
        """Whether the worker would be let in now."""
        return self.gateway.worker_tokens.good(self.assigns["worker"])

    def opened(self) -> None:
        """From now on the worker is present."""
        worker: WorkerIdentity = self.assigns["worker"]
        session = self.gateway.presence.opened(worker.worker_id, self._params)
        self.assigns["session"] = session

    def ended(self, close: ClientClose | None) -> None:
        """The worker is gone, perhaps for a moment only."""
        self.gateway.presence.ended(self.assigns["session"], clean=said_goodbye(close))


class UserSocket(GatewaySocket):
    """A dashboard, by user token in the subprotocol or in the query."""

    def connect(self, params: dict[str, Any], info: ConnectInfo) -> Refuse | None:
        """Accept a genuine user token; the connection ends when the token expires."""
        user = self.gateway.user_tokens.verify(info.auth_token or params.get("token"))
        if user is None:
            return FORBIDDEN
        self.assigns.update(gateway=self.gateway, user=user)
        self.expires_at = user.expires_at
        return None

    def id(self) -> str | None:
        """A topic per user, to disconnect somebody everywhere."""
        return f"{USER_TOPIC}{self.assigns['user'].subject}"

    def may_stay(self) -> bool:
        """Whether the user would be let in now."""
        return self.gateway.user_tokens.good(self.assigns["user"])


def said_goodbye(close: ClientClose | None) -> bool:
    """Whether a worker closed its connection for good.

    Workers close without a code when they shut down. The phoenix client also closes with 1000 when
    its heartbeat was not answered, but says so, and comes back.
    """
    return close is not None and close.code in GOODBYE and close.reason != HEARTBEAT_TIMEOUT


def worker_socket(gateway: Gateway) -> type[WorkerSocket]:
    """The worker socket of this gateway."""
    routes = (Route("worker:queue", WorkerQueueChannel), Route("run:*", RunWorkerChannel))
    limits = worker_limits(gateway.settings)
    parts = {"gateway": gateway, "channels": routes, "limits": limits}
    return type("WorkerSocket", (WorkerSocket,), parts)


def user_socket(gateway: Gateway) -> type[UserSocket]:
    """The dashboard socket of this gateway."""
    routes = (
        Route("run:*", RunViewerChannel),
        Route("project:*", ProjectViewerChannel),
        Route("pipeline:*", PipelineChannel),
        Route("module:*", ModuleChannel),
    )
    parts = {"gateway": gateway, "channels": routes, "limits": user_limits(gateway.settings)}
    return type("UserSocket", (UserSocket,), parts)


def worker_limits(settings: Settings) -> SocketLimits:
    """Limits of the worker socket: large and deep messages, many runs, any `Origin` or none."""
    size = settings.worker_max_frame_bytes
    return SocketLimits(
        max_frame_bytes=size,
        max_send_queue_bytes=2 * size,
        max_fragments=1024,
        message_deadline=WORKER_MESSAGE_DEADLINE,
        json_depth=256,
        max_topics=1000,
        check_origin="any",
        allow_plain=settings.plain == "allow",
        upgrades=rate(settings.rate_upgrades),
        messages=rate(settings.rate_worker_messages),
        message_policy="pause",
        byte_rate=rate(settings.rate_worker_bytes),
    )


def user_limits(settings: Settings) -> SocketLimits:
    """Limits of the dashboard socket."""
    return SocketLimits(
        max_frame_bytes=settings.user_max_frame_bytes,
        message_deadline=USER_MESSAGE_DEADLINE,
        max_send_queue_bytes=settings.user_send_queue_bytes,
        check_origin=settings.check_origin or "same-host",
        auth_token=True,
        allow_plain=settings.plain == "allow",
        upgrades=rate(settings.rate_upgrades),
        messages=rate(settings.rate_user_messages),
        message_policy="refuse",
        byte_rate=rate(settings.rate_user_bytes),
        hosts=tuple(host.lower() for host in settings.hosts),
    )
