"""W15 and section 14.1: one matcher, at ingest, at recalculation, and for whatever people write."""

import asyncio

from emissions_lab import ENERGY, PROCESS, YEAR, EmissionsLab
from hypothesis import given
from hypothesis import strategies as st

from handlers.emissions.model import MODULES, classification, normalise
from pipelines import JobResult

SPACES = st.text(" \t\u00a0\u2003", min_size=1, max_size=3)


@given(st.text())
def test_normalising_is_idempotent_and_leaves_no_outer_or_double_space(label: str) -> None:
    once = normalise(label)
    assert normalise(once) == once
    assert once == " ".join(once.split())


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), SPACES)
def test_spaces_and_case_make_no_difference(words: list[str], space: str) -> None:
    label = " ".join(words)
    assert normalise(space + space.join(words) + space) == normalise(label)
    assert normalise(label.casefold()) == normalise(label)


def test_classification_is_canonical() -> None:
    assert classification("co2", "") == '{"kind":"co2","subkind":null}'


async def test_w15_what_ingest_matches_recalculation_matches(emissions: EmissionsLab) -> None:
    engine = await emissions.engine()
    await emissions.upload(
        engine,
        "name,ef_kg_co2eq_per_unit\n  NATURAL   Gas ,0.5\nStraße,2\n",
        target="factors",
        module=ENERGY,
    )
    rows = ["natural gas", "Natural\tGas", " NATURAL GAS", "STRASSE", "strasse", "wood\\chips"]
    body = "".join(f"U-100,{name},1\n" for name in rows)
    snapshot = await emissions.upload(
        engine, "unit_institutional_id,name,quantity\n" + body, module=ENERGY
    )
    by_type = {job.job_type: job for job in snapshot.jobs}
    assert by_type["csv_ingest"].meta["unmatched"] == 1
    recalc = by_type["emission_recalc"]
    assert recalc.meta["unmatched"] == 1
    assert recalc.result is JobResult.WARNING
    assert recalc.status_message == (
        "WARNING: 5 emissions of 6 entries, 1 without a factor, first: 'wood\\\\chips'"
    )
    assert recalc.meta["error_details"] == [
        {"kind": "wood\\chips", "subkind": None, "entries": 1, "reason": "no factor"}
    ]
    kg = [float(row["kg_co2eq"]) for row in await emissions.emissions()]
    assert kg == [0.5, 0.5, 0.5, 2, 2]
    assert by_type["aggregation"].result is JobResult.SUCCESS


async def test_exact_subkind_wins_then_the_kind_alone_never_another_year(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    header = "category,subcategory,ef_kg_co2eq_per_unit\n"
    await emissions.upload(
        engine, header + "co2,industrial,1.5\nco2,,2\n", target="factors", module=PROCESS
    )
    await emissions.upload(
        engine, header + "ch4,,100\n", target="factors", module=PROCESS, year=YEAR - 1
    )
    data = "unit_institutional_id,category,subcategory,quantity\n"
    data += "U-100,CO2,Industrial,10\nU-100,co2,domestic,10\nU-100,co2,,10\nU-100,ch4,,10\n"
    await emissions.upload(engine, data, module=PROCESS)
    assert [float(row["kg_co2eq"]) for row in await emissions.emissions()] == [15, 20, 20]


async def test_entry_that_loses_its_factor_loses_its_emission(emissions: EmissionsLab) -> None:
    await emissions.factor("natural gas", 1)
    await emissions.entry("natural gas", 3)
    assert (await emissions.recalculated()).emissions == 1
    await emissions.pool.execute("DELETE FROM data_entry_emissions; DELETE FROM factors")
    done = await emissions.recalculated()
    assert (done.emissions, done.unmatched) == (0, 1)
    assert await emissions.emissions() == []


async def test_recalculations_of_one_module_take_turns(emissions: EmissionsLab) -> None:
    await emissions.factor("natural gas", 1)
    await emissions.entry("natural gas", 3)
    done = await asyncio.gather(*(emissions.recalculated() for _ in range(4)))
    assert [each.emissions for each in done] == [1] * 4
    assert len(await emissions.emissions()) == 1


def test_every_type_has_an_emission_type_in_the_root_of_its_kinds() -> None:
    for module in MODULES.values():
        for each in module.types:
            roots = {number // 10_000 for number in each.emission_types.values()}
            assert roots <= {each.emission_type // 10_000}
            assert all(normalise(kind) == kind for kind in each.emission_types)
