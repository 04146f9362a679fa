/** What went in and what came out, of the run and of each step. */
import { html } from '../lib.js';
import { Badge, CopyButton, EmptyState, ErrorState, Skeleton } from '../components/basics.js';
import { JsonTree } from '../components/json_tree.js';
import { dateTime } from '../pure/format.js';
import { setQuery } from '../router.js';
import { getJson } from '../store/api.js';
import { useResource } from '../store/resource.js';

/** @param {any} run @param {any} step */
function clipsOf(run, step) {
  const clips = [
    { name: 'input', label: 'Input of the run', id: run.dataclip_id },
    { name: 'final', label: 'Output of the run', id: run.final_dataclip_id },
  ];
  if (!step) return clips;
  const name = step.job_name ?? 'the step';
  return [
    ...clips,
    { name: 'step-input', label: `Input of ${name}`, id: step.input_dataclip_id },
    { name: 'step-output', label: `Output of ${name}`, id: step.output_dataclip_id },
  ];
}

/** @param {{store: any, step: any, query: Record<string, string>}} props */
export function DataPanel({ store, step, query }) {
  const clips = clipsOf(store.run.value, step);
  const chosen = clips.find((clip) => clip.name === query.clip) 
    ?? clips.slice(2).find((clip) => clip.id) ?? clips[0];
  return html`<div class="data-panel">
    <div class="chips" role="group" aria-label="Which data">
      ${clips.map((clip) => html`<button type="button" class="chip" key=${clip.name} aria-pressed=${clip === chosen}
        onClick=${() => setQuery({ clip: clip.name })}>${clip.label}</button>`)}
    </div>
    ${!step && html`<p class="note">Choose a step to see what it was given and what it made.</p>`}
    ${chosen.id
      ? html`<${Clip} key=${chosen.id} id=${chosen.id} changed=${store.clips.value} />`
      : html`<${EmptyState} icon="dot" title="Nothing yet">${chosen.label} shows up here once there is any.<//>`}
  </div>`;
}

/** @param {{id: string, changed: number}} props */
function Clip({ id, changed }) {
  const clip = useResource(`${id} ${changed}`, (abort) => getJson(`/api/dataclips/${id}`, {}, abort));
  const data = clip.data.value;
  if (clip.error.value) return html`<${ErrorState} error=${clip.error.value} retry=${clip.reload} />`;
  if (!data) return html`<${Skeleton} lines=${5} />`;
  if (data.wiped || data.wiped_at) {
    return html`<${EmptyState} icon="stop" title="This was wiped">
      ${data.wiped_at ? `Its content was deleted on ${dateTime(data.wiped_at)}, as the project wishes.` : 'Its content was deleted, as the project wishes.'}
    <//>`;
  }
  return html`<div class="clip">
    <div class="clip-head"><${Badge}>${data.type}<//><code>${data.id}</code>
      <${CopyButton} text=${() => JSON.stringify(data.body, null, 2)} label="Copy all as JSON" /></div>
    <${JsonTree} value=${data.body} label="Body" />
    ${data.request && html`<h3>Request</h3><${JsonTree} value=${data.request} label="Request" />`}
  </div>`;
}
