/** Which key means what: pure, so that the walk through the page can be tested without one. */

/** @typedef {{keys: string[], does: string}} Shortcut */

/** What the help shows, by group. @type {{title: string, shortcuts: Shortcut[]}[]} */
export const SHORTCUTS = [
  {
    title: 'Everywhere',
    shortcuts: [
      { keys: ['/'], does: 'Search' },
      { keys: ['?'], does: 'Show these keys' },
      { keys: ['Esc'], does: 'Close, or leave the search' },
      { keys: ['g', 'o'], does: 'Go to Overview' },
      { keys: ['g', 'r'], does: 'Go to Runs' },
      { keys: ['g', 'w'], does: 'Go to Workflows' },
      { keys: ['g', 'p'], does: 'Go to Pipelines' },
      { keys: ['g', 'h'], does: 'Go to Health' },
    ],
  },
  {
    title: 'In a table',
    shortcuts: [
      { keys: ['j', '↓'], does: 'Next row' },
      { keys: ['k', '↑'], does: 'Row before' },
      { keys: ['Enter'], does: 'Open' },
      { keys: ['x'], does: 'Select' },
      { keys: ['n'], does: 'Show what is new' },
    ],
  },
  {
    title: 'In the log of a run',
    shortcuts: [
      { keys: ['e'], does: 'Jump to the next error' },
      { keys: ['f'], does: 'Follow the end' },
    ],
  },
];

/**
 * What a key does outside of fields. `pending` is a `g` that was pressed just before.
 * @param {string} key
 * @param {boolean} pending
 * @param {Record<string, string>} places letter to path
 * @returns {{action: 'none' | 'pending' | 'go' | 'search' | 'help', path?: string}}
 */
export function meaning(key, pending, places) {
  if (pending) return places[key] ? { action: 'go', path: places[key] } : { action: 'none' };
  if (key === 'g') return { action: 'pending' };
  if (key === '/') return { action: 'search' };
  if (key === '?') return { action: 'help' };
  return { action: 'none' };
}

/**
 * Whether a key is text for the element that has the focus.
 * @param {{tagName?: string, type?: string, isContentEditable?: boolean} | null} element
 */
export function isField(element) {
  if (!element) return false;
  const tag = element.tagName ?? '';
  if (tag === 'TEXTAREA' || tag === 'SELECT' || element.isContentEditable) return true;
  return tag === 'INPUT' && !['checkbox', 'radio', 'button'].includes(element.type ?? 'text');
}
