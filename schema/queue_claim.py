"""The one SQL statement that claims runs.

How it works, in the order of its common table expressions:

* ``lanes``: every (project, workflow, queue) that has an available run, found by hopping through
  the partial index ``runs_available_index``: one descent per lane, however long a lane is and
  however many finished runs the table holds.
* ``workflow_room``, ``project_room``: what is left of the limits, for limited ones only.
* ``candidates`` to ``front``: the head of each lane, cut to the room that is left, ranked by queue
  preference, priority, turn of the project, and age; a few more than were asked for.
* ``locked_workflows``, ``locked_projects``: limits are kept by exactly one claim at a time. Each
  claim under a limit increments ``claim_epoch`` of the limiting row. A claim whose counts were read
  before another one committed finds the row locked, or its epoch changed, and leaves it alone.
* ``taken``: the fence. Ids only, ``SKIP LOCKED``, and never more than the demand.
* ``claimed``: the update, with a new lease for each run.

Nothing in here waits for a lock on a row of the queue.
"""

from typing import Final

from schema.fragments import run_updated

SPARE: Final = 8
"""Candidates beyond the demand, so that a claim can step over rows that another one holds."""

CLAIM_SQL: Final = f"""
WITH RECURSIVE lanes (project_id, workflow_id, queue) AS (
  (SELECT r.project_id, r.workflow_id, r.queue FROM runs r WHERE r.state = 'available'
   ORDER BY r.project_id, r.workflow_id, r.queue LIMIT 1)
  UNION ALL
  SELECT n.project_id, n.workflow_id, n.queue FROM lanes l CROSS JOIN LATERAL (
    SELECT r.project_id, r.workflow_id, r.queue FROM runs r
    WHERE r.state = 'available'
      AND (r.project_id, r.workflow_id, r.queue) > (l.project_id, l.workflow_id, l.queue)
    ORDER BY r.project_id, r.workflow_id, r.queue LIMIT 1) n
), wanted AS MATERIALIZED (
  SELECT l.*, coalesce(array_position($2::text[], l.queue),
    array_position($2::text[], '*')) AS preference
  FROM lanes l
  WHERE coalesce(array_position($2::text[], l.queue), array_position($2::text[], '*')) IS NOT NULL
), workflow_room AS MATERIALIZED (
  SELECT w.id, w.claim_epoch, greatest(0, w.concurrency - (SELECT count(*) FROM runs r
    WHERE r.workflow_id = w.id AND r.state IN ('claimed', 'started'))) AS room
  FROM workflows w
  WHERE w.concurrency IS NOT NULL AND w.id IN (SELECT workflow_id FROM wanted)
), project_room AS MATERIALIZED (
  SELECT p.id, p.claim_epoch, greatest(0, p.concurrency - (SELECT count(*) FROM runs r
    WHERE r.project_id = p.id AND r.state IN ('claimed', 'started'))) AS room
  FROM projects p
  WHERE p.concurrency IS NOT NULL AND p.id IN (SELECT project_id FROM wanted)
), candidates AS (
  SELECT h.id, h.priority, h.inserted_at, l.project_id, l.workflow_id, l.preference,
    w.room AS workflow_room, p.room AS project_room,
    row_number() OVER (PARTITION BY l.workflow_id
      ORDER BY l.preference, h.priority, h.inserted_at, h.id) AS nth_of_workflow
  FROM wanted l
  LEFT JOIN workflow_room w ON w.id = l.workflow_id
  LEFT JOIN project_room p ON p.id = l.project_id
  CROSS JOIN LATERAL (
    SELECT r.id, r.priority, r.inserted_at FROM runs r
    WHERE r.state = 'available' AND r.project_id = l.project_id
      AND r.workflow_id = l.workflow_id AND r.queue = l.queue
    ORDER BY r.priority, r.inserted_at, r.id
    LIMIT least($1::int + {SPARE}, w.room, p.room)) h
), within_workflow AS (
  SELECT c.*, row_number() OVER (PARTITION BY c.project_id
    ORDER BY c.preference, c.priority, c.inserted_at, c.id) AS nth_of_project
  FROM candidates c WHERE c.workflow_room IS NULL OR c.nth_of_workflow <= c.workflow_room
), within_project AS (
  SELECT c.*, row_number() OVER (PARTITION BY c.project_id, c.preference, c.priority
    ORDER BY c.inserted_at, c.id) AS turn
  FROM within_workflow c WHERE c.project_room IS NULL OR c.nth_of_project <= c.project_room
), served AS MATERIALIZED (
  SELECT p.project_id,
    (SELECT max(r.claimed_at) FROM runs r WHERE r.project_id = p.project_id) AS last_claim
  FROM (SELECT DISTINCT project_id FROM within_project) p
), front AS MATERIALIZED (
  SELECT c.id, c.workflow_id, c.project_id, c.workflow_room, c.project_room,
    row_number() OVER (ORDER BY c.preference, c.priority, c.turn, s.last_claim NULLS FIRST,
      c.inserted_at, c.id) AS position
  FROM within_project c JOIN served s USING (project_id)
  ORDER BY position LIMIT $1::int + {SPARE}
), locked_workflows AS MATERIALIZED (
  SELECT w.id FROM workflows w JOIN workflow_room k ON k.id = w.id
  WHERE w.claim_epoch = k.claim_epoch AND w.id IN (SELECT workflow_id FROM front)
  FOR NO KEY UPDATE OF w SKIP LOCKED
), locked_projects AS MATERIALIZED (
  SELECT p.id FROM projects p JOIN project_room k ON k.id = p.id
  WHERE p.claim_epoch = k.claim_epoch AND p.id IN (SELECT project_id FROM front)
  FOR NO KEY UPDATE OF p SKIP LOCKED
), open_front AS MATERIALIZED (
  SELECT f.id, f.position FROM front f
  WHERE (f.workflow_room IS NULL OR f.workflow_id IN (SELECT id FROM locked_workflows))
    AND (f.project_room IS NULL OR f.project_id IN (SELECT id FROM locked_projects))
), taken AS MATERIALIZED (
  SELECT r.id, f.position FROM open_front f JOIN runs r ON r.id = f.id
  WHERE r.state = 'available'
  ORDER BY f.position LIMIT $1
  FOR NO KEY UPDATE OF r SKIP LOCKED
), claimed AS (
  UPDATE runs r SET state = 'claimed', claimed_at = clock_timestamp(), joined_at = NULL,
    worker_name = $3, worker_id = $4, session_id = $5::uuid, lease = gen_random_uuid(),
    lease_epoch = r.lease_epoch + 1, version = r.version + 1
  FROM taken t WHERE r.id = t.id
  RETURNING r.*, t.position
), counted_workflows AS (
  UPDATE workflows w SET claim_epoch = w.claim_epoch + 1
  WHERE w.concurrency IS NOT NULL AND w.id IN (SELECT workflow_id FROM claimed)
), counted_projects AS (
  UPDATE projects p SET claim_epoch = p.claim_epoch + 1
  WHERE p.concurrency IS NOT NULL AND p.id IN (SELECT project_id FROM claimed)
), event AS (
  INSERT INTO run_events (run_id, project_id, version, event, payload)
  SELECT c.id, c.project_id, c.version, 'run:updated', {run_updated("c")} FROM claimed c
  RETURNING run_id, event, payload::text AS payload, seq
)
SELECT (SELECT count(*) FROM front) AS visible, (SELECT count(*) FROM wanted) AS lanes,
  c.id, c.project_id, c.workflow_id, c.lease, c.lease_epoch, c.version, e.event, e.payload, e.seq,
  (c.options ->> 'run_timeout_ms')::bigint AS run_timeout_ms
FROM (SELECT 1) AS always
LEFT JOIN (claimed c JOIN event e ON e.run_id = c.id) ON true
ORDER BY c.position"""
