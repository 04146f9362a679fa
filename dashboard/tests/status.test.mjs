import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INITIAL, reduce } from '../pure/status.js';

const after = (...events) => events.reduce(reduce, INITIAL);
const OPENED = { type: 'opened' };
const joining = (key) => ({ type: 'joining', key });
const joined = (key) => ({ type: 'joined', key });

test('it is live only when every topic is joined and nothing is being fetched', () => {
  assert.equal(after().state, 'connecting');
  assert.equal(after(OPENED, joining('a'), joining('b'), joined('a')).state, 'behind');
  assert.equal(after(OPENED, joining('a'), joined('a')).state, 'live');
  assert.equal(after(OPENED, { type: 'catching', key: 'x' }).state, 'behind');
  assert.equal(after(OPENED, { type: 'catching', key: 'x' }, { type: 'caught', key: 'x' }).state, 'live');
});

test('it is offline since the first loss, however often it is tried again', () => {
  const lost = after(OPENED, { type: 'closed', at: 5 }, { type: 'closed', at: 9 });
  assert.deepEqual([lost.state, lost.since, lost.drops], ['offline', 5, 1]);
  assert.equal(reduce(lost, OPENED).since, null);
});

test('a server that was never reached is offline, not connecting for ever', () => {
  const never = after({ type: 'closed', at: 3 }, { type: 'closed', at: 8 });
  assert.deepEqual([never.state, never.since], ['offline', 3]);
});

test('after a break it is behind until all topics are joined again', () => {
  const back = after(OPENED, joining('a'), joined('a'), { type: 'closed', at: 1 }, joining('a'), OPENED);
  assert.equal(back.state, 'behind');
  assert.equal(reduce(back, joined('a')).state, 'live');
  assert.equal(reduce(back, { type: 'left', key: 'a' }).state, 'live');
});
