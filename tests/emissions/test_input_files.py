"""CSV files: what is refused as a whole, what is skipped row by row, and what is said about it."""

from typing import Any

import pytest
from emissions_lab import ENERGY, PURCHASE

from handlers.emissions.entry_rows import EntryReader, Parsed
from handlers.emissions.factors import read_factors
from handlers.emissions.model import MODULES
from handlers.emissions.sheets import InputError, read_csv, read_json

HEADER = "unit_institutional_id,name,quantity\n"
UNITS = {"U": 1, "V": 2}
GAS = MODULES[ENERGY].types


def parsed(text: str | bytes, types: Any = GAS, unit: str | None = None) -> Parsed:
    content = text.encode() if isinstance(text, str) else text
    return EntryReader(read_csv(content), types, UNITS, unit).read()


def reasons(text: str, **values: Any) -> list[str]:
    return [error["reason"] for error in parsed(text, **values).errors.listed]


def test_byte_order_mark_is_tolerated() -> None:
    assert parsed(b"\xef\xbb\xbf" + f"{HEADER}U,gas,1\n".encode()).accepted == 1


def test_header_is_read_without_case_and_spaces_and_in_any_order() -> None:
    assert parsed(" Quantity ,NAME,Unit_Institutional_Id\n1,gas,U\n").accepted == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        (HEADER, "the file has no rows"),
        ("unit_institutional_id,name\nU,gas\n", "missing column: quantity"),
        (HEADER + "U,gas,1\nU,gas\n", "row 3 has no column: quantity"),
        (HEADER + 'U,"gas,1\n', "the file is not CSV"),
        ("a,a\n1,2\n", "column twice: a"),
        (b"\xff\xfe" + HEADER.encode(), "the file is not UTF-8: byte 0"),
    ],
)
def test_unusable_file_is_refused_as_a_whole(text: str | bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        parsed(text)


def test_short_row_after_the_first_five_is_only_skipped() -> None:
    result = parsed(HEADER + "U,gas,1\n" * 5 + "U,gas\n")
    assert result.accepted == 5
    assert result.errors.listed == [{"row": 7, "reason": "quantity is missing"}]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("X,gas,1", "unknown unit 'X'"),
        (",gas,1", "unit_institutional_id is missing"),
        ("U,,1", "name is missing"),
        ("U,gas,", "quantity is missing"),
        ("U,gas,-1", "quantity is negative: -1"),
        ("U,gas,many", "quantity is not a finite number: 'many'"),
        ("U,gas,NaN", "quantity is not a finite number: 'NaN'"),
        ("U,gas,1e15", "quantity is too large: 1e15"),
        ("U,gas,1,2", "has more fields than the header"),
    ],
)
def test_bad_row_is_skipped_and_told(row: str, reason: str) -> None:
    result = parsed(f"{HEADER}{row}\nU,gas,1\n")
    assert result.accepted == 1
    assert result.errors.listed == [{"row": 2, "reason": reason}]


def test_errors_are_all_counted_and_a_hundred_listed() -> None:
    result = parsed(HEADER + "U,gas,-1\n" * 250 + "U,gas,1\n")
    assert (result.accepted, result.errors.count) == (1, 250)
    assert len(result.errors.listed) == 100


def test_long_reasons_are_cut() -> None:
    (reason,) = reasons(f"{HEADER}{'X' * 1_000},gas,1\n")
    assert len(reason) == 200


def test_blank_lines_are_no_rows() -> None:
    assert parsed(HEADER + "\nU,gas,1\n\n").errors.count == 0


def test_type_of_a_row_is_what_its_category_names() -> None:
    header = (
        "unit_institutional_id,category,purchase_institutional_code,total_spent_amount,currency"
    )
    types = MODULES[PURCHASE].types
    text = f"{header}\nU, IT_Equipment ,A,1,EUR\nU,services,B,2,\n"
    lines = b"".join(parsed(text, types=types).chunks).decode().splitlines()
    assert [line.split("\t")[2] for line in lines] == ["61", "64"]
    bad = f"{header}\nU,cars,A,1,\nU,services,A,1,usd\nU,,A,1,\n"
    assert reasons(bad, types=types) == [
        "category 'cars' is none of it_equipment, services",
        "currency is not eur",
        "category '' is none of it_equipment, services",
    ]
    only = types[:1]
    assert reasons(f"{header}\nU,services,A,1,\n", types=only) == [
        "category 'services' is none of it_equipment"
    ]
    assert parsed(f"{header}\nU,,A,1,\n", types=only).accepted == 1


def test_rows_of_a_unit_upload_need_not_name_it_but_must_not_name_another() -> None:
    assert parsed("name,quantity\ngas,1\n", unit="V").accepted == 1
    assert reasons(HEADER + "U,gas,1\nV,gas,1\n", unit="V") == [
        "unit_institutional_id is not 'V': 'U'"
    ]


def test_nul_and_control_characters_cannot_break_a_line() -> None:
    result = parsed('unit_institutional_id,name,quantity,note\nU,"a\tb\n\\c",1,"x\ty\n\x00\\N"\n')
    (line,) = b"".join(result.chunks).splitlines()
    assert line.split(b"\t")[3] == b"a b \\\\c"
    assert b"\\\\t" in line
    assert b"\x00" not in line


def test_aborted_reading_stops() -> None:
    class AbortedError(Exception):
        pass

    def check() -> None:
        raise AbortedError

    reader = EntryReader(read_csv((HEADER + "U,gas,1\n" * 2_000).encode()), GAS, UNITS)
    with pytest.raises(AbortedError):
        reader.read(check)


def test_factors_are_read_with_the_same_rules() -> None:
    text = "name,unit,ef_kg_co2eq_per_unit\nGas,kWh,1\n gas ,kWh,2\nOil,,x\n,,1\nCoal,,-1\n"
    rows, errors = read_factors(read_csv(text.encode()), GAS)
    assert [(row.kind_key, row.value) for row in rows] == [("gas", "1")]
    assert [error["reason"] for error in errors.listed] == [
        "the same factor as in row 2",
        "ef_kg_co2eq_per_unit is not a finite number: 'x'",
        "name is missing",
        "ef_kg_co2eq_per_unit is negative: -1",
    ]
    types = MODULES[PURCHASE].types
    header = "category,purchase_institutional_code,currency,ef_kg_co2eq_per_currency\n"
    text = header + "cars,A,eur,1\n,A,eur,1\nservices,A,usd,1\nservices,A,,1\n"
    rows, errors = read_factors(read_csv(text.encode()), types)
    assert [row.entry_type.id for row in rows] == [64]
    assert errors.count == 3


@pytest.mark.parametrize("content", [b"", b"{", b"1", b'{"data":1}', b"[1]", b'{"x":[]}'])
def test_json_that_is_no_list_of_objects_is_refused(content: bytes) -> None:
    with pytest.raises(InputError):
        read_json(content)


def test_json_rows_lose_nested_values_and_reserved_keys() -> None:
    sheet = read_json(b'{"data":[{"A":1,"__x":2,"b":{"c":1}},{"d\\u0000":"e\\u0000"}]}')
    assert list(sheet.columns) == ["a", "d\ufffd"]
    assert list(sheet.rows) == [(2, [1, None]), (3, [None, "e\ufffd"])]
