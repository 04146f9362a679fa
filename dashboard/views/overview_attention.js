/** What a person should look at. */
import { html } from '../lib.js';
import { Card, EmptyState, RelativeTime } from '../components/basics.js';
import { Icon } from '../components/icon.js';
import { href } from '../pure/route.js';

/** @type {Record<string, {label: string, tone: string, icon: string}>} */
const KINDS = {
  lost: { label: 'Lost', tone: 'warn', icon: 'alert' },
  stuck: { label: 'Stuck', tone: 'warn', icon: 'clock' },
  stale: { label: 'Stale', tone: 'warn', icon: 'pipelines' },
  failed: { label: 'Failed', tone: 'bad', icon: 'cross' },
};

/** @param {{items: any[]}} props */
export function Attention({ items }) {
  const list = items ?? [];
  return html`<${Card} title="Needs attention" note=${list.length ? `${list.length} to look at` : ''} class="attention">
    ${list.length
      ? html`<ul class="attention-list">${list.slice(0, 7).map((item, i) => html`<${Item} key=${`${item.kind} ${item.run_id ?? i}`} item=${item} />`)}</ul>`
      : html`<div class="empty calm"><span class="empty-icon good"><${Icon} name="check" size=${22} /></span>
        <p class="empty-title">All is well</p><p class="note">Nothing is lost, stuck or stale.</p></div>`}
  <//>`;
}

/** @param {{item: any}} props */
function Item({ item }) {
  const { label, tone, icon } = KINDS[item.kind] ?? { label: item.kind, tone: 'warn', icon: 'alert' };
  const to = item.run_id ? `/runs/${item.run_id}`
    : item.workflow_id ? href('/runs', { workflow: item.workflow_id, state: 'failed,crashed,lost' })
      : item.kind === 'stale' ? '/pipelines' : '/runs';
  return html`<li><a class="attention-item" href=${to}>
    <span class=${`attention-icon ${tone}`}><${Icon} name=${icon} size=${16} /></span>
    <span class="attention-text"><strong>${label}</strong> ${item.message}</span>
    <span class="faint"><${RelativeTime} time=${item.since} /></span>
  </a></li>`;
}
