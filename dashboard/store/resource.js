/**
 * What is fetched for a view: keeps what it has while it fetches anew, drops answers that were
 * overtaken, and is fetched again when the stream could not say what was missed.
 */
import { signal, useEffect, useMemo } from '../lib.js';
import { whenMissed } from './feed.js';
import { signInReason, token } from './session.js';

/**
 * @template T
 * @typedef {object} Resource
 * @property {import('../vendor/signals.js').Signal<T | null>} data
 * @property {import('../vendor/signals.js').Signal<any>} error
 * @property {import('../vendor/signals.js').Signal<boolean>} loading
 * @property {() => Promise<void>} reload
 * @property {() => void} stop
 */

/**
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} fetcher
 * @returns {Resource<T>}
 */
export function resource(fetcher) {
  const data = signal(/** @type {T | null} */ (null));
  const error = signal(/** @type {any} */ (null));
  const loading = signal(false);
  /** @type {AbortController | null} */
  let current = null;
  async function reload() {
    current?.abort();
    const mine = new AbortController();
    current = mine;
    loading.value = true;
    try {
      const answer = await fetcher(mine.signal);
      if (current !== mine) return;
      data.value = answer;
      error.value = null;
    } catch (problem) {
      if (current === mine && !mine.signal.aborted) error.value = problem;
    } finally {
      if (current === mine) {
        current = null;
        loading.value = false;
      }
    }
  }
  return { data, error, loading, reload, stop: () => current?.abort() };
}

/**
 * A resource of the component that calls this; fetched when it appears, when `key` changes, after a
 * new sign-in, and when changes were missed.
 * @template T
 * @param {string} key
 * @param {(signal: AbortSignal) => Promise<T>} fetcher
 * @returns {Resource<T>}
 */
export function useResource(key, fetcher) {
  const made = useMemo(() => resource(fetcher), [key]);
  const ready = Boolean(token.value) && !signInReason.value;
  useEffect(() => {
    if (!ready) return undefined;
    made.reload();
    const forget = whenMissed(made.reload);
    return () => {
      forget();
      made.stop();
    };
  }, [made, ready]);
  return made;
}
