/** The workflows, how busy they are, how they do. */
import { html, useEffect, useMemo, useSignalEffect } from '../lib.js';
import { Card, EmptyState, ErrorState, RelativeTime, Skeleton } from '../components/basics.js';
import { Table } from '../components/table.js';
import { count, duration } from '../pure/format.js';
import { href } from '../pure/route.js';
import { FAILURES, FINAL } from '../pure/states.js';
import { weekOf } from '../pure/workflow_stats.js';
import { navigate } from '../router.js';
import { getJson } from '../store/api.js';
import { changes } from '../store/feed.js';
import { throttled } from '../store/frames.js';
import { useResource } from '../store/resource.js';

const REFRESH = 3000;
const WEEK = 7 * 86_400_000;

const sum = (/** @type {Record<string, number>} */ runs, /** @type {string[]} */ states) =>
  states.reduce((total, state) => total + (runs?.[state] ?? 0), 0);

/** @type {any[]} */
const COLUMNS = [
  { key: 'name', label: 'Workflow', class: 'grow', render: (/** @type {any} */ row) => html`<a class="run-name" tabindex="-1" href=${href('/runs', { workflow: row.id })}>${row.name}</a>` },
  { key: 'open', label: 'Open', class: 'num', render: (/** @type {any} */ row) => count(sum(row.runs, ['available', 'claimed', 'started'])) },
  { key: 'ended', label: 'Ended', class: 'num wide-only', render: (/** @type {any} */ row) => count(sum(row.runs, FINAL)) },
  { key: 'failed', label: 'Failed', class: 'num', render: (/** @type {any} */ row) => html`<${Failed} row=${row} />` },
  { key: 'p50', label: 'Half take', class: 'num wide-only', render: (/** @type {any} */ row) => seconds(row.week?.p50) },
  { key: 'p95', label: '95 % take', class: 'num wide-only', render: (/** @type {any} */ row) => seconds(row.week?.p95) },
  { key: 'limit', label: 'At once', class: 'num wide-only', render: (/** @type {any} */ row) => (row.concurrency === null ? html`<span class="faint">no limit</span>` : count(row.concurrency)) },
  { key: 'last', label: 'Last run', class: 'num', render: (/** @type {any} */ row) => html`<${RelativeTime} time=${row.last_run_at} />` },
];

/** @param {number | null | undefined} value */
function seconds(value) {
  return value === null || value === undefined ? html`<span class="faint">–</span>` : duration(value * 1000);
}

/** @param {{row: any}} props */
function Failed({ row }) {
  const failed = sum(row.runs, FAILURES);
  return failed
    ? html`<a class="bad-text" tabindex="-1" href=${href('/runs', { workflow: row.id, state: FAILURES.join(',') })}>${count(failed)}</a>`
    : html`<span class="faint">0</span>`;
}

/** @param {{query: Record<string, string>}} props */
export default function Workflows({ query }) {
  const { project } = query;
  const list = useResource(`workflows ${project}`, (abort) => getJson('/api/workflows', { project }, abort));
  const stats = useResource(`stats ${project}`, (abort) =>
    getJson('/api/stats', { project, from: new Date(Date.now() - WEEK).toISOString() }, abort));
  const refresh = useMemo(() => throttled(list.reload, REFRESH), [list]);
  useSignalEffect(() => {
    if (changes.value) refresh();
  });
  useEffect(() => refresh.cancel, [refresh]);
  const rows = list.data.value?.workflows;
  if (!rows) {
    if (list.error.value) return html`<${ErrorState} error=${list.error.value} retry=${list.reload} />`;
    return html`<${Skeleton} lines=${6} />`;
  }
  const byId = new Map(rows.map((/** @type {any} */ row) => [row.id, { ...row, week: weekOf(stats.data.value?.days ?? [], row.id) }]));
  return html`<div class="view"><${Card} title="Workflows" note=${stats.data.value ? 'durations of the last 7 days' : ''} flush>
    ${rows.length
      ? html`<${Table} caption="Workflows" columns=${COLUMNS} ids=${[...byId.keys()]} get=${(/** @type {string} */ id) => byId.get(id)}
        onOpen=${(/** @type {string} */ id) => navigate(href('/runs', { workflow: id }))} />`
      : html`<${EmptyState} icon="workflows" title="No workflow yet">Provision a project to have one.<//>`}
  <//></div>`;
}
