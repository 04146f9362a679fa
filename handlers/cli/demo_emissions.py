"""The emissions sample of the demo: its files go in as anybody's would, and become totals."""

import asyncio
import itertools
import random
from pathlib import Path
from typing import Any, Final

from channel_server.client import Client
from handlers.application import Application
from handlers.cli.api import Api
from handlers.cli.emissions import print_totals
from handlers.cli.errors import CommandError
from handlers.cli.output import Output
from handlers.cli.pipeline_watch import follow_pipeline
from handlers.emissions.service import MODULES, totals

SAMPLE: Final = Path(__file__).parents[2] / "examples" / "emissions"
YEAR: Final = 2025
PACE: Final = (10.0, 30.0)
"""Seconds between two uploads once the sample is in."""


class DemoEmissions:
    """The sample, in a server that runs.

    Args:
        application: The server.
        client: A connection to its dashboard socket.
        out: Where the totals are printed.
    """

    def __init__(self, application: Application, client: Client, out: Output) -> None:
        self._application = application
        self._api = Api(application.settings, application.endpoint.http_url)
        self._client = client
        self._out = out
        self._pipelines = 0

    async def ingest(self) -> None:
        """Upload units, then all factors, then all data, and wait for the end of each pipeline.

        Raises:
            CommandError: The server refused a file, or a pipeline did not succeed.
        """
        await self._upload("units.csv", {"target": "units"})
        for target in ("factors", "data"):
            async with asyncio.TaskGroup() as group:
                for module in MODULES.values():
                    fields = {"target": target, "module": module.id}
                    group.create_task(self._upload(f"{target}_{module.alias}.csv", fields))

    async def revise(self) -> None:
        """Upload the data of one module after the other, now and then, until it is cancelled."""
        for module in itertools.cycle(MODULES.values()):
            await asyncio.sleep(random.uniform(*PACE))  # noqa: S311 (no secret)
            fields = {"target": "data", "module": module.id}
            await self._upload(f"data_{module.alias}.csv", fields)

    async def show(self) -> None:
        """Print the totals."""
        async with self._application.gateway.engine.pool.acquire() as connection:
            units = await totals(connection, YEAR)
        self._out.note(f"\nemissions of {YEAR}, from {self._pipelines} pipelines (kg CO2e):")
        print_totals(self._out, YEAR, units)

    async def _upload(self, name: str, fields: dict[str, Any]) -> None:
        content = await asyncio.to_thread((SAMPLE / name).read_bytes)
        path = "/api/pipelines/dispatch"
        made = await self._api.upload(path, name, content, {**fields, "year": YEAR})
        wire = await follow_pipeline(self._client, made["pipeline_id"], lambda _wire: None)
        self._pipelines += 1
        if wire["status"] != "SUCCESS":
            raise CommandError(f"{name} was not ingested.", why=str(wire["progress"]["last_error"]))
