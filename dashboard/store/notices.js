/** What is said to the reader in passing: toasts for the eye, a polite live region for the ear. */
import { signal } from '../lib.js';

/** @typedef {{id: number, tone: string, text: string, href?: string, link?: string}} Toast */

export const toasts = signal(/** @type {Toast[]} */ ([]));
export const announcement = signal('');

let last = 0;

/**
 * @param {string} text
 * @param {{tone?: string, href?: string, link?: string, seconds?: number}} [options]
 */
export function toast(text, { tone = 'neutral', href, link, seconds = 6 } = {}) {
  last += 1;
  const id = last;
  toasts.value = [...toasts.value.slice(-3), { id, tone, text, href, link }];
  announce(text);
  setTimeout(() => dismiss(id), seconds * 1000);
}

/** @param {number} id */
export function dismiss(id) {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

/** @param {string} text read out when the reader is idle */
export function announce(text) {
  // The same sentence twice is only read twice when the text differs.
  announcement.value = announcement.value === text ? `${text}\u00a0` : text;
}
