/** How a run looks in a row. */
import { html } from '../lib.js';
import { between, duration, shortId } from '../pure/format.js';
import { isFinal } from '../pure/states.js';
import { now } from '../store/clock.js';
import { workflowName } from '../store/workflows.js';
import { RelativeTime, StateBadge } from './basics.js';

/** Ticks while the run is open, stands still afterwards. @param {{run: any}} props */
export function RunDuration({ run }) {
  const begin = run.started_at ?? run.claimed_at;
  if (!begin) return html`<span class="faint">–</span>`;
  const present = isFinal(run.state) ? Date.parse(run.finished_at ?? begin) : now.value;
  return duration(between(begin, run.finished_at, present));
}

/** @param {{run: any}} props */
export function RunError({ run }) {
  if (!run.error_type && !run.error_message) return null;
  return html`<span class="run-error" title=${run.error_message}>
    <strong>${run.error_type ?? 'Error'}</strong> ${run.error_message}
  </span>`;
}

/** @param {{run: any}} props */
export function RunName({ run }) {
  return html`<a class="run-name" href=${`/runs/${run.id}`} tabindex="-1">
    <span>${workflowName(run)}</span><code>${shortId(run.id)}</code>
  </a>`;
}

/** @type {Record<string, any>} */
const COLUMNS = {
  state: { key: 'state', label: 'State', render: (/** @type {any} */ run) => html`<${StateBadge} state=${run.state} />` },
  name: { key: 'name', label: 'Run', render: (/** @type {any} */ run) => html`<${RunName} run=${run} />` },
  error: { key: 'error', label: 'What happened', class: 'grow wide-only', render: (/** @type {any} */ run) => html`<${RunError} run=${run} />` },
  worker: { key: 'worker', label: 'Worker', class: 'wide-only', render: (/** @type {any} */ run) => run.worker_name ?? html`<span class="faint">–</span>` },
  queued: { key: 'queued', label: 'Queued', class: 'num', render: (/** @type {any} */ run) => html`<${RelativeTime} time=${run.inserted_at} />` },
  duration: { key: 'duration', label: 'Duration', class: 'num', render: (/** @type {any} */ run) => html`<${RunDuration} run=${run} />` },
};

/** @param {...string} keys */
export const runColumns = (...keys) => keys.map((key) => COLUMNS[key]);
