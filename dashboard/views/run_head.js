/** The head of a run: its state, its times, what went wrong, what can be done. */
import { html, useSignal } from '../lib.js';
import { Badge, Button, CopyButton, RelativeTime, StateBadge } from '../components/basics.js';
import { Confirm } from '../components/dialog.js';
import { Icon } from '../components/icon.js';
import { RunDuration } from '../components/run_columns.js';
import { explain, refusalText } from '../pure/errors.js';
import { between, dateTime, duration, shortId } from '../pure/format.js';
import { FAILURES, isFinal, stepState } from '../pure/states.js';
import { href } from '../pure/route.js';
import { navigate } from '../router.js';
import { postJson } from '../store/api.js';
import { now } from '../store/clock.js';
import { toast } from '../store/notices.js';
import { canAct } from '../store/session.js';

/** @param {{run: any, details: any, steps: any[], chosen: any}} props */
export function RunHead({ run, details, steps, chosen }) {
  return html`<section class="card run-head" aria-label="Summary">
    <div class="run-title">
      <${StateBadge} state=${run.state} />
      <a href=${href('/runs', { workflow: run.workflow_id })}>${details.workflow?.name}</a>
      <code title=${run.id}>${shortId(run.id)}</code>
      <${CopyButton} text=${run.id} label="Copy the id of the run" />
      ${run.cancel_requested_at && !isFinal(run.state) && html`<${Badge} tone="warn" icon="stop">Asked to stop<//>`}
      ${run.recovered_at && html`<${Badge} tone="info" icon="retry" title=${`Counted as lost until ${dateTime(run.recovered_at)}`}>Came back<//>`}
      <${Actions} run=${run} steps=${steps} chosen=${chosen} />
    </div>
    <dl class="facts">
      <${Fact} label="Queued"><${RelativeTime} time=${run.inserted_at} /><//>
      <${Fact} label="Waited"><${Waited} run=${run} /><//>
      <${Fact} label="Took"><${RunDuration} run=${run} /><//>
      <${Fact} label="Worker">${run.worker_name ?? '–'}<${Holder} lease=${details.lease} /><//>
      <${Fact} label="Priority">${run.priority ?? 'normal'}<//>
    </dl>
    <${Trouble} run=${run} steps=${steps} />
  </section>`;
}

/** @param {{label: string, children?: any}} props */
function Fact({ label, children }) {
  return html`<div><dt>${label}</dt><dd>${children}</dd></div>`;
}

/** @param {{run: any}} props */
function Waited({ run }) {
  const end = run.claimed_at ?? run.finished_at;
  return duration(between(run.inserted_at, end, end ? 0 : now.value));
}

/** @param {{lease: any}} props */
function Holder({ lease }) {
  if (!lease) return null;
  return lease.online === false
    ? html` <${Badge} tone="warn">away <${RelativeTime} time=${lease.since} /><//>`
    : html` <span class="presence on" title="Connected"></span>`;
}

/** @param {{run: any, steps: any[]}} props */
function Trouble({ run, steps }) {
  if (!FAILURES.includes(run.state)) return null;
  const known = explain(run.error_type, run.state);
  const culprit = [...steps].reverse().find((step) => stepState(step) !== 'success' && step.error_type);
  return html`<div class=${`trouble ${run.state === 'lost' ? 'warn' : 'bad'}`}>
    <${Icon} name="alert" size=${20} />
    <div>
      <p class="trouble-title">${known?.title ?? 'It failed'}${culprit ? html` <span>in ${culprit.job_name ?? 'a step'}</span>` : ''}</p>
      ${run.error_message && html`<p class="trouble-message"><code>${run.error_type}</code> ${run.error_message}</p>`}
      ${known && html`<p class="note">${known.text} ${known.next ?? ''}</p>`}
    </div>
  </div>`;
}

/** @param {{run: any, steps: any[], chosen: any}} props */
function Actions({ run, steps, chosen }) {
  const asked = useSignal(/** @type {'retry' | 'cancel' | null} */ (null));
  const busy = useSignal(false);
  if (!canAct.value) return null;
  const over = isFinal(run.state);
  const close = () => (asked.value = null);
  const confirm = async () => {
    busy.value = true;
    try {
      if (asked.value === 'retry') await retry(run, chosen);
      else await cancel(run);
      close();
    } catch (error) {
      toast(refusalText(error), { tone: 'bad' });
    } finally {
      busy.value = false;
    }
  };
  const from = chosen ? `from ${chosen.job_name ?? 'this step'}` : 'from the start';
  return html`<div class="actions run-actions">
    ${over && html`<${Button} icon="retry" variant="primary" onClick=${() => (asked.value = 'retry')}>Retry ${steps.length ? from : ''}<//>`}
    ${!over && html`<${Button} icon="stop" variant="danger" disabled=${Boolean(run.cancel_requested_at)} onClick=${() => (asked.value = 'cancel')}>Cancel<//>`}
    ${asked.value === 'retry' && html`<${Confirm} title=${`Retry ${from}?`} action="Retry" busy=${busy.value} onConfirm=${confirm} onClose=${close}>
      <p>${chosen
        ? 'A new run starts at this step with the input that it had. What earlier steps put out is used again.'
        : 'A new run starts with the same input. Choose a step first to start from there.'}</p>
      <p class="note">Effects outside happen again.</p>
    <//>`}
    ${asked.value === 'cancel' && html`<${Confirm} title="Cancel this run?" action="Cancel the run" danger busy=${busy.value} onConfirm=${confirm} onClose=${close}>
      <p>${run.state === 'available' ? 'It waits in the queue and is cancelled at once.' : 'Its worker is asked to stop. If it does not, the run is closed shortly.'}</p>
    <//>`}
  </div>`;
}

/** @param {any} run @param {any} step */
async function retry(run, step) {
  const made = await postJson(`/api/runs/${run.id}/retry`, step ? { step_id: step.id } : {});
  toast('A new run was started.', { tone: 'good' });
  navigate(`/runs/${made.run_id}`);
}

/** @param {any} run */
async function cancel(run) {
  const answer = await postJson(`/api/runs/${run.id}/cancel`);
  toast(answer?.state === 'cancelled' ? 'The run is cancelled.' : 'The worker was asked to stop.', { tone: 'good' });
}
