/** The names of workflows, which runs of the stream do not carry. */
import { signal } from '../lib.js';
import { getJson } from './api.js';

export const workflows = signal(/** @type {any[]} */ ([]));
const names = signal(/** @type {Record<string, string>} */ ({}));

/** @type {Promise<void> | null} */
let loading = null;
let lastLoad = -Infinity;

/** Fetches the list, once in a while. @param {boolean} [anew] */
export function loadWorkflows(anew = false) {
  if (loading || (!anew && performance.now() - lastLoad < 60_000)) return loading;
  lastLoad = performance.now();
  loading = getJson('/api/workflows')
    .then((answer) => {
      workflows.value = answer.workflows;
      names.value = Object.fromEntries(answer.workflows.map((/** @type {any} */ one) => [one.id, one.name]));
    }, () => {})
    .finally(() => (loading = null));
  return loading;
}

/** @param {any} run */
export function workflowName(run) {
  if (run.workflow_name) return run.workflow_name;
  const name = names.value[run.workflow_id];
  if (!name) loadWorkflows();
  return name ?? '…';
}
