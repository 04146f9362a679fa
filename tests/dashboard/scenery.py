"""What there is to look at: runs in several states, a worker, totals, a pipeline that failed."""

from dataclasses import dataclass

from handlers.emissions.service import seed
from tests.dashboard.stage import SAMPLE, Stage, Worker
from tests.handlers.pipelines_bench import Bench

BAD_FILE = b"unit_institutional_id,name\nU-100,Natural gas\n"


@dataclass(frozen=True)
class Scenery:
    """What was made.

    Attributes:
        worker: Still connected.
        failed: A run that failed in its second step, with a warning and an error in its log.
        running: A run whose first step is under way.
    """

    worker: Worker
    failed: str
    running: str


async def furnish(stage: Stage) -> Scenery:
    """Make something of everything that the page shows."""
    await seed(stage.app.gateway.engine.pool, SAMPLE)
    broken = await stage.upload("bad.csv", BAD_FILE, target="data", module=3)
    worker = await stage.worker("hand-1")
    for _ in range(3):
        await (await worker.take()).walk("check", "price", "deliver")
    failed = await worker.take('{"id": 2}')
    await failed.start()
    step = await failed.step("check")
    await failed.log("checking order", 2, step=step)
    await failed.done(step)
    step = await failed.step("price")
    await failed.log("no quantity", level="warn", step=step)
    await failed.log("JobError: order 2 has no quantity", level="error", step=step)
    trouble = {"error_type": "JobError", "error_message": "order 2 has no quantity"}
    await failed.done(step, reason="fail", **trouble)
    await failed.complete(reason="fail", **trouble)
    running = await worker.take()
    await running.start()
    await running.log("still at it", step=await running.step("check"))
    await stage.enqueue()
    await Bench(stage.app).ended(broken)
    return Scenery(worker, failed.id, running.id)
