/** The small parts that every view is made of. */
import { html } from '../lib.js';
import { ago, clock, dateTime } from '../pure/format.js';
import { lookOf } from '../pure/states.js';
import { now, nowMinute } from '../store/clock.js';
import { announce, toast } from '../store/notices.js';
import { Icon } from './icon.js';

/**
 * @param {{variant?: 'primary' | 'secondary' | 'ghost' | 'danger', icon?: string, busy?: boolean,
 *   small?: boolean, children?: any, [rest: string]: any}} props
 */
export function Button({
  variant = 'secondary', icon, busy = false, small = false, children, class: extra = '', ...rest
}) {
  const classes = `button ${variant} ${small ? 'small' : ''} ${children ? '' : 'square'} ${extra}`;
  return html`<button type="button" class=${classes} ...${rest} aria-busy=${busy || undefined}
    disabled=${rest.disabled || busy}>
    ${busy ? html`<span class="spinner" aria-hidden="true"></span>` : icon && html`<${Icon} name=${icon} />`}
    ${children && html`<span>${children}</span>`}
  </button>`;
}

/** @param {{tone?: string, icon?: string, pulse?: boolean, title?: string, children?: any}} props */
export function Badge({ tone = 'neutral', icon, pulse = false, title, children }) {
  return html`<span class=${`badge ${tone}`} title=${title}>
    ${pulse
      ? html`<span class="pulse" aria-hidden="true"></span>`
      : icon && html`<${Icon} name=${icon} size=${14} />`}
    ${children}
  </span>`;
}

/** @param {{state: string, look?: (state: string) => any}} props */
export function StateBadge({ state, look = lookOf }) {
  const { label, tone, icon, hint } = look(state);
  return html`<${Badge} tone=${tone} icon=${icon} pulse=${tone === 'active'} title=${hint}>
    ${label}
  <//>`;
}

/** @param {{title?: any, note?: any, actions?: any, class?: string, children?: any, id?: string, flush?: boolean}} props */
export function Card({ title, note, actions, class: extra = '', children, id, flush = false }) {
  return html`<section class=${`card ${flush ? 'flush' : ''} ${extra}`} id=${id}
    aria-label=${typeof title === 'string' ? title : undefined}>
    ${(title || actions) && html`<header class="card-head">
      <h2>${title}</h2>
      ${note && html`<p class="note">${note}</p>`}
      ${actions && html`<div class="actions">${actions}</div>`}
    </header>`}
    <div class="card-body">${children}</div>
  </section>`;
}

/** @param {{icon?: string, title: string, children?: any, action?: any}} props */
export function EmptyState({ icon = 'runs', title, children, action }) {
  return html`<div class="empty">
    <span class="empty-icon"><${Icon} name=${icon} size=${22} /></span>
    <p class="empty-title">${title}</p>
    ${children && html`<p class="note">${children}</p>`}
    ${action}
  </div>`;
}

/** What went wrong with a request, and a way to try again. @param {{error: any, retry?: () => any}} props */
export function ErrorState({ error, retry }) {
  return html`<div class="empty" role="alert">
    <span class="empty-icon bad"><${Icon} name="alert" size=${22} /></span>
    <p class="empty-title">${error.status === 404 ? 'There is nothing here' : 'This could not be loaded'}</p>
    <p class="note">${error.message}${error.code && error.status ? html` <code>${error.code}</code>` : ''}</p>
    ${retry && html`<${Button} icon="retry" onClick=${retry}>Try again<//>`}
  </div>`;
}

/** @param {{lines?: number}} props */
export function Skeleton({ lines = 3 }) {
  return html`<div class="skeleton" aria-hidden="true">
    ${Array.from({ length: lines }, (_, i) => html`<span key=${i}></span>`)}
  </div>`;
}

/** A time that keeps being true; its tooltip is exact. @param {{time: string | null | undefined}} props */
export function RelativeTime({ time }) {
  if (!time) return html`<span class="faint">–</span>`;
  const old = Date.now() - Date.parse(time) > 3_600_000;
  const present = old ? nowMinute.value : now.value;
  return html`<time datetime=${time} title=${`${dateTime(time)} (${clock(time)})`}>${ago(time, present)}</time>`;
}

/** @param {{text: string | (() => string), label?: string, small?: boolean}} props */
export function CopyButton({ text, label = 'Copy', small = true }) {
  async function copy() {
    try {
      await navigator.clipboard.writeText(typeof text === 'function' ? text() : text);
      announce('Copied');
      toast('Copied to the clipboard.', { tone: 'good', seconds: 2 });
    } catch {
      toast('The browser did not allow copying.', { tone: 'bad' });
    }
  }
  return html`<${Button} variant="ghost" small=${small} icon="copy" aria-label=${label}
    title=${label} onClick=${copy} />`;
}

/** A number with its name; belongs into a `<dl>`. @param {{label: any, value: any, note?: any, tone?: string, class?: string}} props */
export function Stat({ label, value, note, tone = '', class: extra = '' }) {
  return html`<div class=${`stat ${tone} ${extra}`}>
    <dt>${label}</dt>
    <dd>${value}</dd>
    ${note && html`<dd class="note">${note}</dd>`}
  </div>`;
}

/** A key as it is printed on keyboards. @param {{children?: any}} props */
export function Key({ children }) {
  return html`<kbd>${children}</kbd>`;
}
