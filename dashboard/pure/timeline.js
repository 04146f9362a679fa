/** The run over time: where each bar begins and ends, in parts of the whole. Pure. */
import { stepState } from './states.js';

/** @typedef {{left: number, width: number}} Bar in percent */

/**
 * @param {any} run @param {any[]} steps @param {number} now
 * @returns {{start: number, end: number, queued: Bar, prepared: Bar, steps: {step: any, bar: Bar, ms: number, state: string}[]}}
 */
export function timeline(run, steps, now) {
  const times = (/** @type {any[]} */ values) => values.filter(Boolean).map((value) => Date.parse(value));
  const start = Math.min(...times([run.inserted_at, run.claimed_at, run.started_at, ...steps.map((step) => step.started_at)]));
  const ends = times([run.finished_at, ...steps.map((step) => step.finished_at)]);
  const running = !run.finished_at;
  const end = Math.max(start + 1, ...ends, ...(running ? [now] : []));
  const bar = (/** @type {any} */ from, /** @type {any} */ to) => barOf(from, to, start, end, running ? now : end);
  return {
    start,
    end,
    queued: bar(run.inserted_at, run.claimed_at ?? run.finished_at),
    prepared: bar(run.claimed_at, run.started_at ?? run.finished_at),
    steps: steps.map((step) => {
      const from = Date.parse(step.started_at ?? run.started_at ?? run.inserted_at);
      const to = step.finished_at ? Date.parse(step.finished_at) : Math.max(from, running ? now : end);
      return { step, ms: Math.max(0, to - from), bar: bar(from, to), state: stepState(step) };
    }),
  };
}

/**
 * @param {string | number | null | undefined} from @param {string | number | null | undefined} to
 * @param {number} start @param {number} end @param {number} open where a bar without an end ends
 * @returns {Bar}
 */
function barOf(from, to, start, end, open) {
  if (!from) return { left: 0, width: 0 };
  const begin = typeof from === 'number' ? from : Date.parse(from);
  const finish = to ? (typeof to === 'number' ? to : Date.parse(to)) : open;
  const whole = end - start;
  const left = Math.min(100, Math.max(0, ((begin - start) / whole) * 100));
  return { left, width: Math.min(100 - left, Math.max(0, ((finish - begin) / whole) * 100)) };
}

/**
 * Round marks from 0 to `span` milliseconds, at most `most` of them.
 * @param {number} span @param {number} [most]
 * @returns {number[]}
 */
export function ticks(span, most = 6) {
  const sizes = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5];
  const step = sizes.find((size) => span / size <= most) ?? Math.ceil(span / most / 864e5) * 864e5;
  /** @type {number[]} */
  const marks = [];
  for (let at = 0; at <= span; at += step) marks.push(at);
  return marks;
}
