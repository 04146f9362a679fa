"""The emissions domain: units and their reports, factors, data entries and what they emit.

A unit is a tenant, known by its institutional id. Amounts are ``numeric``: sums are exact to the
digit. ``kind_key`` and ``subkind_key`` are the normalised labels that an entry and a factor are
matched by; whoever writes a row computes them with the one function there is for it
(:func:`handlers.emissions.model.normalise`), and nobody matches by anything else.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    text,
)

from schema.tables.base import (
    BLANK,
    check,
    foreign_key,
    json_column,
    metadata,
    now_column,
    one_of,
    primary_key,
    timestamp,
    unique,
)

ENTRY_SOURCES: Final = (
    "USER_MANUAL",
    "CSV_MODULE_PER_YEAR",
    "CSV_MODULE_UNIT_SPECIFIC",
    "API_MODULE_PER_YEAR",
    "API_MODULE_UNIT_SPECIFIC",
    "EXTERNAL_INTEGRATION",
)
"""Where a data entry comes from."""

MODULE_STATUSES: Final = ("in_progress", "validated")
"""Whether the people of a unit have confirmed a module of their report."""


def _id() -> Column[Any]:
    return Column("id", BigInteger, Identity(always=True), nullable=False)


def _key(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False)


units = Table(
    "units",
    metadata,
    _id(),
    Column("institutional_id", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=text("''")),
    now_column("created_at"),
    primary_key("units", "id"),
    unique("units_institutional_id_key", "institutional_id", field="institutional_id"),
    check(
        "units_institutional_id_check",
        "institutional_id <> ''",
        field="institutional_id",
        message=BLANK,
    ),
)

carbon_reports = Table(
    "carbon_reports",
    metadata,
    _id(),
    Column("unit_id", BigInteger, nullable=False),
    Column("year", Integer, nullable=False),
    json_column("stats"),
    timestamp("last_updated"),
    primary_key("carbon_reports", "id"),
    unique("carbon_reports_unit_id_year_key", "unit_id", "year", field="year"),
    foreign_key("carbon_reports_unit_id_fkey", ["unit_id"], "units(id)", field="unit_id"),
    check("carbon_reports_year_check", "year BETWEEN 1900 AND 9999", field="year"),
    Index("carbon_reports_year_index", "year", "id"),
)

carbon_report_modules = Table(
    "carbon_report_modules",
    metadata,
    _id(),
    Column("carbon_report_id", BigInteger, nullable=False),
    Column("module_type_id", Integer, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'in_progress'")),
    json_column("stats"),
    timestamp("last_updated"),
    primary_key("carbon_report_modules", "id"),
    unique(
        "carbon_report_modules_module_type_id_key",
        "carbon_report_id",
        "module_type_id",
        field="module_type_id",
    ),
    foreign_key(
        "carbon_report_modules_carbon_report_id_fkey",
        ["carbon_report_id"],
        "carbon_reports(id)",
        field="carbon_report_id",
    ),
    check("carbon_report_modules_status_check", one_of("status", MODULE_STATUSES), field="status"),
)

factors = Table(
    "factors",
    metadata,
    _id(),
    Column("data_entry_type_id", Integer, nullable=False),
    Column("emission_type_id", Integer, nullable=False),
    Column("year", Integer, nullable=False),
    Column("classification", Text, nullable=False),
    _key("kind_key"),
    _key("subkind_key"),
    Column("value", Numeric, nullable=False),
    json_column("values", default="{}"),
    Column("last_seen_job_id", BigInteger, nullable=True),
    now_column("updated_at"),
    primary_key("factors", "id"),
    unique(
        "factors_identity_key",
        "data_entry_type_id",
        "year",
        "emission_type_id",
        "classification",
        field="classification",
    ),
    unique(
        "factors_match_key",
        "data_entry_type_id",
        "year",
        "kind_key",
        "subkind_key",
        field="classification",
    ),
    check("factors_value_check", "value >= 0 AND value < 'Infinity'", field="value"),
    check("factors_kind_key_check", "kind_key <> ''", field="classification", message=BLANK),
)
"""``classification`` is the canonical JSON text of both keys. A factor that is missing from a new
upload stays; ``last_seen_job_id`` tells that it is stale."""

data_entries = Table(
    "data_entries",
    metadata,
    _id(),
    Column("carbon_report_module_id", BigInteger, nullable=False),
    Column("data_entry_type_id", Integer, nullable=False),
    _key("kind_key"),
    _key("subkind_key"),
    Column("quantity", Numeric, nullable=False),
    json_column("data", default="{}"),
    Column("source", Text, nullable=False),
    Column("created_by_id", BigInteger, nullable=True),
    primary_key("data_entries", "id"),
    foreign_key(
        "data_entries_carbon_report_module_id_fkey",
        ["carbon_report_module_id"],
        "carbon_report_modules(id)",
        field="carbon_report_module_id",
    ),
    check("data_entries_source_check", one_of("source", ENTRY_SOURCES), field="source"),
    check(
        "data_entries_quantity_check",
        "quantity >= 0 AND quantity < 'Infinity'",
        field="quantity",
    ),
    Index(
        "data_entries_module_type_index", "carbon_report_module_id", "data_entry_type_id", "source"
    ),
)
"""``created_by_id`` is the job that wrote the entry. An override of the formula lives in ``data``
under a reserved key and nowhere else."""

data_entry_emissions = Table(
    "data_entry_emissions",
    metadata,
    _id(),
    Column("data_entry_id", BigInteger, nullable=False),
    Column("emission_type_id", Integer, nullable=False),
    Column("primary_factor_id", BigInteger, nullable=True),
    Column("kg_co2eq", Numeric, nullable=False),
    Column("additional_value", Numeric, nullable=True),
    Column("scope", SmallInteger, nullable=True),
    json_column("meta", default="{}"),
    now_column("computed_at"),
    primary_key("data_entry_emissions", "id"),
    foreign_key(
        "data_entry_emissions_data_entry_id_fkey",
        ["data_entry_id"],
        "data_entries(id)",
        field="data_entry_id",
        on_delete="CASCADE",
    ),
    foreign_key(
        "data_entry_emissions_primary_factor_id_fkey",
        ["primary_factor_id"],
        "factors(id)",
        field="primary_factor_id",
    ),
    check("data_entry_emissions_scope_check", "scope IN (1, 2, 3)", field="scope"),
    check(
        "data_entry_emissions_kg_co2eq_check",
        "kg_co2eq >= 0 AND kg_co2eq < 'Infinity'",
        field="kg_co2eq",
    ),
    Index("data_entry_emissions_data_entry_id_index", "data_entry_id"),
)
"""A row without a scope is a roll-up of several others, and left out of all sums."""

ingest_inputs = Table(
    "ingest_inputs",
    metadata,
    Column("content_hash", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    now_column("created_at"),
    primary_key("ingest_inputs", "content_hash", field="content_hash"),
    check(
        "ingest_inputs_content_hash_check",
        "content_hash = encode(sha256(content), 'hex')",
        field="content",
        message="cannot be changed",
    ),
)
"""What jobs read: kept under the hash of its content, which therefore cannot change."""
