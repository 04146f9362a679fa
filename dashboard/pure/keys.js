/** Which key means what: pure, so that the walk through the page can be tested without one. */

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
