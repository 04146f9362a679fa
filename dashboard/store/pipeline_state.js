/**
 * Which pipeline belongs to each module of a year: an id, or null where there is none. What was
 * never asked for is not known at all, which is another thing.
 */
import { signal } from '../lib.js';

/** @param {number} module @param {number} year */
const keyOf = (module, year) => `${module}:${year}`;

export class PipelineStateStore {
  /**
   * @param {(year: number, modules: number[]) => Promise<Record<string, string>>} fetchActive asks
   *   the server; modules without a pipeline are absent from its answer
   */
  constructor(fetchActive) {
    /** @type {import('../vendor/signals.js').Signal<ReadonlyMap<string, string | null>>} */
    this.entries = signal(new Map());
    this.fetchActive = fetchActive;
    /** When each entry was last told by something newer than a list. @type {Map<string, number>} */
    this.told = new Map();
    this.clock = 0;
  }

  /**
   * Asks for some modules of a year, all in one request, and keeps an answer for each of them.
   * @param {number} year
   * @param {number[]} modules 0 is no module, and not asked for
   */
  async loadFor(year, modules) {
    const wanted = [...new Set(modules)].filter((module) => module > 0);
    if (wanted.length === 0) return;
    this.clock += 1;
    const asked = this.clock;
    const found = await this.fetchActive(year, wanted);
    const entries = new Map(this.entries.peek());
    for (const module of wanted) {
      const key = keyOf(module, year);
      // What was told while the list was under way is newer than the list.
      if ((this.told.get(key) ?? 0) <= asked) entries.set(key, found[module] ?? null);
    }
    this.entries.value = entries;
  }

  /**
   * The pipeline of a module; null for none and for unknown. Reading it subscribes.
   * @param {number} module @param {number} year
   */
  getPipelineId(module, year) {
    return this.entries.value.get(keyOf(module, year)) ?? null;
  }

  /** Whether it is known what a module has. @param {number} module @param {number} year */
  isLoaded(module, year) {
    return this.entries.value.has(keyOf(module, year));
  }

  /**
   * Takes what a dispatch answered, or a channel told, so that a fast chain is not missed.
   * @param {number} module @param {number} year @param {string | null} id
   */
  setPipelineId(module, year, id) {
    const key = keyOf(module, year);
    this.clock += 1;
    this.told.set(key, this.clock);
    if (this.entries.peek().get(key) === id && this.entries.peek().has(key)) return;
    this.entries.value = new Map(this.entries.peek()).set(key, id);
  }

  clear() {
    this.entries.value = new Map();
    this.told.clear();
  }
}
