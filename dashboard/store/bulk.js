/** Retrying and cancelling many runs, with the progress that the server tells. */
import { signal } from '../lib.js';
import { refusalText } from '../pure/errors.js';
import { count } from '../pure/format.js';
import { ndjson, request } from './api.js';
import { toast } from './notices.js';

/** @typedef {{action: 'retry' | 'cancel', done: number, total: number, failed: number, finished: boolean}} Progress */

export const progress = signal(/** @type {Progress | null} */ (null));

const WORDS = { retry: 'retried', cancel: 'cancelled' };

/**
 * @param {'retry' | 'cancel'} action
 * @param {{ids: string[]} | {filter: Record<string, string>}} which
 */
export async function bulk(action, which) {
  const total = 'ids' in which ? which.ids.length : 0;
  progress.value = { action, done: 0, total, failed: 0, finished: false };
  try {
    const accept = 'application/x-ndjson';
    let [done, failed] = [0, 0];
    // One request takes so many runs; what is left has a cursor.
    for (let cursor = /** @type {string | null | undefined} */ (null); cursor !== undefined; ) {
      const body = { action, ...which, ...(cursor ? { cursor } : {}) };
      const response = await request('POST', '/api/runs/bulk', { body, accept });
      let last = { done: 0, failed: 0, total: 0, next: /** @type {string | undefined} */ (undefined) };
      for await (const told of ndjson(response)) {
        last = { ...last, ...told };
        const finished = Boolean(told.finished && !told.next);
        progress.value = { action, done: done + last.done, failed: failed + last.failed, total: done + last.total, finished };
      }
      [done, failed, cursor] = [done + last.done, failed + last.failed, last.next];
    }
    const text = `${count(done - failed)} ${WORDS[action]}${failed ? `, ${count(failed)} could not be` : ''}.`;
    toast(text, { tone: failed ? 'warn' : 'good' });
  } catch (error) {
    toast(refusalText(error), { tone: 'bad' });
  } finally {
    progress.value = null;
  }
}
