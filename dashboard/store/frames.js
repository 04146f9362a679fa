/**
 * Changes are collected and applied once per animation frame, in one batch: a thousand pushes cost
 * one rendering. A hidden page has no frames, so a timer stands in.
 */
import { batch } from '../lib.js';

/** @type {(() => void)[]} */
let waiting = [];
let planned = false;

/** @param {() => void} change */
export function inNextFrame(change) {
  waiting.push(change);
  if (planned) return;
  planned = true;
  if (document.hidden) setTimeout(flush, 250);
  else frameOrTimeout();
}

// A tab may be hidden between the request and its frame.
function frameOrTimeout() {
  let done = false;
  const once = () => {
    if (done) return;
    done = true;
    flush();
  };
  requestAnimationFrame(once);
  setTimeout(once, 400);
}

function flush() {
  const changes = waiting;
  waiting = [];
  planned = false;
  batch(() => {
    for (const change of changes) change();
  });
}

/**
 * A function that runs `work` now and then: at once when it was quiet, at the end of `interval`
 * when it was not, never two at a time.
 * @param {() => any} work @param {number} interval milliseconds
 */
export function throttled(work, interval) {
  let last = -Infinity;
  /** @type {any} */
  let timer = null;
  let running = false;
  let again = false;
  async function run() {
    timer = null;
    if (running) {
      again = true;
      return;
    }
    running = true;
    last = performance.now();
    try {
      await work();
    } finally {
      running = false;
      if (again) {
        again = false;
        call();
      }
    }
  }
  function call() {
    if (timer !== null) return;
    const wait = Math.max(0, last + interval - performance.now());
    timer = setTimeout(run, wait);
  }
  call.cancel = () => {
    clearTimeout(timer);
    timer = null;
    again = false;
  };
  return call;
}
