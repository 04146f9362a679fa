/** The list of runs: which rows, in which order, and what a change does to it. Pure. */

/**
 * @typedef {object} Filters as in the query of the page and of the API
 * @property {string} [project]
 * @property {string} [state] comma-separated
 * @property {string} [workflow]
 * @property {string} [worker]
 * @property {string} [from] ISO 8601
 * @property {string} [to] ISO 8601
 * @property {string} [q]
 */

/** Newest first; the id decides between runs of one instant. @param {any} a @param {any} b */
export function newestFirst(a, b) {
  if (a.inserted_at !== b.inserted_at) return a.inserted_at < b.inserted_at ? 1 : -1;
  if (a.id === b.id) return 0;
  return a.id < b.id ? 1 : -1;
}

/**
 * Whether a run belongs into a filtered list, as far as the run itself can tell: a search for text
 * looks into logs, which only the server can.
 * @param {any} run @param {Filters} filters
 */
export function matches(run, filters) {
  if (filters.q) return false;
  if (filters.project && run.project_id !== filters.project) return false;
  if (filters.workflow && run.workflow_id !== filters.workflow) return false;
  if (filters.worker && run.worker_name !== filters.worker) return false;
  if (filters.state && !filters.state.split(',').includes(run.state)) return false;
  if (filters.from && Date.parse(run.inserted_at) < Date.parse(filters.from)) return false;
  if (filters.to && Date.parse(run.inserted_at) >= Date.parse(filters.to)) return false;
  return true;
}

/** A change is applied unless it is older than what is known. @param {any} known @param {any} run */
export function newer(known, run) {
  return !known || (run.version ?? 0) >= (known.version ?? 0);
}

/**
 * Puts rows into a list that is newest first.
 * @param {string[]} ids those shown
 * @param {string[]} added
 * @param {(id: string) => any} get
 * @returns {string[]}
 */
export function insertRows(ids, added, get) {
  const known = new Set(ids);
  const fresh = added.filter((id) => !known.has(id));
  if (!fresh.length) return ids;
  return [...ids, ...fresh].sort((a, b) => newestFirst(get(a), get(b)));
}

/** @type {Record<string, number>} */
export const RANGES = { '1h': 3_600_000, '24h': 86_400_000, '7d': 604_800_000, '30d': 2_592_000_000 };

/**
 * The filters of a query; a range such as `24h` counts back from now.
 * @param {Record<string, string>} query @param {number} now
 * @returns {Filters}
 */
export function filtersOf(query, now) {
  const { project, state, workflow, worker, from, to, q, range } = query;
  const begin = RANGES[range ?? ''] ? new Date(now - RANGES[range]).toISOString() : from;
  const all = { project, state, workflow, worker, from: begin, to, q };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value));
}

/** Adds a state to a comma-separated choice or takes it away. @param {string | undefined} chosen @param {string} state */
export function toggleState(chosen, state) {
  const states = chosen ? chosen.split(',') : [];
  const next = states.includes(state) ? states.filter((one) => one !== state) : [...states, state];
  return next.join(',') || null;
}
