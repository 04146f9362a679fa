/** Light or dark: the system's wish, unless somebody chose. */
import { computed, signal } from '../lib.js';

const system = matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(system.matches);
const chosen = signal(/** @type {string | null} */ (document.documentElement.dataset.theme ?? null));

/** What is shown now. */
export const theme = computed(() => chosen.value ?? (systemDark.value ? 'dark' : 'light'));

export function toggleTheme() {
  const next = theme.value === 'dark' ? 'light' : 'dark';
  document.documentElement.dataset.theme = next;
  chosen.value = next;
  try {
    localStorage.setItem('theme', next);
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
  }
}

system.addEventListener('change', (event) => (systemDark.value = event.matches));
