/**
 * What pipelines mean to a reader: which badges a module has, how far it is, what to say of a job.
 * Pure: pipelines come as `GET /api/pipelines/<id>` shows them.
 */

/**
 * @typedef {object} Job
 * @property {number} job_id
 * @property {string} job_type
 * @property {'NOT_STARTED' | 'QUEUED' | 'RUNNING' | 'FINISHED'} state
 * @property {'SUCCESS' | 'WARNING' | 'ERROR' | null} result
 * @property {string | null} status_message
 * @property {string | null} [started_at]
 * @property {string | null} [finished_at]
 */
/**
 * @typedef {object} Progress
 * @property {number} phase from 1
 * @property {number} phases_total
 * @property {string} phase_label
 * @property {boolean} done
 * @property {boolean} has_error
 */
/** @typedef {'neutral' | 'info' | 'active' | 'good' | 'warn' | 'bad'} Tone */
/** @typedef {{key: string, label: string, tone: Tone, icon?: string, diagnostic: boolean}} PipelineBadge */

/** @param {Job} job */
export const isFailed = (job) => job.state === 'FINISHED' && job.result === 'ERROR';

/** The dot before a job. @param {Job} job @returns {'bad' | 'good' | 'info' | 'neutral'} */
export function jobTone(job) {
  if (isFailed(job)) return 'bad';
  if (job.state === 'FINISHED') return 'good';
  return job.state === 'RUNNING' ? 'info' : 'neutral';
}

/** `emission_recalc · FINISHED · WARNING`. @param {Job} job */
export function jobLine(job) {
  return [job.job_type, job.state, job.result].filter(Boolean).join(' · ');
}

/** The steps of a chain, for people. @type {Record<string, string>} */
const PHASES = { data: 'reading the file', emissions: 'emissions', aggregation: 'totals' };

/** `Recalculating · step 2/3 · emissions`. @param {Progress | null | undefined} progress */
export function stepLabel(progress) {
  if (!progress) return 'Recalculating…';
  const label = PHASES[progress.phase_label] ?? progress.phase_label;
  return `Recalculating · step ${progress.phase}/${progress.phases_total} · ${label}`;
}

/**
 * @typedef {object} ModuleState
 * @property {boolean} hasData
 * @property {boolean} needsRecalculation
 * @property {string | null} pipelineId
 * @property {boolean} told whether anything is known of that pipeline
 * @property {boolean} finished of the pipeline's stream
 * @property {boolean} hasError
 * @property {Progress | null} [progress]
 */

/** The badges of a module, in their order. @param {ModuleState} state @returns {PipelineBadge[]} */
export function badgesOf(state) {
  /** @type {PipelineBadge[]} */
  const badges = [];
  if (!state.hasData) {
    badges.push({ key: 'incomplete', label: 'No data yet', tone: 'neutral', diagnostic: false });
  }
  if (state.needsRecalculation) {
    badges.push({
      key: 'needed', label: 'Recalculation needed', tone: 'warn', icon: 'alert', diagnostic: false,
    });
  }
  const badge = pipelineBadge(state);
  // One key for all of them: who looks at its diagnostic goes on looking when the state changes.
  if (badge) badges.push({ key: 'pipeline', diagnostic: true, ...badge });
  return badges;
}

/** @param {ModuleState} state @returns {{label: string, tone: Tone, icon?: string} | null} */
function pipelineBadge(state) {
  if (!state.pipelineId) return null;
  if (!state.told) return { label: 'Checking…', tone: 'neutral', icon: 'dot' };
  if (isRunning(state)) return { label: stepLabel(state.progress), tone: 'active' };
  return state.hasError ? { label: 'Last recalculation failed', tone: 'bad', icon: 'cross' } : null;
}

/** @param {ModuleState} state */
export const isRunning = (state) => Boolean(state.pipelineId) && !state.finished;

/**
 * What the button of a module does; null while there is nothing to do.
 * @param {ModuleState} state
 * @returns {'Retry' | 'Recalculate' | null}
 */
export function recalculation(state) {
  if (isRunning(state) || !state.hasData) return null;
  if (state.pipelineId && state.hasError) return 'Retry';
  return state.needsRecalculation ? 'Recalculate' : null;
}

/** What a change of a module is announced as. @param {string} name @param {ModuleState} state */
export function sentence(name, state) {
  const labels = badgesOf(state).map((badge) => badge.label);
  return `${name}: ${labels.length ? labels.join(', ') : 'up to date'}`;
}

/** `process_emissions` as it is shown: `Process emissions`. @param {string} name */
export function moduleTitle(name) {
  const words = name.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @type {Record<string, string>} */
const KINDS = {
  csv_ingest: 'Data file', api_ingest: 'Data pull', factor_ingest: 'Factor file',
  emission_recalc: 'Recalculation', module_emission_recalc: 'Recalculation',
  aggregation: 'Totals', unit_sync: 'Units file',
};

/** What started a pipeline. @param {string} kind */
export const kindLabel = (kind) => KINDS[kind] ?? moduleTitle(kind);

/** @type {Record<string, {label: string, tone: Tone, icon: string, hint: string}>} */
const STATUSES = {
  NOT_STARTED: { label: 'Waiting', tone: 'neutral', icon: 'clock', hint: 'No process took it yet.' },
  RUNNING: { label: 'Running', tone: 'active', icon: 'play', hint: 'Some of its jobs are under way.' },
  SUCCESS: { label: 'Success', tone: 'good', icon: 'check', hint: 'All of it ended without an error.' },
  PARTIAL: { label: 'Partial', tone: 'warn', icon: 'alert', hint: 'The data is in; something after it failed.' },
  FAILED: { label: 'Failed', tone: 'bad', icon: 'cross', hint: 'Nothing was changed.' },
};

/** @param {string} status of a pipeline */
export function statusLook(status) {
  return STATUSES[status] ?? { label: status, tone: 'neutral', icon: 'dot', hint: '' };
}

/**
 * Whether a module has anything that can be computed from.
 * @param {{modules: Record<string, {entry_count?: number} | null>}[]} units
 * @param {number} module
 */
export function hasData(units, module) {
  return units.some((unit) => (unit.modules[module]?.entry_count ?? 0) > 0);
}

/**
 * Which modules have a type whose emissions are older than its factors.
 * @param {{module_type_id: number, needs_recalculation: boolean}[] | null | undefined} statuses
 * @returns {Set<number>}
 */
export function needing(statuses) {
  const stale = (statuses ?? []).filter((one) => one.needs_recalculation);
  return new Set(stale.map((one) => one.module_type_id));
}
