/** How numbers, times and names are written. Pure: the present is always an argument. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * How long ago something was: floored, and never in the future, since clocks differ.
 * @param {string | number | Date | null | undefined} time
 * @param {number} now milliseconds
 */
export function ago(time, now) {
  if (time === null || time === undefined) return '–';
  const passed = Math.max(0, now - new Date(time).getTime());
  if (Number.isNaN(passed)) return '–';
  if (passed < 5 * SECOND) return 'just now';
  if (passed < MINUTE) return `${Math.floor(passed / SECOND)}s ago`;
  if (passed < HOUR) return `${Math.floor(passed / MINUTE)}m ago`;
  if (passed < DAY) return `${Math.floor(passed / HOUR)}h ago`;
  return `${Math.floor(passed / DAY)}d ago`;
}

/**
 * A duration in milliseconds, at most two units: `840 ms`, `12.4 s`, `3m 05s`, `2h 10m`, `4d 3h`.
 * @param {number | null | undefined} ms
 */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return '–';
  const value = Math.max(0, ms);
  if (value < SECOND) return `${Math.round(value)} ms`;
  if (value < 10 * SECOND) return `${(Math.floor(value / 10) / 100).toFixed(2)} s`;
  if (value < MINUTE) return `${(Math.floor(value / 100) / 10).toFixed(1)} s`;
  const pad = (/** @type {number} */ part) => String(part).padStart(2, '0');
  if (value < HOUR) return `${Math.floor(value / MINUTE)}m ${pad(Math.floor(value / SECOND) % 60)}s`;
  if (value < DAY) return `${Math.floor(value / HOUR)}h ${pad(Math.floor(value / MINUTE) % 60)}m`;
  return `${Math.floor(value / DAY)}d ${Math.floor(value / HOUR) % 24}h`;
}

/**
 * Milliseconds between two times; an open end is `now`; null without a start.
 * @param {string | null | undefined} start
 * @param {string | null | undefined} end
 * @param {number} now
 */
export function between(start, end, now) {
  if (!start) return null;
  return Math.max(0, (end ? Date.parse(end) : now) - Date.parse(start));
}

/**
 * The time of day to the millisecond, in the reader's time zone.
 * @param {string | number | null | undefined} time
 */
export function clock(time) {
  if (time === null || time === undefined) return '–';
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '–';
  const pad = (/** @type {number} */ part, size = 2) => String(part).padStart(size, '0');
  const hours = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return `${hours}.${pad(date.getMilliseconds(), 3)}`;
}

/**
 * Date and time to the second, in the reader's time zone: `2026-11-21 10:40:27`.
 * @param {string | number | null | undefined} time
 */
export function dateTime(time) {
  if (time === null || time === undefined) return '–';
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '–';
  const pad = (/** @type {number} */ part) => String(part).padStart(2, '0');
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/**
 * A count with thin groups: `12 345`.
 * @param {number | null | undefined} value
 */
export function count(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
}

/** @param {number} value @param {string} one @param {string} [many] */
export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** The first part of an id: enough to tell runs apart. @param {string | null | undefined} id */
export function shortId(id) {
  return id ? id.slice(0, 8) : '–';
}

/** `@openfn/language-http@6.0.0` without what all adaptors share. @param {string | null} name */
export function shortAdaptor(name) {
  return (name ?? '').replace(/^@openfn\/language-/, '');
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB'];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1024 && unit < 2) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
