"""Unit 4 and section 7.1: the override of the formula, which survives every recalculation."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from emissions_lab import ENERGY, YEAR, EmissionsLab
from msgspec.structs import replace

from handlers.emissions.amounts import AmountError, parse_amount, plain
from handlers.emissions.entry_rows import EntryReader
from handlers.emissions.model import MODULES, OVERRIDE_KEY
from handlers.emissions.recalc import recalculate
from handlers.emissions.service import edit_quantity
from handlers.emissions.sheets import InputError, read_csv
from pipelines import JobResult

HEADER = "unit_institutional_id,name,quantity,kg_co2eq\n"


async def override_stored(lab: EmissionsLab, value: str, factor: bool = True) -> int:
    if factor:
        await lab.factor("natural gas", 0.27)
    return await lab.entry("natural gas", 100, f'{{"{OVERRIDE_KEY}": {value}, "note": "n"}}')


async def test_u4_override_survives_any_number_of_recalculations(emissions: EmissionsLab) -> None:
    entry = await override_stored(emissions, "999")
    for _ in range(3):
        done = await emissions.recalculated()
        assert done.result is JobResult.SUCCESS
        (row,) = await emissions.emissions()
        assert (row["data_entry_id"], row["kg_co2eq"]) == (entry, 999)
        assert row["primary_factor_id"] is None
        assert OVERRIDE_KEY not in row["meta"]
        meta = msgspec.json.decode(row["meta"])
        assert meta["factors_used"] == [{"id": 1, "value": 0.27}]
        assert meta["context"] == {"note": "n"}
    data = await emissions.value("SELECT data FROM data_entries")
    assert msgspec.json.decode(data)[OVERRIDE_KEY] == 999


@pytest.mark.parametrize("zero", ["0", "0.0"])
async def test_u4_zero_is_an_override(emissions: EmissionsLab, zero: str) -> None:
    await override_stored(emissions, zero)
    await emissions.recalculated()
    (row,) = await emissions.emissions()
    assert row["kg_co2eq"] == 0


async def test_override_applies_once_without_any_factor(emissions: EmissionsLab) -> None:
    await override_stored(emissions, "7", factor=False)
    done = await emissions.recalculated()
    assert (done.emissions, done.unmatched, done.errors) == (1, 0, 0)
    (row,) = await emissions.emissions()
    assert (row["kg_co2eq"], row["emission_type_id"], row["scope"]) == (7, 60201, 1)


@pytest.mark.parametrize("garbage", ['"many"', "-1", "true", "null", "{}"])
async def test_unusable_stored_override_is_ignored_and_told(
    emissions: EmissionsLab, garbage: str
) -> None:
    await override_stored(emissions, garbage)
    done = await emissions.recalculated()
    assert (done.errors, done.result) == (1, JobResult.WARNING)
    assert "1 with an unusable override" in done.message
    (row,) = await emissions.emissions()
    assert row["kg_co2eq"] == 27


async def test_u4_argument_wins_over_the_stored_override(emissions: EmissionsLab) -> None:
    entry = await override_stored(emissions, "999")
    async with emissions.pool.acquire() as connection, connection.transaction():
        gas = MODULES[ENERGY].types[0]
        await recalculate(connection, ENERGY, gas, YEAR, entry_id=entry, override=Decimal(42))
        with pytest.raises(ValueError, match="one entry"):
            await recalculate(connection, ENERGY, gas, YEAR, override=Decimal(42))
    (row,) = await emissions.emissions()
    assert row["kg_co2eq"] == 42


async def test_manual_edit_of_the_quantity_clears_the_override(emissions: EmissionsLab) -> None:
    entry = await override_stored(emissions, "999")
    await emissions.recalculated()
    async with emissions.pool.acquire() as connection:
        done = await edit_quantity(connection, entry, "200")
        assert await edit_quantity(connection, entry + 1, 1) is None
        with pytest.raises(AmountError):
            await edit_quantity(connection, entry, "-1")
    assert done is not None
    (row,) = await emissions.emissions()
    assert (row["kg_co2eq"], row["primary_factor_id"]) == (54, 1)
    assert await emissions.module_total("U-100", ENERGY) == 54
    assert OVERRIDE_KEY not in await emissions.value("SELECT data FROM data_entries")


async def test_edit_waits_for_the_upload_that_replaces_its_entry(emissions: EmissionsLab) -> None:
    entry = await override_stored(emissions, "1")
    async with emissions.pool.acquire() as upload, emissions.pool.acquire() as editor:
        block = upload.transaction()
        await block.start()
        await upload.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
            f"emissions:module:{YEAR}:{ENERGY}",
        )
        edit = asyncio.create_task(edit_quantity(editor, entry, 5))
        await emissions.blocked()
        await upload.execute("DELETE FROM data_entries")
        await block.commit()
        assert await edit is None


def read(rows: str, header: str = HEADER, types: Any = None) -> tuple[list[Any], list[Any]]:
    sheet = read_csv((header + rows).encode())
    reader = EntryReader(sheet, types or MODULES[ENERGY].types, {"U": 1})
    parsed = reader.read()
    lines = b"".join(parsed.chunks).decode().replace("\\\\", "\\").splitlines()
    return [line.split("\t") for line in lines], parsed.errors.listed


def test_u4_column_becomes_the_reserved_key_and_no_other() -> None:
    (line,), errors = read("U,Natural gas,1,152.685\n")
    assert not errors
    assert msgspec.json.decode(line[6]) == {OVERRIDE_KEY: 152.685, "name": "Natural gas"}


def test_blank_is_no_override() -> None:
    (first, second), errors = read("U,Natural gas,1,\nU,Natural gas,1,  \n")
    assert not errors
    assert OVERRIDE_KEY not in first[6]
    assert OVERRIDE_KEY not in second[6]


@pytest.mark.parametrize("value", ["-0.1", "NaN", "inf", "-inf", "12 kg", "1e400", "1_0", "٣"])
def test_override_that_is_no_finite_amount_skips_its_row(value: str) -> None:
    lines, errors = read(f"U,Natural gas,1,{value}\nU,Natural gas,2,0\n")
    assert [line[5] for line in lines] == ["2"]
    (error,) = errors
    assert error["row"] == 2
    assert error["reason"].startswith("kg_co2eq ")


def test_override_of_a_type_with_several_computations_is_refused() -> None:
    several = replace(MODULES[ENERGY].types[0], computations=3)
    lines, errors = read("U,Natural gas,1,7\nU,Natural gas,1,\n", types=(several,))
    assert len(lines) == 1
    assert errors == [{"row": 2, "reason": "kg_co2eq cannot override several computations"}]


def test_reserved_key_cannot_be_smuggled_in_as_a_column() -> None:
    with pytest.raises(InputError, match="reserved name of a column"):
        read("U,Natural gas,1,5\n", header=HEADER.replace("kg_co2eq", OVERRIDE_KEY))


@pytest.mark.parametrize(
    ("text", "amount"), [("0", "0"), (" 1.50 ", "1.50"), ("1e3", "1E+3"), ("+.5", "0.5")]
)
def test_amounts_are_read_exactly(text: str, amount: str) -> None:
    assert parse_amount(text, "quantity") == Decimal(amount)
    assert "E" not in plain(parse_amount(text, "quantity"))
