"""The example of the page on pipelines does what the page says."""

import asyncio
import re
from pathlib import Path
from typing import Any

from pipelines import Engine, NewJob

PAGE = Path(__file__).parents[2] / "docs" / "pipelines.md"


async def test_the_job_type_of_the_page_runs(database_url: str) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 (our own page)
    engine = Engine(database_url, names["registry"])
    await engine.start()
    try:
        async with engine.pool.acquire() as connection:
            await connection.execute(
                "CREATE TABLE words (total int); CREATE TABLE sums (total int);"
                " INSERT INTO sums VALUES (0)"
            )
        changed = asyncio.Event()
        engine.hub.subscribe(lambda _event: changed.set())
        made = await engine.submit(NewJob(job_type="count_words", config={"text": "a b c"}))
        async with asyncio.timeout(30):
            while not (snapshot := await engine.snapshot(made.pipeline_id)).progress.done:  # pyright: ignore[reportOptionalMemberAccess] (it was made)
                await changed.wait()
                changed.clear()
        assert snapshot is not None
        assert [job.status_message for job in snapshot.jobs] == ["3 words", "Success"]
        async with engine.pool.acquire() as connection:
            assert await connection.fetchval("SELECT total FROM sums") == 3
    finally:
        await engine.stop()
