import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PipelineStateStore } from '../store/pipeline_state.js';

/** A store whose requests are answered by hand. */
function stage() {
  const asked = [];
  const store = new PipelineStateStore((year, modules) => {
    let answer;
    const promise = new Promise((resolve) => (answer = resolve));
    asked.push({ year, modules, answer });
    return promise;
  });
  return { store, asked };
}

test('many modules cost one request, and each of them has an answer afterwards', async () => {
  const { store, asked } = stage();
  const loading = store.loadFor(2025, [3, 5, 8]);
  assert.deepEqual(asked.map(({ year, modules }) => [year, modules]), [[2025, [3, 5, 8]]]);
  asked[0].answer({ 3: 'a', 8: 'b' });
  await loading;
  assert.deepEqual([3, 5, 8].map((module) => store.getPipelineId(module, 2025)), ['a', null, 'b']);
});

test('loaded and none is not the same as never loaded', async () => {
  const { store, asked } = stage();
  const loading = store.loadFor(2025, [5]);
  assert.equal(store.isLoaded(5, 2025), false);
  asked[0].answer({});
  await loading;
  assert.equal(store.isLoaded(5, 2025), true);
  assert.equal(store.isLoaded(5, 2024), false);
  assert.equal(store.getPipelineId(5, 2025), null);
  assert.equal(store.getPipelineId(5, 2024), null);
});

test('an empty list, and module 0, ask nothing', async () => {
  const { store, asked } = stage();
  await store.loadFor(2025, []);
  await store.loadFor(2025, [0]);
  assert.equal(asked.length, 0);
  const loading = store.loadFor(2025, [0, 3, 3]);
  assert.deepEqual(asked[0].modules, [3]);
  asked[0].answer({});
  await loading;
  assert.equal(store.isLoaded(0, 2025), false);
});

test('years are kept apart', async () => {
  const { store, asked } = stage();
  const both = [store.loadFor(2024, [3]), store.loadFor(2025, [3])];
  asked[1].answer({ 3: 'new' });
  asked[0].answer({ 3: 'old' });
  await Promise.all(both);
  assert.equal(store.getPipelineId(3, 2024), 'old');
  assert.equal(store.getPipelineId(3, 2025), 'new');
});

test('what a dispatch answered is known at once, and no older list takes it away', async () => {
  const { store, asked } = stage();
  const loading = store.loadFor(2025, [3, 5]);
  store.setPipelineId(3, 2025, 'fresh');
  assert.equal(store.getPipelineId(3, 2025), 'fresh');
  asked[0].answer({});
  await loading;
  assert.equal(store.getPipelineId(3, 2025), 'fresh');
  assert.equal(store.isLoaded(5, 2025), true);
  const later = store.loadFor(2025, [3]);
  asked[1].answer({});
  await later;
  assert.equal(store.getPipelineId(3, 2025), null);
});

test('clear forgets everything', async () => {
  const { store } = stage();
  store.setPipelineId(3, 2025, 'a');
  store.clear();
  assert.equal(store.isLoaded(3, 2025), false);
});
