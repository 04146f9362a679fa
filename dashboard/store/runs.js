/**
 * A live list of runs. Each run is a signal of its own; the list of ids changes only when rows come
 * or go. Runs that appear meanwhile wait in `fresh`, so that nothing moves under the reader's eyes.
 */
import { batch, computed, signal } from '../lib.js';
import { filtersOf, insertRows, matches, newer } from '../pure/run_list.js';
import { getJson } from './api.js';
import { onRuns, whenMissed } from './feed.js';

const PAGE = 50;
const LARGEST_PAGE = 500;
/** A list that is followed for hours begins anew at this many rows. */
const LONGEST = 2000;

export class RunList {
  /** @param {Record<string, string>} query of the page @param {{limit?: number, follow?: boolean, fixed?: boolean}} [options] `fixed` never shows more than `limit` */
  constructor(query, { limit = PAGE, follow = false, fixed = false } = {}) {
    this.fixed = fixed;
    this.limit = limit;
    this.follow = follow;
    this.filters = filtersOf(query, Date.now());
    this.ids = signal(/** @type {string[]} */ ([]));
    this.fresh = signal(/** @type {string[]} */ ([]));
    this.counts = signal(/** @type {Record<string, number> | null} */ (null));
    /** How many runs fit in all; null when it was not told. */
    this.total = computed(() => {
      const counts = this.counts.value;
      if (!counts) return null;
      const states = this.filters.state?.split(',') ?? Object.keys(counts);
      return states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
    });
    this.loading = signal(false);
    this.loaded = signal(false);
    this.error = signal(/** @type {any} */ (null));
    this.next = signal(/** @type {string | null} */ (null));
    /** @type {Map<string, import('../vendor/signals.js').Signal<any>>} */
    this.rows = new Map();
    /** @type {AbortController | null} */
    this.current = null;
  }

  /** @returns {() => void} ends it */
  start() {
    const stops = [onRuns((changes) => this.apply(changes)), whenMissed(() => this.resync())];
    this.reload();
    return () => {
      for (const stop of stops) stop();
      this.current?.abort();
    };
  }

  /** @param {string} id read it while rendering: it may be a signal's value */
  get = (id) => this.rows.get(id)?.value;

  /** @param {string} id */
  peek = (id) => this.rows.get(id)?.peek();

  /** What is shown anew, as far as one page goes, so that nothing vanishes under the reader's eyes. */
  resync() {
    return this.fetch(null, Math.min(LARGEST_PAGE, Math.max(this.limit, this.ids.peek().length)));
  }

  /** The first page anew; what changed meanwhile is not undone by an older answer. */
  async reload() {
    await this.fetch(null);
  }

  async more() {
    if (this.next.value && !this.loading.value) await this.fetch(this.next.value);
  }

  /** @param {string | null} cursor @param {number} [limit] */
  async fetch(cursor, limit = this.limit) {
    this.current?.abort();
    const mine = new AbortController();
    this.current = mine;
    this.loading.value = true;
    try {
      const query = { ...this.filters, limit, cursor };
      const answer = await getJson('/api/runs', query, mine.signal);
      if (this.current !== mine) return;
      batch(() => this.take(answer, cursor !== null));
    } catch (problem) {
      if (this.current === mine) this.error.value = problem;
    } finally {
      if (this.current === mine) {
        this.current = null;
        this.loading.value = false;
      }
    }
  }

  /** Only the counts anew. */
  async recount() {
    const answer = await getJson('/api/runs', { ...this.filters, limit: 1 }).catch(() => null);
    if (answer?.counts) this.counts.value = answer.counts;
  }

  /** @param {any} answer @param {boolean} append */
  take(answer, append) {
    for (const run of answer.runs) this.put(run);
    const ids = answer.runs.map((/** @type {any} */ run) => run.id);
    this.ids.value = append ? [...new Set([...this.ids.value, ...ids])] : ids;
    this.next.value = answer.next ?? null;
    if (answer.counts) this.counts.value = answer.counts;
    this.error.value = null;
    this.loaded.value = true;
    if (!append) this.fresh.value = [];
  }

  /** @param {any} run @returns {boolean} whether it is a row of its own now */
  put(run) {
    const row = this.rows.get(run.id);
    if (!row) this.rows.set(run.id, signal(run));
    else if (newer(row.peek(), run)) row.value = { ...row.peek(), ...run };
    return !row;
  }

  /** @param {{kind: string, run: any}[]} changes */
  apply(changes) {
    const shown = new Set(this.ids.peek());
    const fresh = new Set(this.fresh.peek());
    const before = fresh.size;
    for (const { run } of changes) {
      if (shown.has(run.id)) this.put(run);
      else if (matches(run, this.filters)) {
        this.put(run);
        fresh.add(run.id);
      } else fresh.delete(run.id);
    }
    if (fresh.size === before && !fresh.size) return;
    this.fresh.value = [...fresh];
    if (this.follow) this.showFresh();
  }

  /** Puts what is new in its place. */
  showFresh() {
    const all = insertRows(this.ids.peek(), this.fresh.peek(), this.peek);
    this.ids.value = this.fixed ? all.slice(0, this.limit) : all;
    this.fresh.value = [];
    this.prune();
    // Rows cannot be dropped at the end, as the next page begins behind them.
    if (all.length > LONGEST) this.reload();
  }

  prune() {
    if (this.rows.size < this.ids.peek().length + LONGEST) return;
    const kept = new Set([...this.ids.peek(), ...this.fresh.peek()]);
    for (const id of this.rows.keys()) if (!kept.has(id)) this.rows.delete(id);
  }
}
