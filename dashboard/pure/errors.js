/** What the types of errors mean, for people who have not read the source. Pure. */

/** @typedef {{title: string, text: string, next?: string}} Explanation */

/** @type {Record<string, Explanation>} */
const TYPES = {
  LostAfterClaim: {
    title: 'The worker never started this run',
    text: 'A worker claimed it and then said nothing until its time was over.',
    next: 'Retry it. If it happens again, look at the log of that worker.',
  },
  LostAfterStart: {
    title: 'The worker stopped reporting',
    text: 'The run had started; then nothing came until its time was over. Steps that were open were closed as lost.',
    next: 'Check whether its last step had effects outside before you retry.',
  },
  LostAfterDisconnect: {
    title: 'The worker went away',
    text: 'Its connection was gone for longer than is waited for, while it held this run.',
    next: 'Retry it once workers are connected. If the worker comes back, its late result is still taken.',
  },
  TimeoutError: {
    title: 'It took too long',
    text: 'The worker ended it because it ran past its limit of time.',
    next: 'Give it less to do at once, or raise the limit of the run.',
  },
  OOMError: {
    title: 'It took too much memory',
    text: 'The worker ended it because it used more memory than a run may.',
    next: 'Handle the data in smaller parts, or raise the limit of memory.',
  },
  CompileError: {
    title: 'The code of a step does not compile',
    text: 'The step was never executed; the message says where the code is wrong.',
    next: 'Correct the job, then retry from this step.',
  },
  ValidationError: { title: 'The workflow or its input is not valid', text: 'The worker refused to execute it.' },
  CredentialLoadError: {
    title: 'The credential could not be loaded',
    text: 'The step needs a credential which the server or the provider refused.',
    next: 'Check the credential of the step, then retry from it.',
  },
  JobError: {
    title: 'A step threw an error',
    text: 'The code of the job ended with an error. The log shows what came before.',
    next: 'Correct the job or its input, then retry from that step.',
  },
  RuntimeError: { title: 'The code of a step broke', text: 'Something is wrong in the code itself, such as a name that does not exist.' },
  AdaptorError: { title: 'The adaptor reported an error', text: 'The system on the other side refused, or could not be reached.' },
  ImportError: { title: 'An adaptor could not be loaded', text: 'The worker did not find the adaptor of a step or its version.' },
  SecurityError: { title: 'The code did something that is not allowed', text: 'The worker forbids it and ended the run.' },
  ExitError: { title: 'The engine of the worker exited', text: 'The process that executes steps ended by itself.' },
  AutoinstallError: { title: 'An adaptor could not be installed', text: 'The worker could not fetch the adaptor of a step.' },
  Cancelled: { title: 'Somebody cancelled it', text: 'Nothing was executed after that.' },
};

/** @type {Record<string, Explanation>} */
const STATES = {
  lost: TYPES.LostAfterDisconnect,
  crashed: TYPES.RuntimeError,
  killed: { title: 'The worker ended it', text: 'It went past a limit of time or memory.' },
  exception: { title: 'The worker itself broke', text: 'The error is not in the workflow. It is worth a retry.' },
  failed: { title: 'A step failed', text: 'The error was reported by the code of a step or by the system it spoke to.' },
  cancelled: TYPES.Cancelled,
};

/**
 * @param {string | null | undefined} type of the error
 * @param {string} [state] of the run, when the type is not known
 * @returns {Explanation | null}
 */
export function explain(type, state = '') {
  return TYPES[type ?? ''] ?? STATES[state] ?? null;
}

/** What a refusal of the server means for somebody who pressed a button. @param {any} error */
export function refusalText(error) {
  const known = /** @type {Record<string, string>} */ ({
    forbidden: 'Your role does not allow this. Ask for an operator token.',
    unreachable: 'The server cannot be reached. Nothing was changed.',
    wiped: 'The data of this run is wiped, so it cannot be started again.',
  });
  return known[error?.code] ?? error?.message ?? 'It did not work.';
}

/** What was unusual about an event of a worker. @type {Record<string, {label: string, tone: string, hint: string}>} */
export const REMARKS = {
  missing: { label: 'Missing', tone: 'bad', hint: 'An event that must have happened was never reported.' },
  late: { label: 'Late', tone: 'warn', hint: 'It came after the run was already closed.' },
  resent: { label: 'Sent again', tone: 'info', hint: 'The worker repeated it; it counts once.' },
  early: { label: 'Early', tone: 'warn', hint: 'Its time lies before the run was claimed.' },
};
