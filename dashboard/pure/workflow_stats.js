/** Durations over several days, from those of each day. Pure. */

/**
 * Medians cannot be added up; days are weighed by their runs, which is close for similar days.
 * @param {any[]} days of /api/stats @param {string} workflowId
 * @returns {{p50: number, p95: number, total: number} | null} null without a run
 */
export function weekOf(days, workflowId) {
  const own = days.filter((day) => day.workflow_id === workflowId && day.total > 0 && day.p50_s !== null && day.p50_s !== undefined);
  const total = own.reduce((sum, day) => sum + day.total, 0);
  if (!total) return null;
  const mean = (/** @type {string} */ name) => own.reduce((sum, day) => sum + (day[name] ?? 0) * day.total, 0) / total;
  return { p50: mean('p50_s'), p95: mean('p95_s'), total };
}
