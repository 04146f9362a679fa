/**
 * The log of one run: fetched page by page, continued by the stream, filtered in slices, so that a
 * hundred thousand lines never hold up the page.
 */
import { signal } from '../lib.js';
import { predicate, select } from '../pure/log_lines.js';
import { getJson } from './api.js';
import { inNextFrame } from './frames.js';

const PAGE = 1000;
const SEEN_EVERY = 250;
/** Lines that are looked at before the page may breathe. */
const SLICE = 4000;

export class LogStore {
  /** @param {string} runId */
  constructor(runId) {
    this.runId = runId;
    /** @type {import('../pure/log_lines.js').Line[]} */
    this.lines = [];
    this.ids = new Set();
    /** Indexes of the lines that are wanted; null when all are. @type {number[] | null} */
    this.chosen = null;
    /** Grows with every change of what is shown. */
    this.revision = signal(0);
    this.total = signal(/** @type {number | null} */ (null));
    this.loading = signal(true);
    this.filtering = signal(false);
    this.error = signal(/** @type {any} */ (null));
    this.errors = signal(0);
    /** @type {any[]} lines of the stream while older ones are still being fetched */
    this.waiting = [];
    this.after = 0;
    this.wanted = null;
    this.filterRound = 0;
    this.looked = 0;
    this.stopped = false;
  }

  get count() {
    return this.chosen ? this.chosen.length : this.lines.length;
  }

  /** @param {number} row of those that are shown */
  at(row) {
    return this.lines[this.chosen ? this.chosen[row] : row];
  }

  stop() {
    this.stopped = true;
  }

  /** Fetches whatever is behind the last line known. */
  async load() {
    if (this.fetching) {
      this.again = true;
      return;
    }
    this.fetching = true;
    this.loading.value = true;
    this.error.value = null;
    try {
      do {
        this.again = false;
        for (let more = true; more && !this.stopped;) more = await this.page();
      } while (this.again && !this.stopped);
    } catch (problem) {
      this.error.value = problem;
    } finally {
      this.fetching = false;
      this.loading.value = false;
    }
    // Only now: what waits is behind everything that was fetched, holes included.
    if (!this.error.peek()) this.add(this.waiting.splice(0));
  }

  async page() {
    const query = { after: this.after || null, limit: PAGE };
    const answer = await getJson(`/api/runs/${this.runId}/logs`, query);
    if (this.stopped) return false;
    this.total.value = answer.total ?? this.total.peek();
    this.add(answer.lines);
    const last = answer.lines.at(-1);
    const next = answer.next ?? last?.version ?? this.after;
    const moved = answer.lines.length > 0 && String(next) !== String(this.after);
    this.after = next;
    return moved && (answer.next !== null && answer.next !== undefined);
  }

  /** Lines of the stream. @param {any[]} lines */
  push(lines) {
    if (this.loading.peek() || this.error.peek()) this.waiting.push(...lines);
    else this.add(lines);
  }

  /** @param {any[]} lines */
  add(lines) {
    let errors = 0;
    for (const line of lines) {
      if (this.ids.has(line.id)) continue;
      this.ids.add(line.id);
      this.lines.push(line);
      if (line.level === 'error' || line.level === 'fatal') errors += 1;
      if (typeof line.version === 'number' && !this.loading.peek()) this.after = Math.max(Number(this.after) || 0, line.version);
    }
    if (!lines.length) return;
    if (errors) this.errors.value += errors;
    if (!this.filtering.peek()) this.lookOn();
    this.changed();
  }

  changed() {
    if (this.told) return;
    this.told = true;
    const tell = () => inNextFrame(() => {
      this.told = false;
      this.revision.value += 1;
    });
    // While page after page comes, it is enough to see that they do.
    if (this.fetching && this.lines.length > PAGE) setTimeout(tell, SEEN_EVERY);
    else tell();
  }

  /** Looks at lines that came since the filter was applied. */
  lookOn() {
    if (this.chosen && this.wanted) select(this.lines, this.wanted, this.looked, this.lines.length, this.chosen);
    this.looked = this.lines.length;
  }

  /** @param {import('../pure/log_lines.js').Wanted} wanted */
  async filter(wanted) {
    this.filterRound += 1;
    const round = this.filterRound;
    this.wanted = predicate(wanted);
    this.chosen = this.wanted ? [] : null;
    this.looked = 0;
    this.filtering.value = true;
    while (this.wanted && this.looked < this.lines.length) {
      const end = Math.min(this.lines.length, this.looked + SLICE);
      select(this.lines, this.wanted, this.looked, end, /** @type {number[]} */ (this.chosen));
      this.looked = end;
      this.changed();
      await new Promise((resolve) => setTimeout(resolve));
      if (round !== this.filterRound) return;
    }
    this.filtering.value = false;
    this.lookOn();
    this.changed();
  }
}
