/** Keys that work everywhere; a view adds its own with `useKeys`. */
import { signal, useEffect } from '../lib.js';
import { isField, meaning } from '../pure/keys.js';
import { navigate } from '../router.js';
import { VIEWS } from '../views/index.js';

export const helpOpen = signal(false);

const PENDING = 1200;
const places = Object.fromEntries(
  VIEWS.filter((view) => view.key).map((view) => [view.key, view.path]),
);
let pendingUntil = 0;

/** @param {KeyboardEvent} event */
const isPlain = (event) => !event.metaKey && !event.ctrlKey && !event.altKey && !event.defaultPrevented;

/** @param {KeyboardEvent} event */
function onKeyDown(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === 'Escape' && target.matches?.('[data-search]')) {
    target.blur();
    document.getElementById('main')?.focus();
    return;
  }
  if (!isPlain(event) || isField(target) || document.querySelector('dialog[open]')) return;
  const { action, path } = meaning(event.key, performance.now() < pendingUntil, places);
  pendingUntil = action === 'pending' ? performance.now() + PENDING : 0;
  if (action === 'go' && path) navigate(path);
  else if (action === 'help') helpOpen.value = true;
  else if (action === 'search') {
    const field = /** @type {HTMLInputElement | null} */ (document.querySelector('[data-search]'));
    if (!field) return;
    field.focus();
    field.select();
  } else return;
  event.preventDefault();
}

export function startKeyboard() {
  document.addEventListener('keydown', onKeyDown);
}

/**
 * Keys of the component that calls this, while it is shown and nobody types.
 * @param {Record<string, () => void>} keys
 */
export function useKeys(keys) {
  useEffect(() => {
    const listen = (/** @type {KeyboardEvent} */ event) => {
      if (!isPlain(event) || isField(/** @type {HTMLElement} */ (event.target))) return;
      if (performance.now() < pendingUntil || document.querySelector('dialog[open]')) return;
      const work = keys[event.key];
      if (!work) return;
      event.preventDefault();
      work();
    };
    // After the listener of the page, so that `g r` is not also an `r` here.
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  });
}
