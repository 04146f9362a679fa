/** The history of a run with what was remarked of its events. Pure. */

/** What the wire calls an event, and what the history does. @type {Record<string, string[]>} */
const NAMES = {
  'step:start': ['step:started'],
  'step:complete': ['step:completed'],
  'run:start': ['run:updated'],
  'run:complete': ['run:updated'],
};

/**
 * Puts each remark to the event it is about; those of events that are not there are loose.
 * @param {any[]} history @param {any[]} remarks
 * @returns {{rows: any[], loose: any[]}}
 */
export function historyRows(history, remarks) {
  const rows = history.map((row) => ({ ...row, remarks: /** @type {any[]} */ ([]) }));
  /** @type {any[]} */
  const loose = [];
  for (const remark of remarks) {
    const row = remark.kind === 'missing' ? null : rowFor(rows, remark);
    if (row) row.remarks.push(remark);
    else loose.push(remark);
  }
  return { rows, loose };
}

/** @param {any[]} rows @param {any} remark */
function rowFor(rows, remark) {
  const names = NAMES[remark.event] ?? [remark.event];
  const fits = (/** @type {any} */ row) => {
    if (!names.includes(row.event) || (row.step_id ?? null) !== (remark.step_id ?? null)) return false;
    if (remark.event === 'run:start') return row.state === 'started';
    if (remark.event === 'run:complete') return !['available', 'claimed', 'started', 'lost'].includes(row.state);
    return true;
  };
  return rows.findLast(fits) ?? null;
}
