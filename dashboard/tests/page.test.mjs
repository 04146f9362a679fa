import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain, refusalText } from '../pure/errors.js';
import { entriesOf, kindOf, summaryOf } from '../pure/json.js';
import { isField, meaning } from '../pure/keys.js';
import { chartColumns, failureShare, mergeWorkers, summary } from '../pure/overview.js';
import { FINAL, lookOf, stepState } from '../pure/states.js';
import { weekOf } from '../pure/workflow_stats.js';

test('a letter after g goes somewhere, anything else does not', () => {
  const places = { r: '/runs' };
  assert.deepEqual(meaning('g', false, places), { action: 'pending' });
  assert.deepEqual(meaning('r', true, places), { action: 'go', path: '/runs' });
  assert.deepEqual(meaning('r', false, places), { action: 'none' });
  assert.deepEqual(meaning('?', true, places), { action: 'none' });
});

test('what is typed into a field is text', () => {
  assert.ok(isField({ tagName: 'INPUT', type: 'search' }) && isField({ tagName: 'TEXTAREA' }));
  assert.ok(!isField({ tagName: 'INPUT', type: 'checkbox' }) && !isField({ tagName: 'TR' }));
});

test('the overview sums states, and workers may be pushed per project', () => {
  const told = summary({ runs: { started: 2, claimed: 1, success: 5, lost: 1 }, queue: { depth: 7 } });
  assert.deepEqual(told, { queued: 7, running: 3, finished: 6, failed: 1 });
  const one = { id: '1', name: 'b' };
  const two = { id: '2', name: 'a', online: false };
  assert.deepEqual(mergeWorkers([two, one], null), [one, two]);
  assert.deepEqual(mergeWorkers([], { p: [one], q: [one, two] }), [one, two]);
  assert.deepEqual(mergeWorkers([two], { p: [one] }, 'q'), [two]);
});

test('a share of failures is never rounded to nothing', () => {
  const minutes = [{ minute: '2026-11-21T10:00:00Z', finished: 999, failed: 1 }];
  assert.equal(failureShare(minutes), '< 1 %');
  assert.equal(failureShare([]), null);
  assert.deepEqual(chartColumns(minutes)[1], [999]);
});

test('a step is over when it has an end or a reason', () => {
  assert.equal(stepState(null), 'pending');
  assert.equal(stepState({ started_at: 'x', finished_at: null }), 'running');
  assert.equal(stepState({ finished_at: 'x', exit_reason: 'fail' }), 'failed');
  assert.equal(stepState({ finished_at: 'x', exit_reason: 'lost' }), 'lost');
});

test('every state that ends a run has a look, an unknown one has its name', () => {
  assert.ok(FINAL.every((state) => lookOf(state).hint));
  assert.equal(lookOf('new').label, 'new');
});

test('errors are explained by type, else by the state they led to', () => {
  assert.match(explain('LostAfterDisconnect', 'lost').title, /went away/);
  assert.match(explain('Unheard', 'killed').title, /ended/);
  assert.equal(explain(null, 'success'), null);
  assert.match(refusalText({ code: 'forbidden' }), /operator/);
  assert.equal(refusalText({ code: 'x', message: 'why' }), 'why');
});

test('JSON has kinds', () => {
  assert.deepEqual([null, [], {}, 'a', 1, true].map(kindOf), ['null', 'array', 'object', 'string', 'number', 'boolean']);
  assert.deepEqual(entriesOf(['x']), [['0', 'x']]);
  assert.equal(summaryOf({ a: 1 }), '{ } 1 field');
  assert.equal(summaryOf([]), '[]');
});

test('days are weighed by their runs', () => {
  const days = [
    { workflow_id: 'w', total: 3, p50_s: 1, p95_s: 2 }, { workflow_id: 'w', total: 1, p50_s: 5, p95_s: 6 },
    { workflow_id: 'v', total: 9, p50_s: 9, p95_s: 9 },
  ];
  assert.deepEqual(weekOf(days, 'w'), { p50: 2, p95: 3, total: 4 });
  assert.equal(weekOf([], 'w'), null);
});
