import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRow, flatten, isAlarming, verdict, whyStale } from '../pure/health.js';

test('a check says what is wrong, and what is fine when nothing is', () => {
  assert.deepEqual(checkRow('database', { ok: true, detail: null }), {
    name: 'Database', ok: true, text: 'answers',
  });
  assert.equal(checkRow('migrations', { ok: false, detail: 'pending: 0012' }).text, 'pending: 0012');
  assert.deepEqual(checkRow('other_thing', undefined), { name: 'Other thing', ok: null, text: 'not told' });
});

test('the verdict names what is broken before what is stale', () => {
  const bad = checkRow('listener', { ok: false });
  const good = checkRow('database', { ok: true });
  assert.deepEqual(verdict([good, bad], 3).text, 'Look at: listener.');
  assert.equal(verdict([good], 1).tone, 'warn');
  assert.equal(verdict([good], 1).text, 'One total is behind its data.');
  assert.equal(verdict([good], 0).tone, 'good');
});

test('what is merely old or being computed alarms nobody', () => {
  const entry = (why_stale, inputs_newer = false) => ({ why_stale, inputs_newer });
  assert.equal(isAlarming(entry('last_aggregation_too_old')), false);
  assert.equal(isAlarming(entry('pending_aggregation_stuck')), false);
  assert.equal(isAlarming(entry('last_aggregation_too_old', true)), true);
  assert.equal(isAlarming(entry('last_aggregation_failed')), true);
  assert.equal(whyStale(entry('no_aggregation_ever', true)), 'never computed, and data came after it');
});

test('limits are rows, however they are nested', () => {
  assert.deepEqual(flatten({ a: 1048576, b: { c: 0.5, d: null }, e: [] }), [
    ['a', '1\u202f048\u202f576'], ['b.c', '0.5'], ['b.d', 'none'], ['e', 'none'],
  ]);
});
