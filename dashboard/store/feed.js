/**
 * The projects' streams: what happens to runs and workers, while it happens. Each project keeps the
 * cursor of the last change it saw and resumes from there; when the server no longer has what was
 * missed, everything on the page is fetched anew, and until then the page says it is behind.
 */
import { effect, signal } from '../lib.js';
import { getJson } from './api.js';
import { caught, catching, subscribe } from './connection.js';
import { inNextFrame } from './frames.js';
import { expiryTime, me, signInReason, token, tokenRefused } from './session.js';

/** @typedef {{kind: 'created' | 'updated', run: any}} RunChange */

const RETRY = 2000;

/** Grows with each batch of changes; who shows sums of runs reloads them (seldom). */
export const changes = signal(0);
/** The workers as last pushed, by project; null until a first push. */
export const pushedWorkers = signal(/** @type {Record<string, any[]> | null} */ (null));

/** @type {Set<(batch: RunChange[]) => void>} */
const runListeners = new Set();
/** @type {Set<() => any>} */
const refreshers = new Set();
/** @type {RunChange[]} */
let collected = [];

/** @param {(batch: RunChange[]) => void} listener called once per frame @returns {() => void} */
export function onRuns(listener) {
  runListeners.add(listener);
  return () => runListeners.delete(listener);
}

/** @param {() => any} reload called when changes were missed for good @returns {() => void} */
export function whenMissed(reload) {
  refreshers.add(reload);
  return () => refreshers.delete(reload);
}

/** @param {'created' | 'updated'} kind @param {any} payload */
function collect(kind, payload) {
  if (!payload?.run) return;
  collected.push({ kind, run: payload.run });
  if (collected.length === 1) inNextFrame(deliver);
}

function deliver() {
  const batch = collected;
  collected = [];
  for (const listener of runListeners) listener(batch);
  changes.value += 1;
}

/** Fetches everything that is shown anew. @param {string} key who asks */
export async function refetch(key) {
  catching(key);
  try {
    await Promise.allSettled([...refreshers].map((reload) => reload()));
    inNextFrame(() => (changes.value += 1));
  } finally {
    caught(key);
  }
}

/** @param {string} id @returns {() => void} */
function followProject(id) {
  const topic = `project:${id}`;
  /** @type {string | null} */
  let cursor = null;
  const seen = (/** @type {any} */ payload) => {
    if (payload?.cursor) cursor = payload.cursor;
  };
  return subscribe(topic, {
    params: () => (cursor ? { since: cursor } : {}),
    onJoin(reply, again) {
      const missed = again && (cursor === null || reply?.complete === false);
      // After a complete replay the cursor moves with the replayed changes themselves.
      if (cursor === null || reply?.complete === false) cursor = reply?.cursor ?? null;
      // The first join, too: what was fetched before it may already be old.
      if (missed || !again) refetch(topic);
    },
    on: {
      'run:created': (payload) => {
        seen(payload);
        collect('created', payload);
      },
      'run:updated': (payload) => {
        seen(payload);
        collect('updated', payload);
      },
      'workers:changed': (payload) => {
        inNextFrame(() => {
          pushedWorkers.value = { ...pushedWorkers.value, [id]: payload.workers };
        });
      },
    },
  });
}

/** Until it is known which projects to follow, nothing is live. */
async function learn() {
  catching('me');
  try {
    me.value = await getJson('/api/me');
  } catch {
    if (token.peek() && !signInReason.peek()) setTimeout(learn, RETRY);
    return;
  }
  caught('me');
}

/** Learns who is signed in, then follows all projects of the token. */
export function startFeed() {
  effect(() => {
    if (token.value && !signInReason.value) learn();
  });
  /** @type {Map<string, () => void>} */
  const followed = new Map();
  effect(() => {
    const wanted = new Set((me.value?.projects ?? []).map((project) => project.id));
    for (const [id, stop] of followed) {
      if (wanted.has(id)) continue;
      stop();
      followed.delete(id);
    }
    for (const id of wanted) if (!followed.has(id)) followed.set(id, followProject(id));
  });
  startExpiry();
}

/** Says so at the very moment the token ends, instead of at the next request. */
function startExpiry() {
  /** @type {any} */
  let timer = null;
  effect(() => {
    clearTimeout(timer);
    const expires = me.value?.expires_at;
    if (expires === null || expires === undefined || signInReason.value) return;
    const wait = expiryTime(expires) - Date.now();
    if (wait < 2 ** 31) timer = setTimeout(tokenRefused, Math.max(0, wait));
  });
}
