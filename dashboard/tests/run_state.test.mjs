import assert from 'node:assert/strict';
import { test } from 'node:test';
import { edgePath } from '../pure/graph.js';
import { historyRows } from '../pure/history.js';
import { litGraph, mergeRun, mergeStep, upsertRemark } from '../pure/run_state.js';
import { ticks, timeline } from '../pure/timeline.js';

const GRAPH = {
  triggers: [{ id: 't', type: 'webhook' }],
  jobs: [{ id: 'a', name: 'A' }, { id: 'b', name: 'B' }, { id: 'c', name: 'C' }],
  edges: [
    { id: '1', source_trigger_id: 't', target_job_id: 'a', condition_type: 'always' },
    { id: '2', source_job_id: 'a', target_job_id: 'b', condition_type: 'on_job_success' },
    { id: '3', source_job_id: 'a', target_job_id: 'c', condition_type: 'on_job_failure' },
  ],
};
const at = (second) => `2026-11-21T10:00:${String(second).padStart(2, '0')}Z`;

test('a run keeps what the stream does not carry, and never goes back', () => {
  const known = { version: 4, state: 'started', workflow_name: 'Order' };
  assert.deepEqual(mergeRun(known, { version: 5, state: 'success' }), {
    version: 5, state: 'success', workflow_name: 'Order',
  });
  assert.equal(mergeRun(known, { version: 3, state: 'claimed' }), known);
});

test('a step never reopens', () => {
  const steps = mergeStep([], { id: 'x', finished_at: at(3) });
  assert.equal(mergeStep(steps, { id: 'x', finished_at: null }), steps);
  assert.equal(mergeStep(steps, { id: 'y' }).length, 2);
});

test('a remark that is told again only counts up', () => {
  const one = { kind: 'resent', event: 'step:start', step_id: 's', count: 1 };
  assert.deepEqual(upsertRemark([one], { ...one, count: 2 }), [{ ...one, count: 2 }]);
});

test('what ran is lit, and so is the way it took', () => {
  const steps = [
    { id: 'x', job_id: 'a', started_at: at(1), finished_at: at(2) },
    { id: 'y', job_id: 'c', started_at: at(2), finished_at: null },
  ];
  const { nodes, edges } = litGraph(GRAPH, { starting_trigger_id: 't' }, steps);
  assert.deepEqual(nodes.filter((node) => node.lit).map((node) => node.id), ['t', 'a', 'c']);
  assert.deepEqual(edges.filter((edge) => edge.taken).map((edge) => edge.id), ['1', '3']);
  assert.equal(edges[1].label, 'on success');
});

test('an edge to what is not in the graph is left out', () => {
  const graph = { ...GRAPH, edges: [{ id: '9', source_job_id: 'gone', target_job_id: 'a' }] };
  assert.deepEqual(litGraph(graph, {}, []).edges, []);
});

test('bars are parts of the whole, and open ones reach to now', () => {
  const run = { inserted_at: at(0), claimed_at: at(2), started_at: at(4), finished_at: null };
  const steps = [{ id: 'x', started_at: at(4), finished_at: at(6), exit_reason: 'success' }, { id: 'y', started_at: at(6) }];
  const shown = timeline(run, steps, Date.parse(at(10)));
  assert.deepEqual(shown.queued, { left: 0, width: 20 });
  assert.deepEqual(shown.prepared, { left: 20, width: 20 });
  assert.deepEqual(shown.steps.map(({ bar, ms, state }) => [bar.left, bar.width, ms, state]), [
    [40, 20, 2000, 'success'], [60, 40, 4000, 'running'],
  ]);
});

test('a run that was lost before it started has a timeline too', () => {
  const shown = timeline({ inserted_at: at(0), claimed_at: null, started_at: null, finished_at: at(1) }, [], 0);
  assert.deepEqual(shown.queued, { left: 0, width: 100 });
});

test('marks are round and few', () => {
  assert.deepEqual(ticks(1120, 4), [0, 500, 1000]);
  assert.ok(ticks(90 * 86_400_000, 6).length <= 7);
});

test('a remark stands beside its event, what never came stands alone', () => {
  const history = [
    { version: 3, event: 'run:updated', state: 'started' },
    { version: 5, event: 'step:completed', step_id: 's' },
    { version: 7, event: 'run:updated', state: 'success' },
  ];
  const late = { kind: 'late', event: 'run:complete', step_id: null };
  const again = { kind: 'resent', event: 'step:complete', step_id: 's' };
  const missing = { kind: 'missing', event: 'step:start', step_id: 's' };
  const { rows, loose } = historyRows(history, [late, again, missing]);
  assert.deepEqual(rows.map((row) => row.remarks), [[], [again], [late]]);
  assert.deepEqual(loose, [missing]);
});

test('a line is drawn through the points of the layout', () => {
  assert.equal(edgePath([{ x: 0, y: 0 }, { x: 0, y: 10 }]), 'M0 0L0 10');
  assert.match(edgePath([{ x: 0, y: 0 }, { x: 5, y: 5 }, { x: 9, y: 10 }]), /^M0 0Q5 5 9 10$/);
});
