/** Which view a URL means, and back. Pure. */

/**
 * @typedef {object} Route
 * @property {string} name which view; `missing` when no path fits
 * @property {Record<string, string>} params parts of the path
 * @property {Record<string, string>} query parts behind the question mark
 * @property {string} path
 */

/**
 * @param {{name: string, path: string}[]} views paths such as `/runs/:id`, the first that fits wins
 * @param {string} pathname
 * @param {string} search with or without its question mark
 * @returns {Route}
 */
export function matchRoute(views, pathname, search) {
  const path = pathname.length > 1 ? pathname.replace(/\/+$/, '') || '/' : pathname;
  const query = Object.fromEntries(new URLSearchParams(search));
  for (const view of views) {
    const params = matchPath(view.path, path);
    if (params) return { name: view.name, params, query, path };
  }
  return { name: 'missing', params: {}, query, path };
}

/**
 * @param {string} pattern
 * @param {string} path
 * @returns {Record<string, string> | null}
 */
export function matchPath(pattern, path) {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return null;
  /** @type {Record<string, string>} */
  const params = {};
  for (let i = 0; i < wanted.length; i += 1) {
    if (wanted[i].startsWith(':')) {
      if (!given[i]) return null;
      params[wanted[i].slice(1)] = safeDecode(given[i]);
    } else if (wanted[i] !== given[i]) {
      return null;
    }
  }
  return params;
}

/** @param {string} text */
function safeDecode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * A URL of this page; empty parts of the query are left out, the order is kept.
 * @param {string} path
 * @param {Record<string, string | number | null | undefined | false>} [query]
 */
export function href(path, query = {}) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '' && value !== false) {
      parts.set(name, String(value));
    }
  }
  const text = parts.toString();
  return text ? `${path}?${text}` : path;
}

/**
 * The token in a fragment such as `#token=abc`, and what of the fragment remains without it.
 * @param {string} hash
 * @returns {{token: string | null, rest: string}}
 */
export function takeToken(hash) {
  const parts = hash.replace(/^#/, '').split('&').filter(Boolean);
  const found = parts.find((part) => part.startsWith('token='));
  const rest = parts.filter((part) => part !== found).join('&');
  return { token: found ? safeDecode(found.slice(6)) || null : null, rest: rest && `#${rest}` };
}
