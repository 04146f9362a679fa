import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextError, predicate, pretty, select, textOf } from '../pure/log_lines.js';
import { atEnd, scrollFor, visibleRows } from '../pure/virtual.js';

const LINES = [
  { level: 'info', message: 'Fetching orders', step_id: 'a' },
  { level: 'debug', message: 'detail', step_id: 'a' },
  { level: 'error', message: 'No ORDER', step_id: 'b' },
  { level: 'warn', message: ['two', { x: 1 }], step_id: null },
];
const chosen = (wanted) => {
  const into = [];
  select(LINES, predicate({ level: '', query: '', step: '', ...wanted }), 0, LINES.length, into);
  return into;
};

test('a level wants itself and what is worse', () => {
  assert.deepEqual(chosen({ level: 'info' }), [0, 2, 3]);
  assert.deepEqual(chosen({ level: 'warn' }), [2, 3]);
});

test('text is found in any case, steps alone', () => {
  assert.deepEqual(chosen({ query: 'order' }), [0, 2]);
  assert.deepEqual(chosen({ step: 'a' }), [0, 1]);
  assert.deepEqual(chosen({ query: '"x":1' }), [3]);
});

test('wanting everything needs no list', () => {
  assert.equal(predicate({ level: '', query: '  ', step: '' }), null);
});

test('the next error is looked for around the end', () => {
  const at = (row) => LINES[row];
  assert.equal(nextError(at, 4, -1), 2);
  assert.equal(nextError(at, 4, 2), 2);
  assert.equal(nextError(at, 2, -1), -1);
});

test('messages are text, and JSON is laid out to read', () => {
  assert.equal(textOf(['a', 1, null]), 'a 1 null');
  assert.equal(pretty('{"a":1}'), '{\n  "a": 1\n}');
  assert.equal(pretty('{broken'), '{broken');
});

test('of a hundred thousand rows only those in sight are drawn', () => {
  const { first, last, offset, total } = visibleRows(1_000_000, 600, 24, 100_000);
  assert.ok(last - first <= 26 + 24 && first * 24 === offset && total === 2_400_000);
  assert.ok(first <= 1_000_000 / 24 && last >= 1_000_600 / 24);
});

test('a list that became shorter than its scroll shows its end', () => {
  const { first, last } = visibleRows(50_000, 600, 24, 10);
  assert.ok(first <= 9 && last === 10);
  assert.deepEqual(visibleRows(0, 600, 24, 0), { first: 0, last: 0, offset: 0, total: 0 });
});

test('scrolling goes no further than needed', () => {
  assert.equal(scrollFor(5, 0, 240, 24), null);
  assert.equal(scrollFor(20, 0, 240, 24), 264);
  assert.equal(scrollFor(2, 100, 240, 24), 48);
  assert.ok(atEnd(760, 240, 1000, 24) && !atEnd(500, 240, 1000, 24));
});
