/** Line icons on a 20 by 20 grid, drawn in the colour of the text around them. */
import { html } from '../lib.js';

/** @type {Record<string, string>} */
const PATHS = {
  overview: 'M3 11h4l2-6 3 11 2.500-5H17',
  runs: 'M4 5.500h12M4 10h12M4 14.500h8',
  workflows: 'M5 6.500a1.500 1.500 0 1 0 0-.01M15 6.500a1.500 1.500 0 1 0 0-.01M10 15.500a1.500 1.500 0 1 0 0-.01M6.500 6.500h7M6 7.800l3 6M14 7.800l-3 6',
  pipelines: 'M3.500 6.500h6a3.500 3.500 0 0 1 0 7h-2M10.500 13.500h6M14 11l2.500 2.500L14 16M3.500 13.500h1',
  health: 'M10 16.500S3.500 12.700 3.500 8.300A3.600 3.600 0 0 1 10 6.100a3.600 3.600 0 0 1 6.500 2.200c0 4.400-6.500 8.200-6.500 8.200z',
  check: 'M4.500 10.500l3.500 3.500 7.500-8',
  cross: 'M5.500 5.500l9 9M14.500 5.500l-9 9',
  play: 'M7 5.200v9.600l8-4.800z',
  stop: 'M6 6h8v8H6z',
  clock: 'M10 3.500a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM10 6.500V10l2.500 1.800',
  hand: 'M4.500 12.500v3h11v-3M10 4v8M6.800 8.800L10 12l3.200-3.200',
  alert: 'M10 3.800l7 12.200H3zM10 8.500v3.500M10 14v.2',
  dot: 'M10 9a1 1 0 1 0 0 2 1 1 0 0 0 0-2z',
  search: 'M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zM12.700 12.700L16.500 16.500',
  copy: 'M7.500 7.500h8v8h-8zM12.500 7.500v-3h-8v8h3',
  retry: 'M15.500 10a5.500 5.500 0 1 1-1.700-4M15.500 3.500v3.200h-3.200',
  down: 'M5.500 8l4.500 4.500L14.500 8',
  right: 'M8 5.500l4.500 4.500L8 14.500',
  left: 'M12 5.500L7.500 10l4.500 4.500',
  up: 'M5.500 12L10 7.500l4.500 4.500',
  sun: 'M10 7a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM10 2.500v1.500M10 16v1.500M2.500 10H4M16 10h1.500M4.700 4.700l1 1M14.300 14.300l1 1M4.700 15.300l1-1M14.300 5.700l1-1',
  moon: 'M15.800 11.800A6.300 6.300 0 0 1 8.200 4.200a6.300 6.300 0 1 0 7.600 7.600z',
  download: 'M10 3.500v9M6.500 9.500L10 13l3.500-3.500M4 16h12',
  upload: 'M10 13V4M6.500 7.500L10 4l3.500 3.500M4 16h12',
  help: 'M7.500 7.500a2.500 2.500 0 1 1 3.700 2.200c-.8.400-1.200.9-1.200 1.800M10 14.300v.2',
  external: 'M8 5H5v10h10v-3M11 4.500h4.500V9M15 5l-6 6',
  worker: 'M4 6h12v8H4zM7 16.500h6M8 9l1.500 1L8 11M11 11.500h1.500',
  exit: 'M8 4.500H4.500v11H8M8.500 10H16M13 7l3 3-3 3',
  key: 'M7 9.500a3 3 0 1 0 0 .01M9.900 9.500H17M14.500 9.500V12M17 9.500v2',
  filter: 'M3.500 5h13l-5 6v4l-3 1.500V11z',
  more: 'M5 10h.01M10 10h.01M15 10h.01',
};

/** @param {{name: string, size?: number, class?: string}} props */
export function Icon({ name, size = 18, class: extra = '' }) {
  return html`<svg class=${`icon ${extra}`} width=${size} height=${size} viewBox="0 0 20 20"
    fill="none" stroke="currentColor" stroke-width="1.600" stroke-linecap="round"
    stroke-linejoin="round" aria-hidden="true"><path d=${PATHS[name] ?? PATHS.dot} /></svg>`;
}
