"""What ``dev --demo`` adds: a project, a worker, two runs, live; the emissions sample; a page."""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from channel_server.client import Client
from handlers.application import Application
from handlers.cli.dashboard import dashboard, follow
from handlers.cli.database import accept
from handlers.cli.demo_emissions import DemoEmissions
from handlers.cli.demo_hints import hints, welcome
from handlers.cli.demo_trickle import Trickle
from handlers.cli.demo_view import DemoView
from handlers.cli.demo_worker import DemoWorker
from handlers.cli.dev_folder import DevFolder
from handlers.cli.errors import usage
from handlers.cli.output import Output
from handlers.cli.page_link import page_link
from handlers.cli.picture import RunPicture
from handlers.cli.posting import post_json
from handlers.provision import provision_file
from schema.projects import Provisioned

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
PROJECT: Final = EXAMPLES / "demo-project.yaml"
WORKER: Final = EXAMPLES / "worker.py"

ORDERS: Final = (
    ("an order that is delivered", {"id": 1, "quantity": 3}),
    ("an order without a quantity", {"id": 2}),
)
"""What the two runs are started with, and what to call them."""


class Demo:
    """The demo, in a server that runs.

    Args:
        folder: Where its files are.
        application: The server.
        out: Where to write.
        began: When the command was started, monotonic.
    """

    def __init__(
        self, folder: DevFolder, application: Application, out: Output, began: float
    ) -> None:
        self._folder = folder
        self._application = application
        self._out = out
        self._began = began
        self._titles: dict[str, str] = {}
        self._watching: set[asyncio.Future[Any]] = set()
        self._created = False
        self._trickle: Trickle | None = None
        self._view = DemoView(out)

    @property
    def _url(self) -> str:
        return self._application.endpoint.http_url

    async def run(self, stopped: asyncio.Event, *, worker: bool) -> None:
        """Show two runs, then every further one, until ``stopped``."""
        project = await self._provision()
        child = DemoWorker(self._folder, self._application.endpoint, WORKER)
        if worker:
            await child.start()
        try:
            async with dashboard(self._application.settings, self._url, [project.id]) as client:
                await self._show(client, project, child, stopped)
                await stopped.wait()
        finally:
            self._view.end()
            watching = list(self._watching)
            for run in watching:
                run.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await child.stop()

    async def _provision(self) -> Provisioned:
        if not PROJECT.exists():
            raise usage(
                "The demo needs the folder examples/ of a checkout.",
                why=f"{PROJECT} does not exist.",
                hint="run `make demo` in a clone, or leave out --demo",
            )
        application = self._application
        answer = await provision_file(application.repo, application.settings, PROJECT)
        return accept(answer, f"{PROJECT} was not stored.")

    async def _show(
        self, client: Client, project: Provisioned, child: DemoWorker, stopped: asyncio.Event
    ) -> None:
        await self._watch_project(client, project.id)
        webhook = f"{self._url}/i/{project.workflows[0].triggers['webhook']}"
        self._out.say(welcome(page_link(self._application.settings, self._url, [project.id])))
        emissions = DemoEmissions(self._application, client, self._out)
        ingested = self._watch(emissions.ingest())
        pictures = await self._create(webhook)
        if child.running:
            self._trickle = Trickle(webhook)
            self._watch(self._flow(self._trickle, child))
            self._view.begin()
        shown = self._watch(*(self._to_the_end(client, picture) for picture in pictures))
        if child.running:
            await _first(shown, asyncio.ensure_future(child.wait()), stopped)
            self._view.end()
            if not child.running and not stopped.is_set():
                self._out.note(f"the worker has ended; its log is {child.log}")
        if shown.done():
            shown.result()
        await _first(ingested, stopped)
        if ingested.done() and ingested.exception() is None:
            await emissions.show()
            if child.running:
                self._watch(emissions.revise())
        if not stopped.is_set():
            self._out.say(hints(self._folder, self._application.endpoint, webhook, shown.done()))

    async def _create(self, webhook: str) -> list[RunPicture]:
        """Create the two runs as any caller would."""
        made: list[RunPicture] = []
        for title, order in ORDERS:
            answer = await post_json(webhook, order)
            made.append(self._picture(str(answer["run_id"]), title))
        self._created = True
        return made

    def _picture(self, run_id: str, title: str) -> RunPicture:
        picture = RunPicture(run_id)
        self._titles[run_id] = title
        self._view.add(picture, title)
        return picture

    async def _to_the_end(self, client: Client, picture: RunPicture) -> None:
        await follow(client, picture, self._view.tell)
        if self._view.live:
            seconds = time.monotonic() - self._began
            self._view.ended(picture, f"{picture.state}, {seconds:.1f} s after the start")

    async def _flow(self, trickle: Trickle, child: DemoWorker) -> None:
        """Keep the worker busy while it lives."""
        tasks = [asyncio.create_task(trickle.flow()), asyncio.create_task(child.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _another(self, client: Client, run_id: str) -> None:
        # The terminal is for what somebody at it does; the trickle is to be seen on the page.
        if self._trickle is None or not await self._trickle.made(run_id):
            await self._to_the_end(client, self._picture(run_id, "another run"))

    async def _watch_project(self, client: Client, project: UUID) -> None:
        """Also show the runs that somebody else creates, from now on."""
        channel = client.channel(f"project:{project}")

        def created(payload: Any) -> None:
            run_id = str(payload["run"]["id"])
            # Those of the demo itself are known, or will be once their answer is here.
            if self._created and run_id not in self._titles:
                self._watch(self._another(client, run_id))

        channel.on("run:created", created)
        await channel.join()

    def _watch(self, *runs: Coroutine[Any, Any, None]) -> asyncio.Future[Any]:
        watching = asyncio.gather(*runs)
        self._watching.add(watching)
        watching.add_done_callback(self._forget)
        return watching

    def _forget(self, watching: asyncio.Future[Any]) -> None:
        self._watching.discard(watching)
        error = None if watching.cancelled() else watching.exception()
        # A gathering that is cancelled has the cancellation as its exception.
        if error is not None and not isinstance(error, asyncio.CancelledError):
            self._out.note(f"something is no longer watched: {error}")


async def _first(*events: asyncio.Future[Any] | asyncio.Event) -> None:
    """Wait until one of them happens; futures go on."""
    waits = [
        asyncio.ensure_future(event.wait()) if isinstance(event, asyncio.Event) else event
        for event in events
    ]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait, event in zip(waits, events, strict=True):
        if wait is not event:
            wait.cancel()
