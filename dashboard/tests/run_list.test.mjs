import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filtersOf, insertRows, matches, newer, toggleState } from '../pure/run_list.js';

const run = (id, minute, more = {}) => ({
  id, inserted_at: `2026-11-21T10:${String(minute).padStart(2, '0')}:00+00:00`, state: 'started',
  project_id: 'p', workflow_id: 'w', worker_name: 'one', ...more,
});

test('rows are put in their place, newest first, once', () => {
  const runs = { a: run('a', 1), b: run('b', 2), c: run('c', 3), d: run('d', 2) };
  assert.deepEqual(insertRows(['b', 'a'], ['c', 'd', 'b'], (id) => runs[id]), ['c', 'd', 'b', 'a']);
});

test('a list without new rows stays the same list', () => {
  const ids = ['b', 'a'];
  assert.equal(insertRows(ids, ['a'], () => null), ids);
});

test('a filter is asked of the run alone, and text is the server\'s to find', () => {
  const one = run('a', 30);
  assert.ok(matches(one, {}));
  assert.ok(matches(one, { state: 'failed,started', project: 'p', workflow: 'w', worker: 'one' }));
  assert.ok(!matches(one, { state: 'failed' }));
  assert.ok(!matches(one, { from: '2026-11-21T10:31:00Z' }));
  assert.ok(!matches(one, { to: '2026-11-21T10:30:00Z' }));
  assert.ok(!matches(one, { q: 'started' }));
});

test('an older version never replaces a newer one', () => {
  assert.ok(newer(undefined, { version: 1 }));
  assert.ok(newer({ version: 2 }, { version: 2 }));
  assert.ok(!newer({ version: 3 }, { version: 2 }));
});

test('a range counts back from now', () => {
  const now = Date.parse('2026-11-21T10:00:00Z');
  assert.deepEqual(filtersOf({ range: '1h', state: 'lost', tab: 'x' }, now), {
    state: 'lost', from: '2026-11-21T09:00:00.000Z',
  });
});

test('states are chosen and unchosen', () => {
  assert.equal(toggleState(undefined, 'lost'), 'lost');
  assert.equal(toggleState('lost', 'failed'), 'lost,failed');
  assert.equal(toggleState('lost,failed', 'lost'), 'failed');
  assert.equal(toggleState('lost', 'lost'), null);
});
