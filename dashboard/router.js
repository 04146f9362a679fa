/**
 * The address bar is the state of what is shown: every view, filter and selection is in the URL and
 * survives a reload. `route` is a signal; links are plain `<a href>`.
 */
import { computed, signal } from './lib.js';
import { href, matchRoute } from './pure/route.js';
import { VIEWS } from './views/index.js';

const place = signal({ path: location.pathname, search: location.search });

/** Where we are. */
export const route = computed(() => matchRoute(VIEWS, place.value.path, place.value.search));

/**
 * @param {string} url of this page
 * @param {{replace?: boolean}} [how] `replace` leaves no entry in the history
 */
export function navigate(url, { replace = false } = {}) {
  const here = location.pathname + location.search;
  if (url === here) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', url);
  read();
}

/**
 * Changes parts of the query and leaves the others; null removes one.
 * @param {Record<string, string | number | null | undefined>} changes
 * @param {{replace?: boolean}} [how]
 */
export function setQuery(changes, how = { replace: true }) {
  navigate(href(location.pathname, { ...route.value.query, ...changes }), how);
}

function read() {
  place.value = { path: location.pathname, search: location.search };
}

/** @param {MouseEvent} event */
function onClick(event) {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const target = /** @type {Element} */ (event.target);
  const link = target.closest?.('a[href]');
  if (!link || link.hasAttribute('download') || link.getAttribute('target')) return;
  const url = new URL(/** @type {HTMLAnchorElement} */ (link).href, location.href);
  if (url.origin !== location.origin || url.hash) return;
  if (matchRoute(VIEWS, url.pathname, '').name === 'missing') return;
  event.preventDefault();
  navigate(url.pathname + url.search);
  window.scrollTo(0, 0);
}

export function startRouter() {
  window.addEventListener('popstate', read);
  document.addEventListener('click', onClick);
}
