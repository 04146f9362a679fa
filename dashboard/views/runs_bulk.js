/** What can be done with the rows that are selected. */
import { html, useSignal } from '../lib.js';
import { Button } from '../components/basics.js';
import { Confirm } from '../components/dialog.js';
import { count, plural } from '../pure/format.js';
import { isFinal } from '../pure/states.js';
import { bulk, progress } from '../store/bulk.js';

/** @param {{list: any, chosen: any, everything: any}} props */
export function BulkBar({ list, chosen, everything }) {
  const asked = useSignal(/** @type {'retry' | 'cancel' | null} */ (null));
  const told = progress.value;
  const ids = [...chosen.value];
  if (told) return html`<${ProgressBar} told=${told} />`;
  if (!ids.length) return null;
  const total = list.total.value;
  const all = everything.value;
  const canAll = total !== null && total > ids.length && ids.length >= list.ids.value.length;
  const number = all ? total : ids.length;
  const runs = ids.map((id) => list.peek(id)).filter(Boolean);
  const open = all || runs.some((run) => !isFinal(run.state));
  const over = all || runs.some((run) => isFinal(run.state));
  const start = () => {
    const action = /** @type {'retry' | 'cancel'} */ (asked.value);
    asked.value = null;
    chosen.value = new Set();
    everything.value = false;
    bulk(action, all ? { filter: list.filters } : { ids });
  };
  return html`<div class="bulk" role="region" aria-label="Selected runs">
    <strong>${plural(number, 'run')} selected</strong>
    ${canAll && !all && html`<button type="button" class="link" onClick=${() => (everything.value = true)}>Select all ${count(total)} that fit</button>`}
    <span class="spacer"></span>
    <${Button} icon="retry" disabled=${!over} onClick=${() => (asked.value = 'retry')}>Retry<//>
    <${Button} icon="stop" variant="danger" disabled=${!open} onClick=${() => (asked.value = 'cancel')}>Cancel runs<//>
    <${Button} variant="ghost" icon="cross" aria-label="Select none" onClick=${() => (chosen.value = new Set())} />
    ${asked.value && html`<${Confirm} title=${`${asked.value === 'retry' ? 'Retry' : 'Cancel'} ${plural(number, 'run')}?`}
      action=${asked.value === 'retry' ? 'Retry them' : 'Cancel them'} danger=${asked.value === 'cancel'}
      onClose=${() => (asked.value = null)} onConfirm=${start}>
      <p>${asked.value === 'retry'
        ? 'Each run that is over is started again with the same input. Effects outside happen again.'
        : 'Runs that wait are cancelled at once. Running ones are asked to stop, and end shortly.'}</p>
    <//>`}
  </div>`;
}

/** @param {{told: import('../store/bulk.js').Progress}} props */
function ProgressBar({ told }) {
  const { action, done, total, failed } = told;
  const words = action === 'retry' ? 'Retrying' : 'Cancelling';
  return html`<div class="bulk" role="region" aria-label="Progress">
    <span class="spinner" aria-hidden="true"></span>
    <strong>${words} ${count(done)} of ${count(total)}</strong>
    ${failed > 0 && html`<span class="note">${count(failed)} refused</span>`}
    <progress max=${total || 1} value=${done} aria-label=${words}></progress>
  </div>`;
}
