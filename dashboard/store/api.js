/**
 * The HTTP API. Every request carries the token in a header; every refusal is an `ApiError` with
 * the stable `code` and the sentence of its problem body.
 */
import { href } from '../pure/route.js';
import { token, tokenRefused } from './session.js';

export class ApiError extends Error {
  /**
   * @param {number} status 0 when the server was not reached
   * @param {string} code
   * @param {string} message for people
   * @param {any} [body]
   */
  constructor(status, code, message, body) {
    super(message);
    this.status = status;
    this.code = code;
    this.body = body;
  }
}

/**
 * @typedef {object} Options
 * @property {Record<string, any>} [query]
 * @property {any} [body] sent as JSON, a FormData as it is
 * @property {AbortSignal} [signal]
 * @property {string} [accept]
 */

/**
 * @param {string} method
 * @param {string} path
 * @param {Options} [options]
 * @returns {Promise<Response>} of a success
 */
export async function request(method, path, { query, body, signal, accept } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: accept ?? 'application/json' };
  const used = token.peek();
  if (used) headers.Authorization = `Bearer ${used}`;
  const isForm = typeof FormData !== 'undefined' && body instanceof FormData;
  if (body !== undefined && !isForm) headers['Content-Type'] = 'application/json';
  const content = body === undefined || isForm ? body : JSON.stringify(body);
  let response;
  try {
    response = await fetch(href(path, query ?? {}), { method, headers, body: content, signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, 'unreachable', 'The server cannot be reached.');
  }
  if (response.ok) return response;
  if (response.status === 401 && used === token.peek()) tokenRefused();
  throw await problem(response);
}

/** @param {Response} response */
async function problem(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    // A proxy may answer with something else.
  }
  const code = body?.code ?? body?.error ?? `http_${response.status}`;
  const message = body?.detail ?? body?.message ?? body?.title ?? `HTTP ${response.status}`;
  return new ApiError(response.status, String(code), String(message), body);
}

/** @param {string} path @param {Record<string, any>} [query] @param {AbortSignal} [signal] */
export async function getJson(path, query, signal) {
  return (await request('GET', path, { query, signal })).json();
}

/** @param {string} path @param {any} [body] */
export async function postJson(path, body = {}) {
  const response = await request('POST', path, { body });
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/**
 * The objects of an NDJSON answer as they arrive.
 * @param {Response} response
 */
export async function* ndjson(response) {
  const reader = /** @type {ReadableStream} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
    const lines = rest.split('\n');
    rest = done ? '' : /** @type {string} */ (lines.pop());
    for (const line of lines) if (line.trim()) yield JSON.parse(line);
    if (done) return;
  }
}

/**
 * Saves an answer as a file, without the token ever being in a URL.
 * @param {string} path @param {string} name @param {Record<string, any>} [query]
 */
export async function download(path, name, query) {
  const response = await request('GET', path, { query, accept: '*/*' });
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
