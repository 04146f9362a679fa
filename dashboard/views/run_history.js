/** The events of a run in their order, with what was late, repeated or never came. */
import { html } from '../lib.js';
import { Badge, EmptyState } from '../components/basics.js';
import { Icon } from '../components/icon.js';
import { REMARKS } from '../pure/errors.js';
import { clock, dateTime, plural } from '../pure/format.js';
import { historyRows } from '../pure/history.js';
import { lookOf, stepLook } from '../pure/states.js';

/** @param {{store: any}} props */
export function HistoryPanel({ store }) {
  const details = store.details.value;
  const names = new Map(store.steps.value.map((/** @type {any} */ step) => [step.id, step.job_name]));
  const { rows, loose } = historyRows(details.history ?? [], store.remarks.value);
  return html`<div class="history">
    <${Gaps} gaps=${details.gaps ?? []} names=${names} />
    ${loose.length > 0 && html`<ul class="loose">${loose.map((remark, i) => html`<li key=${i}><${Remark} remark=${remark} names=${names} /></li>`)}</ul>`}
    ${rows.length
      ? html`<ol class="events">${rows.map((row) => html`<${Event} key=${row.version} row=${row} names=${names} />`)}</ol>`
      : html`<${EmptyState} icon="clock" title="Nothing is recorded">The events of this run are gone after their time.<//>`}
  </div>`;
}

/** @param {{gaps: any[], names: Map<string, string>}} props */
function Gaps({ gaps, names }) {
  if (!gaps.length) return null;
  return html`<div class="trouble warn"><${Icon} name="alert" size=${20} /><div>
    <p class="trouble-title">${plural(gaps.length, 'event')} never came</p>
    <ul>${gaps.map((gap, i) => html`<li key=${i}><code>${gap.event}</code>${names.get(gap.step_id) ? ` of ${names.get(gap.step_id)}` : ''}
      ${gap.because ? html`<span class="note"> – ${gap.because}</span>` : ''}</li>`)}</ul>
    <p class="note">What was not reported is not guessed.</p>
  </div></div>`;
}

/** @param {{remark: any, names?: Map<string, string>}} props */
function Remark({ remark, names }) {
  const { label, tone, hint } = REMARKS[remark.kind] ?? { label: remark.kind, tone: 'neutral', hint: '' };
  const times = remark.count > 1 ? ` ${remark.count} times` : '';
  return html`<${Badge} tone=${tone} title=${hint}>${label}${times}<//>
    ${names && html` <code>${remark.event}</code>${names.get(remark.step_id) ? ` of ${names.get(remark.step_id)}` : ''}`}
    ${remark.detail && html` <span class="note">${typeof remark.detail === 'string' ? remark.detail : JSON.stringify(remark.detail)}</span>`}`;
}

/** @param {{row: any, names: Map<string, string>}} props */
function Event({ row, names }) {
  const look = row.state ? lookOf(row.state) : stepLook(row.event === 'step:started' ? 'running' : 'success');
  const failed = row.event === 'step:completed' && !/: success/.test(row.summary ?? '');
  const tone = row.event === 'run:created' ? 'neutral' : failed ? 'bad' : look.tone;
  return html`<li class=${`event ${tone}`}>
    <span class="event-dot" aria-hidden="true"></span>
    <time class="mono" datetime=${row.at} title=${dateTime(row.at)}>${clock(row.at)}</time>
    <span class="event-text"><strong>${row.summary ?? row.event}</strong> <code>${row.event}</code>
      ${row.remarks.map((/** @type {any} */ remark, /** @type {number} */ i) => html` <${Remark} key=${i} remark=${remark} />`)}
      ${row.step_id && !row.summary && names.get(row.step_id)}</span>
    <span class="event-version" title="Version of the run">${row.version}</span>
  </li>`;
}
