"""What the database itself guards and derives: SQL generated from :mod:`schema.lifecycle`.

* ``runs_guard_transition``: a run is inserted as ``available`` and changes state only along
  ``TRANSITIONS``, whoever writes. Violations are check violations named ``runs_state_transition``.
* ``runs_derive_work_order``: the state of a work order follows its runs in the same transaction.
* ``snapshots_refuse_update``: a snapshot is never changed.

A connection whose setting ``channel_server.state_machine`` is ``observe`` is warned instead of
refused: for the time in which a deployment migrates.
"""

from typing import Final

from schema.lifecycle import FINAL_STATES, INITIAL, TRANSITION_CONSTRAINT, TRANSITIONS

OBSERVE_SETTING: Final = "channel_server.state_machine"
IMMUTABLE_CONSTRAINT: Final = "snapshots_immutable"
"""Reported when hand-written SQL tries to change a snapshot or its nodes."""

_SNAPSHOT_TABLES: Final = ("snapshots", "snapshot_jobs", "snapshot_triggers")


def guard_transition() -> list[str]:
    """Return the statements that create the guard of run states."""
    pairs = [f"('{source}', '{target}')" for source, target in sorted(TRANSITIONS)]
    lines = [", ".join(pairs[start : start + 3]) for start in range(0, len(pairs), 3)]
    legal = ",\n      ".join(lines)
    return [
        f"""CREATE FUNCTION runs_guard_transition() RETURNS trigger
LANGUAGE plpgsql AS $guard$
DECLARE
  source text := '';
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.state = '{INITIAL}' THEN RETURN NEW; END IF;
  ELSE
    source := OLD.state;
    IF (source, NEW.state) IN (
      {legal}
    ) THEN RETURN NEW; END IF;
  END IF;
  IF current_setting('{OBSERVE_SETTING}', true) = 'observe' THEN
    RAISE WARNING 'illegal transition of run %: % -> %', NEW.id, source, NEW.state
      USING CONSTRAINT = '{TRANSITION_CONSTRAINT}';
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'illegal transition of run %: % -> %', NEW.id, source, NEW.state
    USING ERRCODE = 'check_violation', CONSTRAINT = '{TRANSITION_CONSTRAINT}',
          SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'state',
          DETAIL = source || ' -> ' || NEW.state;
END
$guard$""",
        """CREATE TRIGGER runs_guard_transition BEFORE INSERT OR UPDATE OF state ON runs
FOR EACH ROW EXECUTE FUNCTION runs_guard_transition()""",
    ]


def derive_work_order() -> list[str]:
    """Return the statements that create the derivation of work-order states.

    The row of the work order is locked before its runs are read: two runs that finish at the same
    time are counted one after the other, and under READ COMMITTED the second reads what the first
    one committed. Among finished runs the one created last decides.
    """
    finals = ", ".join(f"'{state}'" for state in FINAL_STATES)
    return [
        f"""CREATE FUNCTION runs_derive_work_order() RETURNS trigger
LANGUAGE plpgsql AS $derive$
DECLARE
  current text;
  derived text;
BEGIN
  SELECT state INTO current FROM work_orders WHERE id = NEW.work_order_id FOR NO KEY UPDATE;
  SELECT CASE
      WHEN bool_or(state = 'started') THEN 'running'
      WHEN bool_or(state NOT IN ({finals})) THEN 'pending'
      ELSE (array_agg(state ORDER BY inserted_at DESC, id DESC))[1]
    END
    INTO derived FROM runs WHERE work_order_id = NEW.work_order_id;
  IF TG_OP = 'UPDATE' OR derived IS DISTINCT FROM current THEN
    UPDATE work_orders SET state = derived, last_activity = clock_timestamp()
    WHERE id = NEW.work_order_id;
  END IF;
  RETURN NULL;
END
$derive$""",
        """CREATE TRIGGER runs_derive_work_order_insert AFTER INSERT ON runs
FOR EACH ROW EXECUTE FUNCTION runs_derive_work_order()""",
        """CREATE TRIGGER runs_derive_work_order_update AFTER UPDATE OF state ON runs
FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state
  AND NOT (OLD.state IN ('available', 'claimed') AND NEW.state IN ('available', 'claimed')))
EXECUTE FUNCTION runs_derive_work_order()""",
    ]


def refuse_snapshot_update() -> list[str]:
    """Return the statements that make snapshots immutable."""
    statements = [
        f"""CREATE FUNCTION snapshots_refuse_update() RETURNS trigger
LANGUAGE plpgsql AS $refuse$
BEGIN
  RAISE EXCEPTION 'a snapshot cannot be changed'
    USING ERRCODE = 'check_violation', CONSTRAINT = '{IMMUTABLE_CONSTRAINT}',
          SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME;
END
$refuse$"""
    ]
    statements.extend(
        f"""CREATE TRIGGER {table}_refuse_update BEFORE UPDATE ON {table}
FOR EACH ROW EXECUTE FUNCTION snapshots_refuse_update()"""
        for table in _SNAPSHOT_TABLES
    )
    return statements


def create_statements() -> list[str]:
    """Return all statements, in order, for a database that has the tables and no triggers."""
    return [*guard_transition(), *derive_work_order(), *refuse_snapshot_update()]
