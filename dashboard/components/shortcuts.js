/** The keys, on `?`. */
import { html } from '../lib.js';
import { SHORTCUTS } from '../pure/shortcuts.js';
import { helpOpen } from '../store/keyboard.js';
import { Key } from './basics.js';
import { Dialog } from './dialog.js';

export default function Shortcuts() {
  if (!helpOpen.value) return null;
  return html`<${Dialog} title="Keys" onClose=${() => (helpOpen.value = false)}>
    ${SHORTCUTS.map((group) => html`<section class="keys" key=${group.title}>
      <h3>${group.title}</h3>
      <dl>${group.shortcuts.map(({ keys, does }) => html`<div key=${does}>
        <dt>${keys.map((key) => html`<${Key}>${key}<//> `)}</dt><dd>${does}</dd>
      </div>`)}</dl>
    </section>`)}
  <//>`;
}
