"""Emissions: units, carbon reports and their modules, factors, data entries, emissions, inputs.

Revision ID: 0006_pre_emissions
Revises: 0005_pre_pipeline_dedup
"""

from alembic import op

revision = "0006_pre_emissions"
down_revision = "0005_pre_pipeline_dedup"
branch_labels = None
depends_on = None

UP = (
    """
CREATE TABLE units (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    institutional_id TEXT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT units_pkey PRIMARY KEY (id),
    CONSTRAINT units_institutional_id_key UNIQUE (institutional_id),
    CONSTRAINT units_institutional_id_check CHECK (institutional_id <> '')
)
""",
    """
CREATE TABLE carbon_reports (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    unit_id BIGINT NOT NULL,
    year INTEGER NOT NULL,
    stats JSONB,
    last_updated TIMESTAMP WITH TIME ZONE,
    CONSTRAINT carbon_reports_pkey PRIMARY KEY (id),
    CONSTRAINT carbon_reports_unit_id_year_key UNIQUE (unit_id, year),
    CONSTRAINT carbon_reports_unit_id_fkey FOREIGN KEY(unit_id) REFERENCES units (id) ON DELETE RESTRICT,
    CONSTRAINT carbon_reports_year_check CHECK (year BETWEEN 1900 AND 9999)
)
""",
    """
CREATE INDEX carbon_reports_year_index ON carbon_reports (year, id)
""",
    """
CREATE TABLE carbon_report_modules (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    carbon_report_id BIGINT NOT NULL,
    module_type_id INTEGER NOT NULL,
    status TEXT DEFAULT 'in_progress' NOT NULL,
    stats JSONB,
    last_updated TIMESTAMP WITH TIME ZONE,
    CONSTRAINT carbon_report_modules_pkey PRIMARY KEY (id),
    CONSTRAINT carbon_report_modules_module_type_id_key UNIQUE (carbon_report_id, module_type_id),
    CONSTRAINT carbon_report_modules_carbon_report_id_fkey FOREIGN KEY(carbon_report_id) REFERENCES carbon_reports (id) ON DELETE RESTRICT,
    CONSTRAINT carbon_report_modules_status_check CHECK (status IN ('in_progress', 'validated'))
)
""",
    """
CREATE TABLE factors (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    data_entry_type_id INTEGER NOT NULL,
    emission_type_id INTEGER NOT NULL,
    year INTEGER NOT NULL,
    classification TEXT NOT NULL,
    kind_key TEXT NOT NULL,
    subkind_key TEXT NOT NULL,
    value NUMERIC NOT NULL,
    values JSONB DEFAULT '{}' NOT NULL,
    last_seen_job_id BIGINT,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT factors_pkey PRIMARY KEY (id),
    CONSTRAINT factors_identity_key UNIQUE (data_entry_type_id, year, emission_type_id, classification),
    CONSTRAINT factors_match_key UNIQUE (data_entry_type_id, year, kind_key, subkind_key),
    CONSTRAINT factors_value_check CHECK (value >= 0 AND value < 'Infinity'),
    CONSTRAINT factors_kind_key_check CHECK (kind_key <> '')
)
""",
    """
CREATE TABLE data_entries (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    carbon_report_module_id BIGINT NOT NULL,
    data_entry_type_id INTEGER NOT NULL,
    kind_key TEXT NOT NULL,
    subkind_key TEXT NOT NULL,
    quantity NUMERIC NOT NULL,
    data JSONB DEFAULT '{}' NOT NULL,
    source TEXT NOT NULL,
    created_by_id BIGINT,
    CONSTRAINT data_entries_pkey PRIMARY KEY (id),
    CONSTRAINT data_entries_carbon_report_module_id_fkey FOREIGN KEY(carbon_report_module_id) REFERENCES carbon_report_modules (id) ON DELETE RESTRICT,
    CONSTRAINT data_entries_source_check CHECK (source IN ('USER_MANUAL', 'CSV_MODULE_PER_YEAR', 'CSV_MODULE_UNIT_SPECIFIC', 'API_MODULE_PER_YEAR', 'API_MODULE_UNIT_SPECIFIC', 'EXTERNAL_INTEGRATION')),
    CONSTRAINT data_entries_quantity_check CHECK (quantity >= 0 AND quantity < 'Infinity')
)
""",
    """
CREATE INDEX data_entries_module_type_index ON data_entries (carbon_report_module_id, data_entry_type_id, source)
""",
    """
CREATE TABLE data_entry_emissions (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    data_entry_id BIGINT NOT NULL,
    emission_type_id INTEGER NOT NULL,
    primary_factor_id BIGINT,
    kg_co2eq NUMERIC NOT NULL,
    additional_value NUMERIC,
    scope SMALLINT,
    meta JSONB DEFAULT '{}' NOT NULL,
    computed_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT data_entry_emissions_pkey PRIMARY KEY (id),
    CONSTRAINT data_entry_emissions_data_entry_id_fkey FOREIGN KEY(data_entry_id) REFERENCES data_entries (id) ON DELETE CASCADE,
    CONSTRAINT data_entry_emissions_primary_factor_id_fkey FOREIGN KEY(primary_factor_id) REFERENCES factors (id) ON DELETE RESTRICT,
    CONSTRAINT data_entry_emissions_scope_check CHECK (scope IN (1, 2, 3)),
    CONSTRAINT data_entry_emissions_kg_co2eq_check CHECK (kg_co2eq >= 0 AND kg_co2eq < 'Infinity')
)
""",
    """
CREATE INDEX data_entry_emissions_data_entry_id_index ON data_entry_emissions (data_entry_id)
""",
    """
CREATE TABLE ingest_inputs (
    content_hash TEXT NOT NULL,
    file_name TEXT NOT NULL,
    content BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT ingest_inputs_pkey PRIMARY KEY (content_hash),
    CONSTRAINT ingest_inputs_content_hash_check CHECK (content_hash = encode(sha256(content), 'hex'))
)
""",
)

DOWN = (
    "DROP TABLE ingest_inputs",
    "DROP TABLE data_entry_emissions",
    "DROP TABLE data_entries",
    "DROP TABLE factors",
    "DROP TABLE carbon_report_modules",
    "DROP TABLE carbon_reports",
    "DROP TABLE units",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement.strip())


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
