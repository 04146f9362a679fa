"""What the database guards and derives: run states, work-order states, snapshots.

Revision ID: 0003_pre_guards
Revises: 0002_pre_runs
"""

from alembic import op

revision = "0003_pre_guards"
down_revision = "0002_pre_runs"
branch_labels = None
depends_on = None

UP = (
    """
CREATE FUNCTION runs_guard_transition() RETURNS trigger
LANGUAGE plpgsql AS $guard$
DECLARE
  source text := '';
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.state = 'available' THEN RETURN NEW; END IF;
  ELSE
    source := OLD.state;
    IF (source, NEW.state) IN (
      ('available', 'cancelled'), ('available', 'claimed'), ('claimed', 'available'),
      ('claimed', 'cancelled'), ('claimed', 'crashed'), ('claimed', 'exception'),
      ('claimed', 'failed'), ('claimed', 'killed'), ('claimed', 'lost'),
      ('claimed', 'started'), ('claimed', 'success'), ('lost', 'cancelled'),
      ('lost', 'crashed'), ('lost', 'exception'), ('lost', 'failed'),
      ('lost', 'killed'), ('lost', 'success'), ('started', 'cancelled'),
      ('started', 'crashed'), ('started', 'exception'), ('started', 'failed'),
      ('started', 'killed'), ('started', 'lost'), ('started', 'success')
    ) THEN RETURN NEW; END IF;
  END IF;
  IF current_setting('channel_server.state_machine', true) = 'observe' THEN
    RAISE WARNING 'illegal transition of run %: % -> %', NEW.id, source, NEW.state
      USING CONSTRAINT = 'runs_state_transition';
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'illegal transition of run %: % -> %', NEW.id, source, NEW.state
    USING ERRCODE = 'check_violation', CONSTRAINT = 'runs_state_transition',
          SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'state',
          DETAIL = source || ' -> ' || NEW.state;
END
$guard$
""",
    """
CREATE TRIGGER runs_guard_transition BEFORE INSERT OR UPDATE OF state ON runs
FOR EACH ROW EXECUTE FUNCTION runs_guard_transition()
""",
    """
CREATE FUNCTION runs_derive_work_order() RETURNS trigger
LANGUAGE plpgsql AS $derive$
DECLARE
  current text;
  derived text;
BEGIN
  SELECT state INTO current FROM work_orders WHERE id = NEW.work_order_id FOR NO KEY UPDATE;
  SELECT CASE
      WHEN bool_or(state = 'started') THEN 'running'
      WHEN bool_or(state NOT IN ('success', 'failed', 'crashed', 'cancelled', 'killed', 'exception', 'lost')) THEN 'pending'
      ELSE (array_agg(state ORDER BY inserted_at DESC, id DESC))[1]
    END
    INTO derived FROM runs WHERE work_order_id = NEW.work_order_id;
  IF TG_OP = 'UPDATE' OR derived IS DISTINCT FROM current THEN
    UPDATE work_orders SET state = derived, last_activity = clock_timestamp()
    WHERE id = NEW.work_order_id;
  END IF;
  RETURN NULL;
END
$derive$
""",
    """
CREATE TRIGGER runs_derive_work_order_insert AFTER INSERT ON runs
FOR EACH ROW EXECUTE FUNCTION runs_derive_work_order()
""",
    """
CREATE TRIGGER runs_derive_work_order_update AFTER UPDATE OF state ON runs
FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state
  AND NOT (OLD.state IN ('available', 'claimed') AND NEW.state IN ('available', 'claimed')))
EXECUTE FUNCTION runs_derive_work_order()
""",
    """
CREATE FUNCTION snapshots_refuse_update() RETURNS trigger
LANGUAGE plpgsql AS $refuse$
BEGIN
  RAISE EXCEPTION 'a snapshot cannot be changed'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'snapshots_immutable',
          SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME;
END
$refuse$
""",
    """
CREATE TRIGGER snapshots_refuse_update BEFORE UPDATE ON snapshots
FOR EACH ROW EXECUTE FUNCTION snapshots_refuse_update()
""",
    """
CREATE TRIGGER snapshot_jobs_refuse_update BEFORE UPDATE ON snapshot_jobs
FOR EACH ROW EXECUTE FUNCTION snapshots_refuse_update()
""",
    """
CREATE TRIGGER snapshot_triggers_refuse_update BEFORE UPDATE ON snapshot_triggers
FOR EACH ROW EXECUTE FUNCTION snapshots_refuse_update()
""",
)

DOWN = (
    "DROP TRIGGER snapshot_triggers_refuse_update ON snapshot_triggers",
    "DROP TRIGGER snapshot_jobs_refuse_update ON snapshot_jobs",
    "DROP TRIGGER snapshots_refuse_update ON snapshots",
    "DROP FUNCTION snapshots_refuse_update()",
    "DROP TRIGGER runs_derive_work_order_update ON runs",
    "DROP TRIGGER runs_derive_work_order_insert ON runs",
    "DROP FUNCTION runs_derive_work_order()",
    "DROP TRIGGER runs_guard_transition ON runs",
    "DROP FUNCTION runs_guard_transition()",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement.strip())


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
