"""Emissions: 100 000 rows ingested, recalculated and summed up, with workers on runs beside it."""

import asyncio
import contextlib
import io
import os
import random
import signal
import tempfile
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from benchmarks import runs
from benchmarks.emissions_server import LAG_FILE
from benchmarks.report import Figures
from handlers.emissions.factors import FactorIngest, ingest_factors
from handlers.emissions.inputs import store_input
from handlers.emissions.model import MODULES
from handlers.emissions.sheets import read_csv
from handlers.emissions.units import sync_units
from pipelines import JobState, NewJob, open_pool
from pipelines.storage import jobs
from pipelines.storage.connection import Pool

ROWS: Final = 100_000
UNITS: Final = 500
YEAR: Final = 2025
WORKERS: Final = 4

_MODULE: Final = MODULES[3]
_FACTORS: Final = b"name,ef_kg_co2eq_per_unit\nNatural gas,0.24\nHeating oil,0.32\n"
_TIMEOUT: Final = 120.0


class Stage:
    """A gateway that also runs jobs, and an input of the given size in its database.

    Args:
        gateway: The gateway, to let workers walk runs.
        lag_file: Where the server says how long its loop was blocked.
    """

    def __init__(self, gateway: runs.Stage, lag_file: Path) -> None:
        self._gateway = gateway
        self._lag_file = lag_file
        self._digest = asyncio.run(self._prepare())

    def ingest(self, seconds: float) -> Figures:
        """Ingest once, with workers beside it for some seconds."""
        with ThreadPoolExecutor(1) as pool:
            self._lag()
            taken: list[Future[float]] = []

            def begin() -> None:
                taken.append(pool.submit(asyncio.run, self._pipeline()))

            walked = self._gateway.walk(WORKERS, 0, seconds, begin=begin)
            elapsed = taken[0].result()
        return Figures(
            rate=ROWS / elapsed,
            p50_ms=walked.p50_ms,
            p99_ms=walked.p99_ms,
            kib=self._gateway.server.peak() / 1024,
            lag_ms=self._lag(),
        )

    async def _prepare(self) -> str:
        pool = await open_pool(self._gateway.dsn, concurrency=1)
        try:
            async with pool.acquire() as connection, connection.transaction():
                await sync_units(connection, lambda: read_csv(_units()), YEAR)
                await ingest_factors(
                    connection,
                    FactorIngest(
                        read=lambda: read_csv(_FACTORS),
                        module_type_id=_MODULE.id,
                        types=_MODULE.types,
                        year=YEAR,
                    ),
                )
                return await store_input(connection, "data.csv", _rows())
        finally:
            await pool.close()

    async def _pipeline(self) -> float:
        """Submit a pipeline, wait for its end, and return the seconds that it took."""
        pool = await open_pool(self._gateway.dsn, concurrency=1)
        try:
            began = time.perf_counter()
            new = NewJob(
                job_type="csv_ingest",
                config={"input": self._digest},
                module_type_id=_MODULE.id,
                year=YEAR,
            )
            async with pool.acquire() as connection:
                submitted = await jobs.submit(connection, new)
            async with asyncio.timeout(_TIMEOUT):
                while not await self._over(pool, submitted):  # noqa: ASYNC110 (another process)
                    await asyncio.sleep(0.02)
            return time.perf_counter() - began
        finally:
            await pool.close()

    async def _over(self, pool: Pool, submitted: jobs.Submitted) -> bool:
        async with pool.acquire() as connection:
            found = await jobs.jobs_of(connection, submitted.pipeline_id)
        failed = [job for job in found if job.failed]
        if failed:
            raise RuntimeError(f"{failed[0].job_type}: {failed[0].status_message}")
        return len(found) == 3 and all(job.state is JobState.FINISHED for job in found)

    def _lag(self) -> float:
        self._lag_file.unlink(missing_ok=True)
        os.kill(self._gateway.server.pid, signal.SIGUSR1)
        deadline = time.monotonic() + _TIMEOUT
        while not self._lag_file.exists():
            if time.monotonic() > deadline:
                raise RuntimeError("the server does not answer")
            time.sleep(0.01)
        return float(self._lag_file.read_text())


@contextlib.contextmanager
def stage() -> Generator[Stage]:
    """A database, and a server that runs jobs and serves workers, while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        lag_file = Path(folder) / "lag"
        with runs.gateway("benchmarks.emissions_server", {LAG_FILE: str(lag_file)}) as gateway:
            yield Stage(gateway, lag_file)


def _units() -> bytes:
    lines = [f"U-{number},Unit {number}" for number in range(UNITS)]
    return "\n".join(["institutional_id,name", *lines]).encode()


def _rows() -> bytes:
    rng = random.Random(1)
    out = io.StringIO()
    out.write("unit_institutional_id,name,unit,quantity,note,kg_co2eq\n")
    names = ("Natural gas", "Heating oil", "natural  gas")
    for number in range(ROWS):
        override = "" if number % 50 else "12.5"
        amount = rng.randrange(100_000) / 100
        unit = rng.randrange(UNITS)
        out.write(f"U-{unit},{rng.choice(names)},kWh,{amount},line {number},{override}\n")
    return out.getvalue().encode()
