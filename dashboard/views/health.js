/** Health: whether the server can do its work, how far behind it is, and which limits are in force. */
import { html, useEffect, useSignal } from '../lib.js';
import { Badge, Card, EmptyState, ErrorState, RelativeTime, Skeleton, Stat } from '../components/basics.js';
import { Icon } from '../components/icon.js';
import { count, duration } from '../pure/format.js';
import { checkRow, flatten, isAlarming, verdict, whyStale } from '../pure/health.js';
import { moduleTitle } from '../pure/pipelines.js';
import { getJson } from '../store/api.js';
import { useResource } from '../store/resource.js';
import { me } from '../store/session.js';

/** Health has no stream: it is asked for, and says when it was. */
const EVERY = 5000;
const CHECKS = ['database', 'listener', 'migrations', 'drain'];

/** @param {AbortSignal} signal */
async function fetchHealth(signal) {
  const forPipelines = me.peek()?.tenants !== null;
  const year = new Date().getFullYear();
  const [health, stale, totals] = await Promise.all([
    getJson('/api/health', {}, signal),
    forPipelines ? getJson('/api/health/stale-stats', {}, signal) : null,
    forPipelines ? getJson('/api/emissions/totals', { year }, signal) : null,
  ]);
  const names = new Map((totals?.modules ?? []).map((/** @type {any} */ one) => [one.id, moduleTitle(one.name)]));
  return { health, stale, names, at: new Date().toISOString() };
}

export default function Health() {
  const found = useResource('health', fetchHealth);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden && !found.loading.peek()) found.reload();
    }, EVERY);
    return () => clearInterval(timer);
  }, [found]);
  if (!found.data.value) {
    return found.error.value
      ? html`<${ErrorState} error=${found.error.value} retry=${found.reload} />`
      : html`<${Card}><${Skeleton} lines=${6} /><//>`;
  }
  const { health, stale, names, at } = found.data.value;
  const checks = CHECKS.map((name) => checkRow(name, health[name]));
  const alarming = (stale ?? []).filter(isAlarming);
  return html`<div class="view health">
    ${found.error.value && html`<p class="banner bad" role="alert">
      Health cannot be read now: ${found.error.value.message} What is below was told before.
    </p>`}
    <${Verdict} ...${verdict(checks, alarming.length)} at=${at} />
    <div class="health-grid">
      <${Card} title="Checks"><${Checks} rows=${checks} /><//>
      <${Card} title="Queue"><${Queue} queue=${health.queue} stale=${health.stale_stats} /><//>
      <${Card} title="Versions"><${Facts} rows=${flatten(health.versions ?? {})} /><//>
    </div>
    ${stale && html`<${Stale} entries=${stale} names=${names} />`}
    <${Limits} rows=${flatten(health.limits ?? {})} />
  </div>`;
}

/** @param {any} props */
function Verdict({ tone, title, text, at }) {
  return html`<div class=${`verdict ${tone}`} role="status">
    <span class="verdict-icon"><${Icon} name=${tone === 'good' ? 'check' : 'alert'} size=${22} /></span>
    <div><h2>${title}</h2><p>${text}</p></div>
    <p class="note verdict-at" aria-live="off">Checked <${RelativeTime} time=${at} /></p>
  </div>`;
}

/** @param {{rows: import('../pure/health.js').CheckRow[]}} props */
function Checks({ rows }) {
  return html`<ul class="checks">
    ${rows.map((row) => html`<li key=${row.name}>
      <span class="check-name">${row.name}</span>
      <${Badge} tone=${row.ok === null ? 'neutral' : row.ok ? 'good' : 'bad'} icon=${row.ok ? 'check' : row.ok === null ? 'dot' : 'cross'}>
        ${row.ok === null ? 'Unknown' : row.ok ? 'Well' : 'Broken'}
      <//>
      <span class="note">${row.text}</span>
    </li>`)}
  </ul>`;
}

/** @param {{queue: any, stale: number | null}} props */
function Queue({ queue, stale }) {
  const lag = queue?.lag_s;
  return html`<dl class="stats">
    <${Stat} label="Waiting" value=${count(queue?.depth)} note="runs that no worker has claimed" />
    <${Stat} label="Oldest waits for" value=${lag === null || lag === undefined ? '–' : duration(lag * 1000)}
      note=${queue?.depth ? 'since it was created' : 'nothing waits'} />
    <${Stat} label="Statistics behind" value=${count(stale)} note="days of workflows, corrected by a job" />
  </dl>`;
}

/** @param {{rows: [string, string][]}} props */
function Facts({ rows }) {
  return html`<dl class="fact-rows">
    ${rows.map(([name, value]) => html`<div key=${name}><dt>${name.replaceAll('_', ' ')}</dt><dd><code>${value}</code></dd></div>`)}
  </dl>`;
}

/** @param {{entries: any[], names: Map<number, string>}} props */
function Stale({ entries, names }) {
  return html`<${Card} title="Totals that are not to be trusted" flush>
    ${entries.length === 0
      ? html`<${EmptyState} icon="check" title="None">All totals say what the data says.<//>`
      : html`<div class="table-wrap"><table>
          <caption class="visually-hidden">Stale totals</caption>
          <thead><tr><th scope="col">Module</th><th scope="col">Year</th><th scope="col" class="grow">Why</th><th scope="col" class="num">Last computed</th></tr></thead>
          <tbody>${entries.map((entry) => html`<tr key=${`${entry.module_type_id}:${entry.year}`}>
            <td><a href=${`/pipelines?year=${entry.year}`}>${names.get(entry.module_type_id) ?? `Module ${entry.module_type_id}`}</a></td>
            <td>${entry.year}</td>
            <td class="grow"><${Badge} tone=${isAlarming(entry) ? 'warn' : 'neutral'} icon=${isAlarming(entry) ? 'alert' : 'clock'}>${whyStale(entry)}<//></td>
            <td class="num"><${RelativeTime} time=${entry.last_finished_aggregation_at} /></td>
          </tr>`)}</tbody>
        </table></div>`}
  <//>`;
}

/** @param {{rows: [string, string][]}} props */
function Limits({ rows }) {
  const wanted = useSignal('');
  const text = wanted.value.trim().toLowerCase();
  const shown = rows.filter(([name]) => name.toLowerCase().includes(text));
  return html`<${Card} title="Limits in force" note=${`${rows.length} limits`} actions=${html`<label class="search">
      <${Icon} name="search" size=${16} /><span class="visually-hidden">Search limits</span>
      <input type="search" data-search placeholder="Search limits" value=${wanted.value}
        onInput=${(/** @type {any} */ event) => (wanted.value = event.target.value)} />
    </label>`}>
    ${shown.length === 0 ? html`<p class="note">No limit is called so.</p>` : html`<div class="limits"><${Facts} rows=${shown} /></div>`}
  <//>`;
}
