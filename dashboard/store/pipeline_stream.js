/**
 * Pipelines that somebody looks at, live. However many look at one, it has one source; the last who
 * leaves closes it. A snapshot is fetched before the source is opened, so that what ended before
 * anybody looked is seen to have ended.
 */
import { signal } from '../lib.js';
import { isFailed } from '../pure/pipelines.js';

/**
 * @typedef {object} StreamState
 * @property {import('../pure/pipelines.js').Job[]} jobs
 * @property {boolean} closed nothing more will come
 * @property {number} subscriberCount
 * @property {import('../pure/pipelines.js').Progress | null} progress
 * @property {any} pipeline all of it as last told; null before
 */
/** @typedef {{close: () => void}} Source */
/**
 * @typedef {object} Parts
 * @property {(id: string) => Promise<any>} fetchSnapshot
 * @property {new (id: string, onUpdate: (update: any) => void) => Source} Source
 * @property {(...words: any[]) => void} [log]
 */

/** @type {StreamState} */
const FRESH = { jobs: [], closed: false, subscriberCount: 0, progress: null, pipeline: null };

/** @param {StreamState | null} state */
export function isFinished(state) {
  if (!state) return false;
  return state.closed || Boolean(state.progress?.done) || state.jobs.some(isFailed);
}

/** @param {StreamState | null} state */
export function hasError(state) {
  return Boolean(state?.jobs.some(isFailed) || state?.progress?.has_error);
}

/** @param {StreamState | null} state @returns {string[]} */
export function failedMessages(state) {
  return (state?.jobs ?? []).filter(isFailed).map((job) => job.status_message ?? '').filter(Boolean);
}

export class PipelineStreamStore {
  /** @param {Parts} parts injected, for there is no server in a test */
  constructor({ fetchSnapshot, Source, log = console.warn }) {
    /** @type {Map<string, import('../vendor/signals.js').Signal<StreamState | null>>} */
    this.states = new Map();
    /** @type {Map<string, Source>} */
    this.sources = new Map();
    this.fetchSnapshot = fetchSnapshot;
    this.Source = Source;
    this.log = log;
  }

  /** What is known of a pipeline; null while nobody looks. Reading `.value` subscribes. @param {string} id */
  state(id) {
    let found = this.states.get(id);
    if (!found) {
      found = signal(/** @type {StreamState | null} */ (null));
      this.states.set(id, found);
    }
    return found;
  }

  /** @param {string} id @param {any} update as the server tells it */
  applyUpdate(id, update) {
    const held = this.state(id);
    const before = held.peek();
    if (!before) return;
    if (!Array.isArray(update?.jobs)) {
      this.log('a pipeline update without jobs is ignored', id);
      return;
    }
    const progress = update.progress ?? before.progress;
    const closed = before.closed || update.stream_closed === true || progress?.done === true;
    held.value = { ...before, jobs: update.jobs, progress, closed, pipeline: update };
    if (closed) this.close(id);
  }

  /** @param {string} id */
  acquire(id) {
    const held = this.state(id);
    const state = held.peek() ?? FRESH;
    held.value = { ...state, subscriberCount: state.subscriberCount + 1 };
  }

  /** @param {string} id */
  release(id) {
    const held = this.state(id);
    const state = held.peek();
    if (!state) return;
    if (state.subscriberCount > 1) {
      held.value = { ...state, subscriberCount: state.subscriberCount - 1 };
    } else {
      this.close(id);
      held.value = null;
    }
  }

  /** Opens the one source of a pipeline, unless it is open or nothing more will come. @param {string} id */
  open(id) {
    const state = this.state(id).peek();
    if (!state || state.closed || this.sources.has(id)) return;
    const source = new this.Source(id, (update) => this.applyUpdate(id, update));
    // The source may have told the end before it was even constructed.
    if (this.state(id).peek()?.closed) source.close();
    else this.sources.set(id, source);
  }

  /** @param {string} id */
  close(id) {
    this.sources.get(id)?.close();
    this.sources.delete(id);
  }
}

/** One who looks: a component, for as long as it is shown. */
export class PipelineSubscriber {
  /** @param {PipelineStreamStore} store */
  constructor(store) {
    this.store = store;
    /** What it looks at, each with a mark of its own. @type {Map<string, object>} */
    this.held = new Map();
  }

  /** Looks at a pipeline; twice is once. @param {string} id */
  async subscribe(id) {
    if (this.held.has(id)) return;
    const mark = {};
    this.held.set(id, mark);
    this.store.acquire(id);
    let snapshot = null;
    try {
      snapshot = await this.store.fetchSnapshot(id);
    } catch {
      // The source tells it too, once there is a connection.
    }
    // It may have looked away meanwhile, and even looked back, which was another subscription.
    if (this.held.get(id) !== mark) return;
    if (snapshot) this.store.applyUpdate(id, snapshot);
    this.store.open(id);
  }

  /** @param {string} id */
  unsubscribe(id) {
    if (!this.held.delete(id)) return;
    this.store.release(id);
  }

  /** Looks away from everything. */
  release() {
    for (const id of [...this.held.keys()]) this.unsubscribe(id);
  }
}
