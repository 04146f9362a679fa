/** The pipelines of a year, newest first. */
import { html } from '../lib.js';
import { between, duration, plural, shortId } from '../pure/format.js';
import { kindLabel, moduleTitle, statusLook } from '../pure/pipelines.js';
import { now } from '../store/clock.js';
import { Card, CopyButton, EmptyState, RelativeTime, StateBadge } from './basics.js';
import { Table } from './table.js';

/** @param {{pipelines: any[], modules: any[]}} props */
export function RecentPipelines({ pipelines, modules }) {
  const byId = new Map(pipelines.map((one) => [one.pipeline_id, one]));
  const names = new Map(modules.map((module) => [module.id, moduleTitle(module.name)]));
  const columns = [
    {
      key: 'status', label: 'Status',
      render: (/** @type {any} */ row) => html`<${StateBadge} state=${row.status} look=${statusLook} />`,
    },
    {
      key: 'what', label: 'What',
      render: (/** @type {any} */ row) => html`${kindLabel(row.kind)} <span class="faint">${names.get(row.module_type_id) ?? ''}</span>`,
    },
    {
      key: 'message', label: 'Says', class: 'grow wide-only',
      render: (/** @type {any} */ row) => html`<span class="faint" title=${row.last_error}>${row.last_error ?? ''}</span>`,
    },
    { key: 'jobs', label: 'Jobs', class: 'num wide-only', render: (/** @type {any} */ row) => row.job_count },
    {
      key: 'took', label: 'Took', class: 'num',
      render: (/** @type {any} */ row) => html`<${Took} row=${row} />`,
    },
    {
      key: 'started', label: 'Started', class: 'num',
      render: (/** @type {any} */ row) => html`<${RelativeTime} time=${row.started_at ?? row.created_at} />`,
    },
    {
      key: 'id', label: 'Id', class: 'wide-only',
      render: (/** @type {any} */ row) => html`<code title=${row.pipeline_id}>${shortId(row.pipeline_id)}</code>
        <${CopyButton} text=${row.pipeline_id} label=${`Copy the id ${shortId(row.pipeline_id)}`} />`,
    },
  ];
  return html`<${Card} title="Recent pipelines" note=${plural(pipelines.length, 'pipeline')} flush>
    ${pipelines.length === 0
      ? html`<${EmptyState} icon="pipelines" title="None yet">Uploads and recalculations are listed here.<//>`
      : html`<${Table} caption="Recent pipelines" columns=${columns} ids=${[...byId.keys()]}
          get=${(/** @type {string} */ id) => byId.get(id)} />`}
  <//>`;
}

/** @param {{row: any}} props */
function Took({ row }) {
  if (!row.started_at) return html`<span class="faint">–</span>`;
  const over = ['SUCCESS', 'PARTIAL', 'FAILED'].includes(row.status);
  return html`${duration(between(row.started_at, row.finished_at, over ? Date.now() : now.value))}`;
}
