/**
 * Who is signed in. The token comes from the URL's fragment (or is pasted), is removed from the
 * address bar at once and kept in sessionStorage: this tab alone, never in a request line.
 */
import { computed, signal } from '../lib.js';
import { takeToken } from '../pure/route.js';

const KEY = 'channel-server.token';

/** @typedef {{id: string, name: string}} Project */
/**
 * @typedef {object} Me
 * @property {string} subject
 * @property {'viewer' | 'operator' | 'admin'} role
 * @property {string | number | null} expires_at
 * @property {Project[]} projects
 * @property {string[] | null} tenants
 */

/** The user token, null when there is none. */
export const token = signal(/** @type {string | null} */ (null));
/** Why somebody must sign in: `missing`, `expired`, `refused`; null while all is well. */
export const signInReason = signal(/** @type {string | null} */ (null));
/** What the server says about the token. */
export const me = signal(/** @type {Me | null} */ (null));

export const canAct = computed(() => ['operator', 'admin'].includes(me.value?.role ?? ''));

/** Takes the token of the fragment or of this tab's storage. */
export function restoreSession() {
  const { token: given, rest } = takeToken(location.hash);
  if (given) {
    history.replaceState(history.state, '', location.pathname + location.search + rest);
    keep(given);
  }
  token.value = given ?? stored();
  signInReason.value = token.value ? null : 'missing';
}

/** @param {string} value a pasted token, or a whole link that carries one */
export function signIn(value) {
  const text = value.trim();
  const given = text.includes('#') ? takeToken(text.slice(text.indexOf('#'))).token : text;
  if (!given) return;
  keep(given);
  // The end of the token before is not that of this one.
  if (me.peek()) me.value = { .../** @type {Me} */ (me.peek()), expires_at: null };
  token.value = given;
  signInReason.value = null;
}

export function signOut() {
  forget();
  me.value = null;
  token.value = null;
  signInReason.value = 'missing';
}

/** The server no longer takes the token; what is shown stays, nothing new comes. */
export function tokenRefused() {
  if (signInReason.value || !token.value) return;
  forget();
  signInReason.value = isOver(me.value?.expires_at) ? 'expired' : 'refused';
}

/** @param {string | number | null | undefined} expires ISO 8601 or Unix seconds */
function isOver(expires) {
  return expires !== null && expires !== undefined && expiryTime(expires) <= Date.now() + 2000;
}

/** @param {string | number} expires */
export function expiryTime(expires) {
  return typeof expires === 'number' ? expires * 1000 : Date.parse(expires);
}

/** @param {string} value */
function keep(value) {
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // Storage may be forbidden; then a reload asks again.
  }
}

function forget() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}

function stored() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}
