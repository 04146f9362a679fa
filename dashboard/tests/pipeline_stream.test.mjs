import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  PipelineStreamStore, PipelineSubscriber, failedMessages, hasError, isFinished,
} from '../store/pipeline_stream.js';

const running = { job_id: 1, job_type: 'csv_ingest', state: 'RUNNING', result: null, status_message: null };
const done = { ...running, state: 'FINISHED', result: 'SUCCESS', status_message: 'Success' };
const failed = { ...running, state: 'FINISHED', result: 'ERROR', status_message: 'no factors' };

/** A store with snapshots that are answered by hand, and sources that are listed. */
function stage() {
  const snapshots = [];
  const sources = [];
  const logged = [];
  class Source {
    constructor(id, tell) {
      Object.assign(this, { id, tell, closed: false });
      sources.push(this);
    }

    close() {
      this.closed = true;
    }
  }
  const fetchSnapshot = (id) =>
    new Promise((resolve, reject) => snapshots.push({ id, resolve, reject }));
  const store = new PipelineStreamStore({ fetchSnapshot, Source, log: (...words) => logged.push(words) });
  return { store, snapshots, sources, logged };
}

test('the snapshot comes first: what is over already is never streamed', async () => {
  const { store, snapshots, sources } = stage();
  const looking = new PipelineSubscriber(store).subscribe('p');
  assert.equal(sources.length, 0);
  snapshots[0].resolve({ jobs: [done], progress: { done: true } });
  await looking;
  assert.equal(sources.length, 0);
  assert.equal(isFinished(store.state('p').value), true);
});

test('what is not over is streamed from the snapshot on', async () => {
  const { store, snapshots, sources } = stage();
  const looking = new PipelineSubscriber(store).subscribe('p');
  snapshots[0].resolve({ jobs: [running], progress: { done: false, phase: 1 } });
  await looking;
  assert.equal(sources.length, 1);
  sources[0].tell({ jobs: [running, running], progress: { done: false, phase: 2 } });
  assert.equal(store.state('p').value.jobs.length, 2);
  assert.equal(store.state('p').value.progress.phase, 2);
});

test('a snapshot that fails is no reason not to stream', async () => {
  const { store, snapshots, sources } = stage();
  const looking = new PipelineSubscriber(store).subscribe('p');
  snapshots[0].reject(new Error('503'));
  await looking;
  assert.equal(sources.length, 1);
  assert.equal(isFinished(store.state('p').value), false);
});

test('who looked away before the snapshot came opens nothing', async () => {
  const { store, snapshots, sources } = stage();
  const one = new PipelineSubscriber(store);
  const looking = one.subscribe('p');
  one.release();
  snapshots[0].resolve({ jobs: [running] });
  await looking;
  assert.equal(sources.length, 0);
  assert.equal(store.state('p').value, null);
});

test('who looked away and back gets one source, from the second look', async () => {
  const { store, snapshots, sources } = stage();
  const one = new PipelineSubscriber(store);
  const first = one.subscribe('p');
  one.unsubscribe('p');
  const second = one.subscribe('p');
  snapshots[0].resolve({ jobs: [running] });
  await first;
  assert.equal(sources.length, 0);
  snapshots[1].resolve({ jobs: [running] });
  await second;
  assert.equal(sources.length, 1);
  assert.equal(store.state('p').value.subscriberCount, 1);
});

test('subscribing twice is once; two who look share a source; the last closes it', async () => {
  const { store, snapshots, sources } = stage();
  const one = new PipelineSubscriber(store);
  const two = new PipelineSubscriber(store);
  const looking = [one.subscribe('p'), one.subscribe('p'), two.subscribe('p')];
  assert.equal(snapshots.length, 2);
  assert.equal(store.state('p').value.subscriberCount, 2);
  for (const each of snapshots) each.resolve({ jobs: [running] });
  await Promise.all(looking);
  assert.equal(sources.length, 1);
  one.release();
  assert.equal(sources[0].closed, false);
  two.unsubscribe('p');
  two.unsubscribe('p');
  assert.equal(sources[0].closed, true);
  assert.equal(store.state('p').value, null);
});

test('the end closes the source, so that it does not come back by itself', async () => {
  const { store, snapshots, sources } = stage();
  const looking = new PipelineSubscriber(store).subscribe('p');
  snapshots[0].resolve({ jobs: [running] });
  await looking;
  sources[0].tell({ jobs: [done], stream_closed: true });
  assert.equal(sources[0].closed, true);
  assert.equal(store.state('p').value.closed, true);
});

test('a source that tells the end while it is being made is closed', async () => {
  const { store, snapshots } = stage();
  const made = [];
  store.Source = class {
    constructor(id, tell) {
      made.push(this);
      tell({ jobs: [done], stream_closed: true });
    }

    close() {
      this.closed = true;
    }
  };
  const looking = new PipelineSubscriber(store).subscribe('p');
  snapshots[0].resolve({ jobs: [running] });
  await looking;
  assert.equal(made[0].closed, true);
  assert.equal(store.sources.size, 0);
});

test('what is no update is logged and ignored', async () => {
  const { store, snapshots, sources, logged } = stage();
  const looking = new PipelineSubscriber(store).subscribe('p');
  snapshots[0].resolve({ jobs: [running] });
  await looking;
  for (const odd of [null, undefined, 'x', {}, { jobs: 7 }]) sources[0].tell(odd);
  assert.equal(logged.length, 5);
  assert.deepEqual(store.state('p').value.jobs, [running]);
});

test('known progress is never cleared by an update without it', async () => {
  const { store, snapshots, sources } = stage();
  const looking = new PipelineSubscriber(store).subscribe('p');
  snapshots[0].resolve({ jobs: [running], progress: { done: false, phase: 2 } });
  await looking;
  sources[0].tell({ jobs: [running] });
  assert.equal(store.state('p').value.progress.phase, 2);
});

test('finished, failed and its messages follow from the jobs', () => {
  const base = { jobs: [running], closed: false, subscriberCount: 1, progress: null, pipeline: null };
  assert.equal(isFinished(null), false);
  assert.equal(isFinished(base), false);
  assert.equal(isFinished({ ...base, closed: true }), true);
  assert.equal(isFinished({ ...base, progress: { done: true } }), true);
  const bad = { ...base, jobs: [running, failed, { ...failed, status_message: null }] };
  assert.equal(isFinished(bad), true);
  assert.equal(hasError(bad), true);
  assert.equal(hasError({ ...base, progress: { has_error: true } }), true);
  assert.equal(hasError(base), false);
  assert.deepEqual(failedMessages(bad), ['no factors']);
});
