import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ago, between, count, duration, plural, shortAdaptor, size } from '../pure/format.js';

const NOW = Date.parse('2026-11-21T12:00:00Z');
const before = (ms) => new Date(NOW - ms).toISOString();

test('a time is floored, and the future is just now', () => {
  assert.equal(ago(before(59_999), NOW), '59s ago');
  assert.equal(ago(before(119_000), NOW), '1m ago');
  assert.equal(ago(before(7_199_000), NOW), '1h ago');
  assert.equal(ago(before(49 * 3_600_000), NOW), '2d ago');
  assert.equal(ago(before(-60_000), NOW), 'just now');
  assert.equal(ago(null, NOW), '–');
  assert.equal(ago('nonsense', NOW), '–');
});

test('a duration has at most two units', () => {
  const told = [0, 840, 1284, 12_470, 185_000, 7_800_000, 97 * 3_600_000].map(duration);
  assert.deepEqual(told, ['0 ms', '840 ms', '1.28 s', '12.4 s', '3m 05s', '2h 10m', '4d 1h']);
  assert.equal(duration(-5), '0 ms');
  assert.equal(duration(null), '–');
});

test('an open end is now', () => {
  assert.equal(between(before(3000), null, NOW), 3000);
  assert.equal(between(before(3000), before(1000), NOW), 2000);
  assert.equal(between(null, null, NOW), null);
});

test('counts are grouped, nouns agree', () => {
  assert.equal(count(1_234_567), '1\u202f234\u202f567');
  assert.equal(plural(1, 'run'), '1 run');
  assert.equal(plural(2, 'run'), '2 runs');
  assert.equal(size(1536), '1.5 kB');
  assert.equal(shortAdaptor('@openfn/language-http@6.0.0'), 'http@6.0.0');
});
