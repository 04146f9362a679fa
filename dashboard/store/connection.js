/**
 * The one socket. Whoever wants a topic calls `subscribe`; topics are shared and counted. What the
 * connection is worth is in `status`, and nothing is live unless it says so.
 */
import { computed, effect, signal } from '../lib.js';
import { Socket } from '../vendor/phoenix.js';
import { INITIAL, reduce } from '../pure/status.js';
import { getJson } from './api.js';
import { signInReason, token } from './session.js';

export const status = signal(INITIAL);
export const isLive = computed(() => status.value.state === 'live');

/** Reasons of a refused join that asking again does not change. */
const FINAL_REASONS = ['unauthorized', 'not_found', 'unmatched topic'];
const HEARTBEAT = 15_000;
/** A replay has no end mark: it is over when nothing came for this long. Milliseconds. */
const QUIET = 200;

/** @type {Socket | null} */
let socket = null;
/** @type {Map<string, Topic>} */
const topics = new Map();

/**
 * @typedef {object} Listener
 * @property {Record<string, (payload: any) => void>} on by event
 * @property {(reply: any, again: boolean) => void} [onJoin] at each join; `again` after a break
 * @property {(reason: any) => void} [onRefused]
 * @property {() => Record<string, any>} [params] of the join, read anew each time
 */
/** @typedef {{channel: any, listeners: Set<Listener>, joins: number, reply: any, settling?: any}} Topic */

/** @param {{type: string, key?: string, at?: number}} event */
function tell(event) {
  status.value = reduce(status.peek(), event);
}

/** Something that was missed is being fetched: until `caught`, the page is behind. */
export const catching = (/** @type {string} */ key) => tell({ type: 'catching', key });
export const caught = (/** @type {string} */ key) => tell({ type: 'caught', key });

/** Opens the socket whenever there is a token, closes it when the token is refused. */
export function startConnection() {
  effect(() => {
    const usable = token.value && !signInReason.value;
    if (usable) connect();
    else disconnect();
  });
  window.addEventListener('online', retryNow);
}

function connect() {
  if (socket) disconnect();
  socket = new Socket('/socket', {
    authToken: () => token.peek() ?? '',
    heartbeatIntervalMs: HEARTBEAT,
    longPollFallbackMs: undefined,
  });
  socket.onOpen(() => tell({ type: 'opened' }));
  socket.onClose(onClose);
  for (const [name, topic] of topics) open(name, topic);
  socket.connect();
}

function disconnect() {
  const old = socket;
  socket = null;
  if (!old) return;
  for (const topic of topics.values()) topic.channel = null;
  old.disconnect();
  tell({ type: 'closed', at: Date.now() });
}

function onClose() {
  tell({ type: 'closed', at: Date.now() });
  for (const name of topics.keys()) tell({ type: 'joining', key: name });
  // A refused upgrade looks like any other loss; only a request tells them apart.
  if (token.peek() && !signInReason.peek()) getJson('/api/me').catch(() => {});
}

/** Tries to connect without waiting for the next attempt. */
export function retryNow() {
  if (!socket || socket.isConnected()) return;
  connect();
}

/**
 * @param {string} name
 * @param {Listener} listener
 * @returns {() => void} ends it
 */
export function subscribe(name, listener) {
  let topic = topics.get(name);
  if (topic) {
    topic.listeners.add(listener);
    if (topic.reply) listener.onJoin?.(topic.reply, false);
  } else {
    topic = { channel: null, listeners: new Set([listener]), joins: 0, reply: null };
    topics.set(name, topic);
    if (socket) open(name, topic);
  }
  const joined = topic;
  return () => {
    joined.listeners.delete(listener);
    if (joined.listeners.size || topics.get(name) !== joined) return;
    topics.delete(name);
    joined.channel?.leave();
    tell({ type: 'left', key: name });
  };
}

/** @param {string} name @param {Topic} topic */
function open(name, topic) {
  const params = () => Object.assign({}, ...[...topic.listeners].map((one) => one.params?.()));
  const channel = /** @type {Socket} */ (socket).channel(name, params);
  topic.channel = channel;
  channel.onMessage = (/** @type {string} */ event, /** @type {any} */ payload) => {
    if (topic.settling) settle(name, topic);
    for (const listener of topic.listeners) listener.on[event]?.(payload);
    return payload;
  };
  tell({ type: 'joining', key: name });
  channel
    .join()
    .receive('ok', (/** @type {any} */ reply) => {
      topic.joins += 1;
      topic.reply = reply;
      if (topic.joins > 1) settle(name, topic);
      for (const listener of topic.listeners) listener.onJoin?.(reply, topic.joins > 1);
      tell({ type: 'joined', key: name });
    })
    .receive('error', (/** @type {any} */ reason) => {
      if (!FINAL_REASONS.includes(reason?.reason)) return;
      channel.leave();
      tell({ type: 'left', key: name });
      for (const listener of topic.listeners) listener.onRefused?.(reason);
    });
}

/** What was missed is being replayed; until it is quiet, the page is behind. @param {string} name @param {Topic} topic */
function settle(name, topic) {
  const key = `replay of ${name}`;
  if (topic.settling) clearTimeout(topic.settling);
  else catching(key);
  topic.settling = setTimeout(() => {
    topic.settling = null;
    caught(key);
  }, QUIET);
}

/**
 * Sends an event on a topic that is joined.
 * @param {string} name @param {string} event @param {any} payload
 * @returns {Promise<any>} of the reply
 */
export function push(name, event, payload) {
  const channel = topics.get(name)?.channel;
  if (!channel) return Promise.reject(new Error(`${name} is not joined`));
  return new Promise((resolve, reject) => {
    channel
      .push(event, payload)
      .receive('ok', resolve)
      .receive('error', reject)
      .receive('timeout', () => reject(new Error('The server did not answer in time.')));
  });
}
