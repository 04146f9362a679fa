/** JSON as a tree that opens where one looks; long lists are shown in parts. */
import { html, useSignal } from '../lib.js';
import { entriesOf, kindOf, summaryOf } from '../pure/json.js';
import { CopyButton } from './basics.js';
import { Icon } from './icon.js';

const PART = 100;
const OPEN_DEPTH = 2;

/** @param {{value: any, label?: string}} props */
export function JsonTree({ value, label = 'JSON' }) {
  return html`<div class="json" role="group" aria-label=${label}><${JsonNode} name=${null} value=${value} depth=${0} /></div>`;
}

/** @param {{name: string | null, value: any, depth: number}} props */
function JsonNode({ name, value, depth }) {
  const kind = kindOf(value);
  if (kind === 'object' || kind === 'array') return html`<${Branch} name=${name} value=${value} depth=${depth} />`;
  const text = kind === 'string' ? JSON.stringify(value) : String(value);
  return html`<div class="json-leaf"><${Name} name=${name} /><span class=${`json-${kind}`}>${text}</span>
    <${CopyButton} text=${kind === 'string' ? value : text} label=${`Copy ${name ?? 'the value'}`} /></div>`;
}

/** @param {{name: string | null}} props */
function Name({ name }) {
  return name === null ? null : html`<span class="json-name">${name}: </span>`;
}

/** @param {{name: string | null, value: any, depth: number}} props */
function Branch({ name, value, depth }) {
  const open = useSignal(depth < OPEN_DEPTH);
  const shown = useSignal(PART);
  const entries = entriesOf(value);
  return html`<div class="json-branch">
    <div class="json-head">
      <button type="button" class="json-toggle" aria-expanded=${open.value} onClick=${() => (open.value = !open.value)}>
        <${Icon} name=${open.value ? 'down' : 'right'} size=${14} /><${Name} name=${name} /><span class="json-summary">${summaryOf(value)}</span>
      </button>
      <${CopyButton} text=${() => JSON.stringify(value, null, 2)} label=${`Copy ${name ?? 'all'}`} />
    </div>
    ${open.value && html`<div class="json-children">
      ${entries.slice(0, shown.value).map(([key, child]) => html`<${JsonNode} key=${key} name=${key} value=${child} depth=${depth + 1} />`)}
      ${entries.length > shown.value && html`<button type="button" class="link" onClick=${() => (shown.value += PART * 5)}>
        Show more of ${entries.length}</button>`}
    </div>`}
  </div>`;
}
