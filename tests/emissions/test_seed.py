"""Unit 5: a seed leaves emissions and totals behind, without a job."""

import shutil
from pathlib import Path

import pytest
from emissions_lab import SAMPLE, EmissionsLab

from handlers.emissions.service import InputError, seed


async def test_u5_seed_leaves_the_totals_that_the_pipelines_leave(emissions: EmissionsLab) -> None:
    report = await seed(emissions.pool, SAMPLE)
    assert (report.year, report.total) == (2025, 1154.5)
    assert report.files["data_energy.csv"] == "5 entries inserted"
    units = await emissions.totals()
    assert [(units[unit].report or {})["total"] for unit in ("U-100", "U-200")] == [975, 179.5]
    assert (units["U-200"].modules["5"] or {})["total"] == 0
    assert (units["U-100"].report or {})["completion_progress"] == "0/3"
    assert await emissions.value("SELECT count(*) FROM pipeline_jobs") == 0


async def test_seeding_twice_changes_nothing(emissions: EmissionsLab) -> None:
    for _ in range(2):
        await seed(emissions.pool, SAMPLE)
    assert await emissions.value("SELECT count(*) FROM data_entry_emissions") == 11


async def test_upload_after_a_seed_replaces_its_rows(emissions: EmissionsLab) -> None:
    await seed(emissions.pool, SAMPLE)
    engine = await emissions.engine()
    await emissions.sample(engine)
    assert await emissions.value("SELECT count(*) FROM data_entries") == 11


async def test_validated_modules_are_counted_in_the_report(emissions: EmissionsLab) -> None:
    await seed(emissions.pool, SAMPLE)
    await emissions.pool.execute(
        "UPDATE carbon_report_modules SET status = 'validated' WHERE module_type_id <> 3"
    )
    await seed(emissions.pool, SAMPLE)
    report = (await emissions.totals())["U-100"].report or {}
    assert report["completion_progress"] == "2/3"
    assert report["overall_status"] == "in_progress"
    assert report["highest_category_module_id"] == 5


async def test_year_can_be_given_and_is_this_year_without_a_manifest(
    emissions: EmissionsLab, tmp_path: Path
) -> None:
    for name in ("units.csv", "factors_energy.csv", "data_energy.csv"):
        shutil.copy(SAMPLE / name, tmp_path)
    assert (await seed(emissions.pool, tmp_path, 2024)).total == 523.5
    assert (await seed(emissions.pool, tmp_path)).year >= 2026
    (tmp_path / "seed.json").write_text("[]")
    with pytest.raises(InputError, match=r"seed\.json has no year"):
        await seed(emissions.pool, tmp_path)


async def test_seed_is_all_or_nothing(emissions: EmissionsLab, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of these"):
        await seed(emissions.pool, tmp_path)
    shutil.copytree(SAMPLE, tmp_path / "bad")
    (tmp_path / "bad" / "data_purchase.csv").write_text("category\nservices\n")
    with pytest.raises(InputError, match="missing column"):
        await seed(emissions.pool, tmp_path / "bad")
    (tmp_path / "bad" / "data_purchase.csv").write_text(
        "unit_institutional_id,category,purchase_institutional_code,total_spent_amount\nU,a,b,1\n"
    )
    with pytest.raises(InputError, match=r"data_purchase\.csv: ERROR: 0 inserted, 1 skipped"):
        await seed(emissions.pool, tmp_path / "bad")
    assert await emissions.value("SELECT count(*) FROM data_entries") == 0
