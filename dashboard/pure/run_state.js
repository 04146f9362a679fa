/** What a change does to a run that is looked at. Pure. */

/** Keeps what the stream does not carry, such as names. @param {any} known @param {any} run */
export function mergeRun(known, run) {
  if (!known) return run;
  return (run.version ?? 0) < (known.version ?? 0) ? known : { ...known, ...run };
}

/**
 * Adds a step or replaces it. Steps come in the order in which they started; a step never reopens.
 * @param {any[]} steps @param {any} step
 */
export function mergeStep(steps, step) {
  const index = steps.findIndex((one) => one.id === step.id);
  if (index < 0) return [...steps, step];
  const known = steps[index];
  if (known.finished_at && !step.finished_at) return steps;
  const next = [...steps];
  next[index] = { ...known, ...step };
  return next;
}

/** @param {any[]} remarks @param {any} remark */
export function upsertRemark(remarks, remark) {
  const same = (/** @type {any} */ one) =>
    one.kind === remark.kind && one.event === remark.event && one.step_id === remark.step_id;
  const index = remarks.findIndex(same);
  if (index < 0) return [...remarks, remark];
  return remarks.map((one, i) => (i === index ? { ...one, ...remark } : one));
}

/**
 * The workflow with what the run did to it: the last step of each job, and which edges were taken.
 * @param {any} graph @param {any} run @param {any[]} steps
 */
export function litGraph(graph, run, steps) {
  /** @type {Map<string, any>} */
  const byJob = new Map();
  for (const step of steps) byJob.set(step.job_id, step);
  const nodes = [
    ...(graph?.triggers ?? []).map((/** @type {any} */ trigger) => ({
      id: trigger.id, kind: 'trigger', name: trigger.type, step: null,
      lit: run.starting_trigger_id === trigger.id,
    })),
    ...(graph?.jobs ?? []).map((/** @type {any} */ job) => ({
      id: job.id, kind: 'job', name: job.name, adaptor: job.adaptor, step: byJob.get(job.id) ?? null,
      lit: byJob.has(job.id),
    })),
  ];
  const known = new Map(nodes.map((node) => [node.id, node]));
  const edges = (graph?.edges ?? [])
    .map((/** @type {any} */ edge) => ({
      id: edge.id,
      from: edge.source_trigger_id ?? edge.source_job_id,
      to: edge.target_job_id,
      label: edge.condition_label ?? conditionLabel(edge),
      enabled: edge.enabled !== false,
    }))
    .filter((/** @type {any} */ edge) => known.has(edge.from) && known.has(edge.to))
    .map((/** @type {any} */ edge) => ({ ...edge, taken: isTaken(edge, known) }));
  return { nodes, edges };
}

/** @param {any} edge @param {Map<string, any>} known */
function isTaken(edge, known) {
  const from = known.get(edge.from);
  const to = known.get(edge.to);
  if (!from.lit || !to.lit) return false;
  if (from.kind === 'trigger') return true;
  const ended = from.step?.finished_at;
  return Boolean(ended) && Date.parse(to.step.started_at ?? ended) >= Date.parse(from.step.started_at ?? ended);
}

/** @param {any} edge */
function conditionLabel(edge) {
  const labels = /** @type {Record<string, string>} */ ({
    on_job_success: 'on success', on_job_failure: 'on failure', js_expression: 'condition',
  });
  return labels[edge.condition_type] ?? '';
}
