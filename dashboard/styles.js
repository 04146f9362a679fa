/** Styles that only some views need. */

/** @type {Map<string, Promise<void>>} */
const asked = new Map();

/**
 * Fetches a style sheet once; settles when it is in force, or could not be had.
 * @param {string} url
 * @returns {Promise<void>}
 */
export function loadStyle(url) {
  const known = asked.get(url);
  if (known) return known;
  const done = new Promise((/** @type {(value: void) => void} */ resolve) => {
    const link = document.createElement('link');
    link.rel = 'stylesheet';
    link.href = url;
    link.onload = () => resolve();
    link.onerror = () => {
      // The view works without it, and the next visit asks again.
      asked.delete(url);
      resolve();
    };
    document.head.append(link);
  });
  asked.set(url, done);
  return done;
}
