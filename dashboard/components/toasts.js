/** What is said in passing. */
import { html } from '../lib.js';
import { announcement, dismiss, toasts } from '../store/notices.js';
import { Button } from './basics.js';
import { Icon } from './icon.js';

/** @type {Record<string, string>} */
const ICONS = { good: 'check', bad: 'alert', warn: 'alert' };

export function Toasts() {
  return html`
    <div class="visually-hidden" role="status" aria-live="polite" id="announcer">${announcement.value}</div>
    <div class="toasts">
      ${toasts.value.map((one) => html`<div class=${`toast ${one.tone}`} key=${one.id}>
        <${Icon} name=${ICONS[one.tone] ?? 'dot'} />
        <span>${one.text}</span>
        ${one.href && html`<a href=${one.href}>${one.link ?? 'Show'}</a>`}
        <${Button} variant="ghost" small icon="cross" aria-label="Dismiss" onClick=${() => dismiss(one.id)} />
      </div>`)}
    </div>`;
}
