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
    const response = await request('POST', '/api/runs/bulk', { body: { action, ...which }, accept });
    for await (const told of ndjson(response)) progress.value = { .../** @type {Progress} */ (progress.value), ...told };
    const { done, failed } = /** @type {Progress} */ (progress.value);
    const text = `${count(done - failed)} ${WORDS[action]}${failed ? `, ${count(failed)} could not be` : ''}.`;
    toast(text, { tone: failed ? 'warn' : 'good' });
  } catch (error) {
    toast(refusalText(error), { tone: 'bad' });
  } finally {
    progress.value = null;
  }
}
