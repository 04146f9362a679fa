/** Sums of the overview. Pure. */
import { FAILURES, FINAL } from './states.js';

/** @param {any} data of /api/overview */
export function summary(data) {
  const runs = data.runs ?? {};
  const sum = (/** @type {string[]} */ states) => states.reduce((total, state) => total + (runs[state] ?? 0), 0);
  return {
    queued: data.queue?.depth ?? runs.available ?? 0,
    running: sum(['claimed', 'started']),
    finished: sum(FINAL),
    failed: sum(FAILURES),
  };
}

/** How much of what finished in the last hour failed, as text; null when nothing did. @param {any[]} minutes */
export function failureShare(minutes) {
  const total = minutes.reduce((sum, minute) => sum + minute.finished, 0);
  const failed = minutes.reduce((sum, minute) => sum + minute.failed, 0);
  if (!total) return null;
  const share = (failed / total) * 100;
  if (!failed) return '0 %';
  return share < 1 ? '< 1 %' : `${Math.round(share)} %`;
}

/**
 * Workers as last pushed for their projects, else as fetched. One worker may serve several projects.
 * @param {any[]} fetched @param {Record<string, any[]> | null} pushed by project @param {string} [project]
 */
export function mergeWorkers(fetched, pushed, project) {
  if (!pushed) return sortWorkers(fetched ?? []);
  const lists = project ? [pushed[project]] : Object.values(pushed);
  const told = lists.filter(Boolean);
  if (!told.length) return sortWorkers(fetched ?? []);
  const byId = new Map();
  for (const worker of told.flat()) byId.set(worker.id, worker);
  return sortWorkers([...byId.values()]);
}

/** @param {any[]} workers */
function sortWorkers(workers) {
  const name = (/** @type {any} */ worker) => worker.name ?? worker.id ?? '';
  return [...workers].sort((a, b) => Number(b.online !== false) - Number(a.online !== false) || name(a).localeCompare(name(b)));
}

/**
 * Columns of the chart: Unix seconds, what succeeded with what failed on top, what failed.
 * @param {{minute: string, finished: number, failed: number}[]} minutes
 */
export function chartColumns(minutes) {
  return [
    minutes.map((one) => Math.floor(Date.parse(one.minute) / 1000)),
    minutes.map((one) => one.finished),
    minutes.map((one) => one.failed),
  ];
}
