/**
 * What the page says about its connection. Pure: events in, state out.
 *
 *     connecting --open--> behind --joined all--> live
 *         ^                  ^                     |
 *         +---- closed ------+----- offline <------+
 *
 * `live` means: the socket is open, every topic is joined, and nothing that was missed is still
 * being fetched. Everything else says so.
 */

/**
 * @typedef {object} Status
 * @property {'connecting' | 'live' | 'behind' | 'offline'} state
 * @property {boolean} open whether the socket is
 * @property {string[]} joining topics that were asked for and have not answered
 * @property {string[]} catching what is being fetched because it was missed
 * @property {number | null} since when it went offline, milliseconds
 * @property {number} drops how often it went offline
 */

/** @type {Status} */
export const INITIAL = {
  state: 'connecting', open: false, joining: [], catching: [], since: null, drops: 0,
};

/**
 * @param {Status} status
 * @param {{type: string, key?: string, at?: number}} event `opened`, `closed` (at), `joining`,
 *   `joined`, `left` (key), `catching`, `caught` (key)
 * @returns {Status}
 */
export function reduce(status, event) {
  const next = { ...status };
  const key = event.key ?? '';
  if (event.type === 'opened') {
    next.open = true;
    next.since = null;
  } else if (event.type === 'closed') {
    // Closed before it ever was open: since then, too, nothing has come.
    if (status.open || status.since === null) next.since = event.at ?? null;
    if (status.open) next.drops += 1;
    next.open = false;
  } else if (event.type === 'joining') {
    next.joining = withKey(status.joining, key);
  } else if (event.type === 'joined' || event.type === 'left') {
    next.joining = status.joining.filter((one) => one !== key);
  } else if (event.type === 'catching') {
    next.catching = withKey(status.catching, key);
  } else if (event.type === 'caught') {
    next.catching = status.catching.filter((one) => one !== key);
  }
  next.state = stateOf(next);
  return next;
}

/** @param {string[]} keys @param {string} key */
function withKey(keys, key) {
  return keys.includes(key) ? keys : [...keys, key];
}

/** @param {Status} status @returns {Status['state']} */
function stateOf(status) {
  if (!status.open) return status.since === null ? 'connecting' : 'offline';
  return status.joining.length || status.catching.length ? 'behind' : 'live';
}
