/** The present, as signals; times that tick read `now`, those that are old read `nowMinute`. */
import { signal } from '../lib.js';

export const now = signal(Date.now());
export const nowMinute = signal(Date.now());

function tick() {
  const present = Date.now();
  now.value = present;
  if (present - nowMinute.peek() >= 30_000) nowMinute.value = present;
}

export function startClock() {
  setInterval(tick, 1000);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) tick();
  });
}
