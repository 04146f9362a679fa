import assert from 'node:assert/strict';
import { test } from 'node:test';
import { href, matchRoute, takeToken } from '../pure/route.js';

const VIEWS = [
  { name: 'overview', path: '/' }, { name: 'runs', path: '/runs' }, { name: 'run', path: '/runs/:id' },
];

test('a path names its view, its parts and its query', () => {
  assert.equal(matchRoute(VIEWS, '/', '').name, 'overview');
  assert.deepEqual(matchRoute(VIEWS, '/runs/a%20b/', '?tab=data').params, { id: 'a b' });
  assert.deepEqual(matchRoute(VIEWS, '/runs', '?state=failed').query, { state: 'failed' });
  assert.equal(matchRoute(VIEWS, '/else', '').name, 'missing');
  assert.equal(matchRoute(VIEWS, '/runs//', '').name, 'runs');
});

test('a part that is badly encoded is taken as it is', () => {
  assert.deepEqual(matchRoute(VIEWS, '/runs/%E0%A4%A', '').params, { id: '%E0%A4%A' });
});

test('a query leaves out what is empty', () => {
  assert.equal(href('/runs', { state: 'failed', q: '', worker: null }), '/runs?state=failed');
  assert.equal(href('/runs'), '/runs');
});

test('the token is taken out of the fragment, the rest stays', () => {
  assert.deepEqual(takeToken('#token=a.b-c'), { token: 'a.b-c', rest: '' });
  assert.deepEqual(takeToken('#top&token=x'), { token: 'x', rest: '#top' });
  assert.deepEqual(takeToken('#token='), { token: null, rest: '' });
  assert.deepEqual(takeToken(''), { token: null, rest: '' });
});
