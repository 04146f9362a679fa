/** The lines of a log: which level they have, which are wanted. Pure. */

/** @typedef {{id: string, step_id: string | null, level: string, source: string, message: string, timestamp: string, version: number}} Line */
/** @typedef {{level: string, query: string, step: string}} Wanted empty parts want everything */

const RANKS = /** @type {Record<string, number>} */ ({
  trace: 0, debug: 1, info: 2, log: 2, always: 2, success: 2, warn: 3, warning: 3, error: 4, fatal: 4,
});

/** @param {string | null | undefined} level */
export function rank(level) {
  return RANKS[level ?? ''] ?? 2;
}

/** `debug`, `info`, `warn` or `error`. @param {string} level */
export function toneOf(level) {
  return ['debug', 'debug', 'info', 'warn', 'error'][rank(level)];
}

/** The text of a message, which may be anything that JSON can say. @param {any} message */
export function textOf(message) {
  if (typeof message === 'string') return message;
  if (Array.isArray(message)) return message.map(textOf).join(' ');
  return JSON.stringify(message) ?? '';
}

/**
 * @param {Wanted} wanted
 * @returns {((line: Line) => boolean) | null} null when every line is wanted
 */
export function predicate({ level, query, step }) {
  const least = level ? rank(level) : 0;
  const text = query.trim().toLowerCase();
  if (!least && !text && !step) return null;
  return (line) =>
    (!least || rank(line.level) >= least) &&
    (!step || line.step_id === step) &&
    (!text || textOf(line.message).toLowerCase().includes(text));
}

/**
 * Indexes of wanted lines from `start` up to `end`, appended to `into`.
 * @param {Line[]} lines @param {(line: Line) => boolean} wanted
 * @param {number} start @param {number} end @param {number[]} into
 */
export function select(lines, wanted, start, end, into) {
  for (let i = start; i < end; i += 1) if (wanted(lines[i])) into.push(i);
}

/**
 * The next row with an error after `from`, around the end; -1 when there is none.
 * @param {(row: number) => Line} at @param {number} count @param {number} from
 */
export function nextError(at, count, from) {
  for (let i = 1; i <= count; i += 1) {
    const row = (from + i + count) % count;
    if (rank(at(row).level) >= 4) return row;
  }
  return -1;
}

/**
 * A message for reading in full: JSON is laid out.
 * @param {any} message
 */
export function pretty(message) {
  const text = textOf(message);
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
