"""Totals over HTTP: of a year, per unit, module and scope."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from handlers.application import Application
from handlers.emissions.service import seed
from tests.handlers.bench import settings
from tests.handlers.pipelines_bench import QUIET, SAMPLE, Bench

TOTALS = "/api/emissions/totals?year=2025"


@pytest.fixture
async def sample(database_url: str) -> AsyncIterator[Bench]:
    """An application with the totals of the sample."""
    app = await Application(settings(database_url, **QUIET, pipelines="off")).start()
    await seed(app.gateway.engine.pool, SAMPLE)
    yield Bench(app)
    await app.stop(drain=False)


async def ask(sample: Bench, path: str = TOTALS, **who: Any) -> Any:
    async with sample.http(**{"role": "viewer", **who}) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_totals_are_those_of_the_sample_per_unit_module_and_scope(sample: Bench) -> None:
    body = await ask(sample)
    assert (body["year"], body["years"]) == (2025, [2025])
    assert [(each["id"], each["alias"]) for each in body["modules"]] == [
        (3, "energy"),
        (5, "purchase"),
        (8, "process"),
    ]
    purchase = ["category", "purchase_institutional_code"]
    assert body["modules"][1]["factor_columns"] == [*purchase, "ef_kg_co2eq_per_currency"]
    unit, amount = "unit_institutional_id", "total_spent_amount"
    assert body["modules"][1]["data_columns"] == [unit, *purchase, amount]
    first, second = body["units"]
    scopes = {name: first["report"][name] for name in ("scope1", "scope2", "scope3", "total")}
    assert scopes == {"scope1": 625, "scope2": 0, "scope3": 350, "total": 975}
    by_module = {module: stats["total"] for module, stats in first["modules"].items()}
    assert by_module == {"3": 400, "5": 350, "8": 225}
    assert (second["unit"], second["report"]["total"]) == ("U-200", 179.5)


async def test_units_and_years_of_other_tenants_are_left_out(sample: Bench) -> None:
    assert [each["unit"] for each in (await ask(sample, tenants=("U-200",)))["units"]] == ["U-200"]
    nobodys = await ask(sample, tenants=())
    assert (nobodys["units"], nobodys["years"]) == ([], [])


async def test_a_year_without_reports_has_no_units(sample: Bench) -> None:
    body = await ask(sample, "/api/emissions/totals?year=1999")
    assert (body["units"], body["years"]) == ([], [2025])


@pytest.mark.parametrize(
    ("path", "who", "status"),
    [
        (TOTALS, {"tenants": None}, 403),
        ("/api/emissions/totals?year=10000", {}, 422),
        ("/api/emissions/totals?year=-1", {}, 422),
        ("/api/emissions/totals?year=x", {}, 400),
        ("/api/emissions/totals", {}, 400),
    ],
)
async def test_what_is_refused(sample: Bench, path: str, who: dict[str, Any], status: int) -> None:
    async with sample.http(**{"role": "viewer", **who}) as client:
        assert (await client.get(path)).status_code == status


async def test_without_a_token_there_is_nothing_to_see(sample: Bench) -> None:
    async with sample.http() as client:
        del client.headers["Authorization"]
        assert (await client.get(TOTALS)).status_code == 401
