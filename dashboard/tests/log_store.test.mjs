import assert from 'node:assert/strict';
import { test } from 'node:test';

globalThis.document = { hidden: true };
const { LogStore } = await import('../store/logs.js');

const line = (version, level = 'info') => ({
  id: `line-${version}`, version, level, source: 'JOB', step_id: null, message: `line ${version}`,
});
const versions = (store) => store.lines.map((one) => one.version);

/** A server whose log grows: each request is answered by what `log` holds by then. */
function serve(log, limit = 2) {
  const asked = [];
  globalThis.fetch = async (url) => {
    const after = Number(new URL(url, 'http://here').searchParams.get('after') ?? 0);
    asked.push(after);
    const lines = log.filter((one) => one.version > after);
    const page = lines.slice(0, limit);
    const next = lines.length > limit ? page.at(-1).version : null;
    return Response.json({ lines: page, next, total: after ? null : log.length });
  };
  return asked;
}

test('pages follow each other to the end', async () => {
  const asked = serve([1, 2, 3, 4, 5].map((version) => line(version)));
  const store = new LogStore('run');
  await store.load();
  assert.deepEqual(versions(store), [1, 2, 3, 4, 5]);
  assert.deepEqual(asked, [0, 2, 4]);
  assert.equal(store.total.value, 5);
});

test('lines of the stream wait for what is before them, and come once', async () => {
  serve([line(1), line(2), line(3)]);
  const store = new LogStore('run');
  const loaded = store.load();
  store.push([line(3), line(4)]);
  await loaded;
  store.push([line(4), line(5, 'error')]);
  assert.deepEqual(versions(store), [1, 2, 3, 4, 5]);
  assert.equal(store.errors.value, 1);
});

test('a hole that is announced is filled before what is behind it', async () => {
  const log = [line(1), line(2)];
  serve(log);
  const store = new LogStore('run');
  await store.load();
  log.push(line(3), line(4), line(5));
  const filled = store.load();
  store.push([line(6)]);
  await filled;
  assert.deepEqual(versions(store), [1, 2, 3, 4, 5, 6]);
});

test('after an error nothing is skipped', async () => {
  const store = new LogStore('run');
  globalThis.fetch = async () => {
    throw new TypeError('no network');
  };
  await store.load();
  assert.equal(store.error.value.code, 'unreachable');
  store.push([line(3)]);
  serve([line(1), line(2), line(3)]);
  await store.load();
  assert.deepEqual(versions(store), [1, 2, 3]);
});

test('lines that come while a filter is in force are looked at, too', async () => {
  serve([line(1), line(2, 'error')]);
  const store = new LogStore('run');
  await store.load();
  await store.filter({ level: 'error', query: '', step: '' });
  store.push([line(3), line(4, 'error')]);
  assert.deepEqual([0, 1].map((row) => store.at(row).version), [2, 4]);
  await store.filter({ level: '', query: '', step: '' });
  assert.equal(store.count, 4);
});
