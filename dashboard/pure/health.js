/** What the health of the server is told as. Pure. */

/** @typedef {{name: string, ok: boolean | null, text: string}} CheckRow */

/** @type {Record<string, string>} */
const NAMES = { database: 'Database', listener: 'Listener', migrations: 'Migrations', drain: 'Serving' };

/** @type {Record<string, string>} */
const FINE = {
  database: 'answers', listener: 'hears of changes', migrations: 'all applied', drain: 'takes connections',
};

/** One check as it is shown; `ok` null means that it was not told. @param {string} name @param {any} value @returns {CheckRow} */
export function checkRow(name, value) {
  const known = value && typeof value === 'object' ? value : null;
  const ok = known && typeof known.ok === 'boolean' ? known.ok : null;
  const text = known?.detail ?? (ok === null ? 'not told' : ok ? FINE[name] ?? 'fine' : 'not well');
  return { name: NAMES[name] ?? sentenceCase(name), ok, text };
}

/**
 * Whether somebody must look, in one sentence.
 * @param {CheckRow[]} checks
 * @param {number} stale totals that are not to be trusted
 * @returns {{tone: 'good' | 'warn' | 'bad', title: string, text: string}}
 */
export function verdict(checks, stale) {
  const broken = checks.filter((check) => check.ok === false);
  if (broken.length) {
    const names = broken.map((check) => check.name.toLowerCase()).join(', ');
    return { tone: 'bad', title: 'Something is broken', text: `Look at: ${names}.` };
  }
  if (stale) {
    const text = stale === 1 ? 'One total is behind its data.' : `${stale} totals are behind their data.`;
    return { tone: 'warn', title: 'It works, with something stale', text };
  }
  return { tone: 'good', title: 'All is well', text: 'Every check passed.' };
}

/** @type {Record<string, string>} */
const WHY = {
  no_aggregation_ever: 'never computed',
  pending_aggregation_stuck: 'the computation has not ended',
  last_aggregation_failed: 'the last computation failed',
  last_aggregation_too_old: 'the last computation is old',
};

/** @param {{why_stale: string, inputs_newer?: boolean}} entry */
export function whyStale(entry) {
  const why = WHY[entry.why_stale] ?? entry.why_stale;
  return entry.inputs_newer ? `${why}, and data came after it` : why;
}

/**
 * Whether a stale total deserves attention: data came after it, or its computation failed. One that
 * is merely old, or is being computed, does not.
 * @param {{why_stale: string, inputs_newer?: boolean}} entry
 */
export function isAlarming(entry) {
  return Boolean(entry.inputs_newer) || entry.why_stale === 'last_aggregation_failed';
}

/** Nested settings as rows of dotted names. @param {any} value @param {string} [prefix] @returns {[string, string][]} */
export function flatten(value, prefix = '') {
  if (value === null || value === undefined) return prefix ? [[prefix, 'none']] : [];
  if (typeof value !== 'object') return [[prefix, shown(value)]];
  if (Array.isArray(value)) return [[prefix, value.map(shown).join(', ') || 'none']];
  return Object.entries(value).flatMap(([name, part]) => flatten(part, prefix ? `${prefix}.${name}` : name));
}

/** @param {any} value */
function shown(value) {
  if (typeof value !== 'number' || !Number.isInteger(value)) return String(value);
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
}

/** @param {string} name */
function sentenceCase(name) {
  const words = name.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
