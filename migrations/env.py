"""Alembic's environment: writes SQL, never connects. :mod:`migrations` runs what it writes."""

from alembic import context

from schema.tables import metadata

context.configure(
    dialect_name="postgresql",
    dialect_opts={"paramstyle": "named"},
    as_sql=True,
    literal_binds=True,
    target_metadata=metadata,
    transaction_per_migration=True,
    output_buffer=context.config.output_buffer,
)
with context.begin_transaction():
    context.run_migrations()
