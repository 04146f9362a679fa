"""Watching runs over the dashboard socket of a server; never by asking again and again."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from rich.text import Text

from channel_server.client import (
    Client,
    ClientChannel,
    ClientError,
    ConnectFailed,
    ConnectRefused,
    JoinRefused,
)
from handlers.cli.environment import environ
from handlers.cli.errors import CommandError, unavailable
from handlers.cli.people import who
from handlers.cli.picture import RunPicture
from handlers.config import Settings
from handlers.run_tokens import ALL_TENANTS, UserTokens

TOKEN_LIFETIME: Final = 24 * 3600.0
"""Seconds that the token of one command is good for."""

NOT_READY: Final = 503
OTHER_KEY: Final = "the server must have the same WORKER_SECRET or CHANNEL_SERVER_USER_SECRET"

EVENTS: Final = ("run:updated", "step:started", "step:completed", "logs")
JOINED: Final = "joined"

Tell = Callable[[RunPicture, list[Text]], None]
"""Called with a run and what happened to it, after each event."""


def server_url(settings: Settings, given: str | None = None) -> str:
    """Return the address of the server: as given, as ``CHANNEL_SERVER_URL`` says, or our own."""
    own = f"http://{settings.host}:{settings.port}"
    return (given or environ().get("CHANNEL_SERVER_URL") or own).rstrip("/")


def socket_address(url: str, mount: str) -> str:
    """Return the address of a socket of the server at ``url``."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + mount, "", ""))


@contextlib.asynccontextmanager
async def dashboard(
    settings: Settings, url: str, projects: Sequence[UUID]
) -> AsyncGenerator[Client]:
    """Open the dashboard socket of a server, as somebody who may see ``projects``.

    Raises:
        CommandError: The server does not answer, or refuses us.
    """
    user = UserTokens(settings.user_key())
    address = socket_address(url, "/socket")

    def params() -> dict[str, str]:
        token = user.issue(who(), projects, "viewer", TOKEN_LIFETIME, tenants=[ALL_TENANTS])
        return {"token": token}

    client = Client(address, params=params)
    try:
        await client.connect()
    except ConnectRefused as error:
        raise unavailable(
            f"{address} refused the connection.",
            why=str(error),
            hint=f"see {url}/readyz" if error.status == NOT_READY else OTHER_KEY,
        ) from None
    except ConnectFailed as error:
        raise unavailable(
            f"{address} does not answer.",
            why=str(error),
            hint="start the server (`channel-server serve`), or name it with --url",
        ) from None
    try:
        yield client
    finally:
        await client.close()


async def follow(client: Client, picture: RunPicture, tell: Tell) -> None:
    """Watch one run until it is over.

    After a lost connection everything is fetched again, so that nothing is missed.

    Args:
        client: A connection to the dashboard socket.
        picture: Kept up to date; ``tell`` is called with it.
        tell: What to do with the news.

    Raises:
        CommandError: The server refuses to show the run, or is gone.
    """
    channel = client.channel(f"run:{picture.run_id}")
    news: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
    for event in EVENTS:
        channel.on(event, lambda payload, event=event: news.put_nowait((event, payload)))
    channel.on_join(lambda _response: news.put_nowait((JOINED, None)))
    try:
        await channel.join()
        while not picture.finished:
            event, payload = await news.get()
            if event == JOINED:
                tell(picture, await _refresh(channel, picture))
                continue
            if event == "step:started" and payload["step"]["job_id"] not in picture.jobs:
                picture.learn_jobs((await _fetch(channel, "fetch:run"))["run"])
            tell(picture, picture.apply(event, payload))
        await channel.leave()
    except JoinRefused as error:
        raise CommandError(f"Run {picture.run_id} cannot be watched.", why=str(error)) from None
    except ClientError as error:
        raise unavailable("The server is gone.", why=str(error)) from None


async def _refresh(channel: ClientChannel, picture: RunPicture) -> list[Text]:
    news = picture.load((await _fetch(channel, "fetch:run"))["run"])
    return picture.load_lines((await _fetch(channel, "fetch:logs"))["logs"]) + news


async def _fetch(channel: ClientChannel, event: str) -> dict[str, Any]:
    reply = await channel.push(event, {})
    if not reply.ok:
        raise unavailable("The server cannot show the run now.", why=f"{event}: {reply.response}")
    return reply.response


async def follow_all(client: Client, pictures: Sequence[RunPicture], tell: Tell) -> None:
    """Watch several runs until all are over."""
    async with asyncio.TaskGroup() as group:
        for picture in pictures:
            group.create_task(follow(client, picture, tell))
