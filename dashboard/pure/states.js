/** The states of runs and steps: what they are called, how they look. Pure. */

/**
 * @typedef {'neutral' | 'info' | 'active' | 'good' | 'warn' | 'bad'} Tone
 * @typedef {{label: string, tone: Tone, icon: string, hint: string}} Look
 */

/** @type {Record<string, Look>} */
export const RUN_STATES = {
  available: { label: 'Queued', tone: 'neutral', icon: 'clock', hint: 'Waits for a worker.' },
  claimed: { label: 'Claimed', tone: 'info', icon: 'hand', hint: 'A worker took it and prepares.' },
  started: { label: 'Running', tone: 'active', icon: 'play', hint: 'A worker is at it.' },
  success: { label: 'Success', tone: 'good', icon: 'check', hint: 'Every step that ran ended well.' },
  failed: { label: 'Failed', tone: 'bad', icon: 'cross', hint: 'A step reported an error.' },
  crashed: { label: 'Crashed', tone: 'bad', icon: 'cross', hint: 'The code of a step broke.' },
  cancelled: { label: 'Cancelled', tone: 'neutral', icon: 'stop', hint: 'Somebody cancelled it.' },
  killed: { label: 'Killed', tone: 'bad', icon: 'stop', hint: 'It took too long or too much memory.' },
  exception: { label: 'Exception', tone: 'bad', icon: 'alert', hint: 'The worker itself broke.' },
  lost: { label: 'Lost', tone: 'warn', icon: 'alert', hint: 'Its worker went away without a word.' },
};

export const STATES = Object.keys(RUN_STATES);
export const FINAL = STATES.slice(3);
export const IN_FLIGHT = ['claimed', 'started'];
export const FAILURES = ['failed', 'crashed', 'killed', 'exception', 'lost'];

/** @param {string} state */
export const isFinal = (state) => FINAL.includes(state);

/** @param {string | null | undefined} state @returns {Look} */
export function lookOf(state) {
  return RUN_STATES[state ?? ''] ?? {
    label: state ?? 'Unknown', tone: 'neutral', icon: 'dot', hint: '',
  };
}

/**
 * The state of a step: it has a reason once it ended.
 * @param {{finished_at?: string | null, exit_reason?: string | null} | null | undefined} step
 */
export function stepState(step) {
  if (!step) return 'pending';
  if (!step.finished_at && !step.exit_reason) return 'running';
  const reason = step.exit_reason ?? 'success';
  return reason === 'fail' ? 'failed' : reason;
}

/** @type {Record<string, Look>} */
const STEP_STATES = {
  pending: { label: 'Not run', tone: 'neutral', icon: 'dot', hint: '' },
  running: { label: 'Running', tone: 'active', icon: 'play', hint: '' },
  success: { label: 'Success', tone: 'good', icon: 'check', hint: '' },
  crash: { label: 'Crashed', tone: 'bad', icon: 'cross', hint: '' },
  kill: { label: 'Killed', tone: 'bad', icon: 'stop', hint: '' },
  cancel: { label: 'Cancelled', tone: 'neutral', icon: 'stop', hint: '' },
};

/** @param {string} state @returns {Look} */
export function stepLook(state) {
  return STEP_STATES[state] ?? lookOf(state);
}
