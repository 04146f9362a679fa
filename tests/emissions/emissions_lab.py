"""What the tests of the emissions domain do to a database."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

from handlers.emissions.model import MODULES, EntryType
from handlers.emissions.recalc import recalculate
from handlers.emissions.report import Recalculated
from handlers.emissions.service import (
    UnitTotals,
    dispatch_ingest,
    register,
    totals,
)
from pipelines import Engine, EngineSettings, Job, Registry, Snapshot, Submitted
from tests.jobs_lab import JobsLab

SAMPLE = Path(__file__).parents[2] / "examples" / "emissions"
YEAR = 2025
ENERGY, PURCHASE, PROCESS = 3, 5, 8
GAS = MODULES[ENERGY].types[0]

UNITS = "INSERT INTO units (institutional_id, name) VALUES ('U-100', 'Fluids'), ('U-200', 'Glass')"


def settings(**changes: Any) -> EngineSettings:
    """Settings with short windows."""
    given: dict[str, Any] = {
        "pod": "emissions",
        "stale_window": timedelta(seconds=60),
        "poll_interval": timedelta(seconds=30),
        "blocked_delay": timedelta(milliseconds=50),
        "retry_delay": timedelta(0),
        "repair_after": timedelta(0),
    }
    return EngineSettings(**(given | changes))


def content_of(source: str | Path) -> bytes:
    """Bytes of a file, or of text."""
    return source.read_bytes() if isinstance(source, Path) else source.encode()


def job_of(snapshot: Snapshot, job_type: str) -> Job:
    """The only job of a type."""
    (job,) = [each for each in snapshot.jobs if each.job_type == job_type]
    return job


class EmissionsLab(JobsLab):
    """A database, and what is done to it."""

    async def engine(self, *, own_pool: bool = False, **options: Any) -> Engine:
        """A started engine of the domain, stopped after the test."""
        given = options.pop("settings", None) or settings()
        registry = options.pop("registry", None) or register(Registry())
        engine = self.make_engine(registry, given, own_pool=own_pool, **options)
        await engine.start()
        await engine.started()
        return engine

    async def upload(self, engine: Engine, source: str | Path, **values: Any) -> Snapshot:
        """Dispatch a file, or text, and wait for the end of its pipeline."""
        return await self.ended(engine, await self.dispatch(engine, source, **values))

    async def dispatch(self, engine: Engine, source: str | Path, **values: Any) -> Submitted:
        """Dispatch a file, or text."""
        given: dict[str, Any] = {"year": YEAR, **values}
        return await dispatch_ingest(engine, content_of(source), **given)

    async def sample(self, engine: Engine, *names: str) -> None:
        """Upload the sample: factors, then data."""
        modules = {"energy": ENERGY, "process": PROCESS, "purchase": PURCHASE}
        for target in ("factors", "data"):
            for name in names or tuple(modules):
                path = SAMPLE / f"{target}_{name}.csv"
                snapshot = await self.upload(engine, path, target=target, module=modules[name])
                assert snapshot.progress.status == "SUCCESS", snapshot.progress

    async def ended(self, engine: Engine, submitted: Submitted) -> Snapshot:
        """Wait for the end of a pipeline."""
        changed = asyncio.Event()
        unsubscribe = engine.hub.subscribe(
            lambda _event: changed.set(), pipeline_id=submitted.pipeline_id
        )
        try:
            async with asyncio.timeout(60):
                while True:
                    changed.clear()
                    snapshot = await engine.snapshot(submitted.pipeline_id)
                    assert snapshot is not None
                    if snapshot.progress.done:
                        return snapshot
                    await changed.wait()
        finally:
            unsubscribe()

    async def totals(self) -> dict[str, UnitTotals]:
        """Totals by unit."""
        async with self.pool.acquire() as connection:
            return {each.unit: each for each in await totals(connection, YEAR)}

    async def module_total(self, unit: str, module: int) -> Any:
        """Total of one module of one unit."""
        stats = (await self.totals())[unit].modules[str(module)]
        return None if stats is None else stats["total"]

    async def factor(self, kind: str, value: float, subkind: str = "", det: int = 31) -> int:
        """Insert a factor; keys are taken as they are."""
        return await self.value(
            "INSERT INTO factors (data_entry_type_id, emission_type_id, year, classification,"
            " kind_key, subkind_key, value) VALUES ($1, 60201, 2025, $2 || '/' || $3, $2, $3,"
            " $4::float8) RETURNING id",
            *(det, kind, subkind, value),
        )

    async def entry(self, kind: str, quantity: float, data: str = "{}", det: int = 31) -> int:
        """Insert an entry of U-100; keys are taken as they are."""
        module = next(m.id for m in MODULES.values() if m.type_by_id(det))
        await self.pool.execute(
            "INSERT INTO carbon_reports (unit_id, year) SELECT id, 2025 FROM units"
            " WHERE institutional_id = 'U-100' ON CONFLICT DO NOTHING"
        )
        await self.pool.execute(
            "INSERT INTO carbon_report_modules (carbon_report_id, module_type_id)"
            " SELECT id, $1 FROM carbon_reports ON CONFLICT DO NOTHING",
            module,
        )
        return await self.value(
            "INSERT INTO data_entries (carbon_report_module_id, data_entry_type_id, kind_key,"
            " subkind_key, quantity, data, source) SELECT m.id, $1, $2, '', $3::float8, $4::jsonb,"
            " 'USER_MANUAL' FROM carbon_report_modules m JOIN carbon_reports r"
            " ON r.id = m.carbon_report_id JOIN units u ON u.id = r.unit_id"
            " WHERE m.module_type_id = $5 AND u.institutional_id = 'U-100' RETURNING id",
            *(det, kind, quantity, data, module),
        )

    async def recalculated(self, entry_type: EntryType = GAS, module: int = ENERGY) -> Recalculated:
        """Recalculate, as a job would."""
        async with self.pool.acquire() as connection, connection.transaction():
            return await recalculate(connection, module, entry_type, YEAR)

    async def emissions(self) -> list[Any]:
        """All emissions, by entry."""
        return await self.fetch("SELECT * FROM data_entry_emissions ORDER BY data_entry_id, id")
