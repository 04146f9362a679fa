/** Asks for a file of data, factors or units, and sends it. */
import { html, useEffect, useRef, useSignal } from '../lib.js';
import { size } from '../pure/format.js';
import { moduleTitle } from '../pure/pipelines.js';
import { announce, toast } from '../store/notices.js';
import { pipelineState } from '../store/pipelines.js';
import { upload } from '../store/upload.js';
import { Button } from './basics.js';
import { Dialog } from './dialog.js';

/** @type {Record<string, string>} */
const TARGETS = { data: 'Data', factors: 'Factors', units: 'Units' };
const UNIT_COLUMNS = ['institutional_id', 'name'];

/** @param {{modules: any[], module: number, year: number, onClose: () => void}} props */
export function UploadDialog({ modules, module: chosen, year, onClose }) {
  const target = useSignal('data');
  const module = useSignal(chosen);
  const file = useSignal(/** @type {File | null} */ (null));
  const sent = useSignal(/** @type {number | null} */ (null));
  const problem = useSignal(/** @type {any} */ (null));
  const stop = useRef(new AbortController());
  useEffect(() => () => stop.current.abort(), []);
  const current = modules.find((one) => one.id === module.value) ?? modules[0];
  const busy = sent.value !== null;

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    if (!file.value || busy) return;
    const form = new FormData();
    form.set('target', target.value);
    form.set('year', String(year));
    if (target.value !== 'units') form.set('module', String(module.value));
    form.set('file', file.value);
    problem.value = null;
    sent.value = 0;
    stop.current = new AbortController();
    try {
      const made = await upload('/api/pipelines/dispatch', form, (part) => (sent.value = part), stop.current.signal);
      if (target.value !== 'units') pipelineState.setPipelineId(module.value, year, made.pipeline_id);
      toast(`${file.value.name} was accepted.`, { tone: 'good' });
      onClose();
    } catch (error) {
      sent.value = null;
      const { code, message } = /** @type {any} */ (error);
      if (code !== 'aborted') {
        problem.value = error;
        announce(message);
      }
    }
  }

  const columns = target.value === 'data' ? current.data_columns
    : target.value === 'factors' ? current.factor_columns : UNIT_COLUMNS;
  return html`<${Dialog} title=${`Upload for ${year}`} onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      <div class="upload-what">
        <label class="field"><span>What it holds</span>
          <select value=${target.value} disabled=${busy} onChange=${(/** @type {any} */ event) => (target.value = event.target.value)}>
            ${Object.entries(TARGETS).map(([key, label]) => html`<option key=${key} value=${key}>${label}</option>`)}
          </select>
        </label>
        ${target.value !== 'units' && html`<label class="field"><span>Module</span>
          <select value=${module.value} disabled=${busy} onChange=${(/** @type {any} */ event) => (module.value = Number(event.target.value))}>
            ${modules.map((one) => html`<option key=${one.id} value=${one.id}>${moduleTitle(one.name)}</option>`)}
          </select>
        </label>`}
      </div>
      <${Drop} file=${file} disabled=${busy} />
      <p class="note">CSV with the columns ${columns.map((/** @type {string} */ name, /** @type {number} */ at) =>
        html`${at > 0 && ', '}<code key=${name}>${name}</code>`)}.</p>
      ${problem.value && html`<p class="banner bad" role="alert">${problem.value.message}</p>`}
      ${busy && html`<div class="upload-progress">
        <progress max="1" value=${sent.value} aria-label="Sent"></progress>
        <span>${sent.value === 1 ? 'The server reads it…' : `${Math.floor(100 * (sent.value ?? 0))} %`}</span>
      </div>`}
      <div class="actions upload-end">
        ${busy && html`<${Button} onClick=${() => stop.current.abort()}>Stop<//>`}
        <${Button} type="submit" variant="primary" icon="upload" busy=${busy} disabled=${!file.value}>Upload<//>
      </div>
    </form>
  <//>`;
}

/** @param {{file: any, disabled: boolean}} props */
function Drop({ file, disabled }) {
  const over = useSignal(false);
  /** @param {DragEvent} event */
  function dropped(event) {
    event.preventDefault();
    over.value = false;
    file.value = event.dataTransfer?.files[0] ?? file.value;
  }
  return html`<label class=${`drop ${over.value ? 'over' : ''}`} onDrop=${dropped}
    onDragOver=${(/** @type {DragEvent} */ event) => {
      event.preventDefault();
      over.value = true;
    }} onDragLeave=${() => (over.value = false)}>
    <input type="file" accept=".csv,text/csv" disabled=${disabled} aria-label="File"
      onChange=${(/** @type {any} */ event) => (file.value = event.target.files[0] ?? null)} />
    ${file.value
      ? html`<span><strong>${file.value.name}</strong> · ${size(file.value.size)}</span>`
      : html`<span><strong>Choose a file</strong> or drop it here</span>`}
  </label>`;
}
