/** What is going on right now, at a glance. */
import { html, useEffect, useMemo, useSignalEffect } from '../lib.js';
import { Card, EmptyState, ErrorState, Skeleton, Stat } from '../components/basics.js';
import { runColumns } from '../components/run_columns.js';
import { Table } from '../components/table.js';
import { count, duration } from '../pure/format.js';
import { href } from '../pure/route.js';
import { failureShare, mergeWorkers, summary } from '../pure/overview.js';
import { navigate } from '../router.js';
import { getJson } from '../store/api.js';
import { now } from '../store/clock.js';
import { changes, pushedWorkers } from '../store/feed.js';
import { throttled } from '../store/frames.js';
import { useResource } from '../store/resource.js';
import { RunList } from '../store/runs.js';
import { Attention } from './overview_attention.js';
import { StateBar } from './overview_states.js';
import { Throughput } from './overview_chart.js';
import { Workers } from './overview_workers.js';

const REFRESH = 2000;
const AT_LEAST_EVERY = 15_000;
const COLUMNS = runColumns('state', 'name', 'error', 'queued', 'duration');

/** @param {{query: Record<string, string>}} props */
export default function Overview({ query }) {
  const { project } = query;
  const overview = useResource(`overview ${project}`, (abort) =>
    getJson('/api/overview', { project }, abort));
  useEffect(() => {
    const timer = setInterval(overview.reload, AT_LEAST_EVERY);
    return () => clearInterval(timer);
  }, [overview]);
  const refresh = useMemo(() => throttled(overview.reload, REFRESH), [overview]);
  useSignalEffect(() => {
    if (changes.value) refresh();
  });
  const data = overview.data.value;
  if (!data) {
    if (overview.error.value) return html`<${ErrorState} error=${overview.error.value} retry=${overview.reload} />`;
    return html`<${Skeleton} lines=${8} />`;
  }
  const workers = mergeWorkers(data.workers, pushedWorkers.value, project);
  return html`<div class="view">
    <${Tiles} data=${data} workers=${workers} project=${project} />
    <div class="overview-grid">
      <${Throughput} minutes=${data.last_hour} />
      <${StateBar} runs=${data.runs} project=${project} />
      <${Attention} items=${data.attention} />
      <${Workers} workers=${workers} />
    </div>
    <${Latest} key=${project ?? ''} project=${project} />
  </div>`;
}

/** @param {{data: any, workers: any[], project: string | undefined}} props */
function Tiles({ data, workers, project }) {
  const { queued, running, finished, failed } = summary(data);
  const share = failureShare(data.last_hour);
  const online = workers.filter((worker) => worker.online !== false);
  const room = online.reduce((sum, worker) => sum + (worker.capacity ?? 0), 0);
  const held = online.reduce((sum, worker) => sum + worker.runs_held, 0);
  const oldest = data.queue.oldest_age_s;
  // The age goes on while nothing is fetched.
  const age = oldest === null || oldest === undefined
    ? null : oldest * 1000 + Math.max(0, now.value - Date.parse(data.at));
  return html`<dl class="tiles">
    <${Tile} label="Queued" to=${href('/runs', { state: 'available', project })} value=${count(queued)}
      note=${age === null || !queued ? 'Nothing waits' : `oldest waits ${duration(Math.floor(age / 1000) * 1000).replace(/\.\d+/, '')}`}
      tone=${age !== null && age > 60_000 && queued ? 'warn' : ''} />
    <${Tile} label="Running" to=${href('/runs', { state: 'claimed,started', project })} value=${count(running)}
      note=${room ? `of ${count(room)} slots` : 'now'} />
    <${Tile} label="Finished" to=${href('/runs', { range: '1h', project })} value=${count(finished)} note="in the last hour" />
    <${Tile} label="Failed" to=${href('/runs', { state: 'failed,crashed,killed,exception,lost', range: '1h', project })}
      value=${count(failed)} note=${share === null ? 'in the last hour' : `${share} of the last hour`} tone=${failed ? 'bad' : ''} />
    <${Tile} label="Workers" value=${count(online.length)}
      note=${online.length ? `hold ${count(held)} ${held === 1 ? 'run' : 'runs'}` : 'none is connected'}
      tone=${online.length ? '' : 'warn'} />
  </dl>`;
}

/** @param {{label: string, value: any, note: string, tone?: string, to?: string}} props */
function Tile({ label, value, note, tone, to }) {
  return html`<${Stat} class=${`tile ${to ? 'leads' : ''}`} label=${to ? html`<a href=${to}>${label}</a>` : label}
    value=${value} note=${note} tone=${tone} />`;
}

/** @param {{project: string | undefined}} props */
function Latest({ project }) {
  const list = useMemo(() => new RunList(project ? { project } : {}, { limit: 8, follow: true, fixed: true }), []);
  useEffect(() => list.start(), [list]);
  const more = html`<a href=${href('/runs', { project })}>All runs</a>`;
  return html`<${Card} title="Latest runs" actions=${more} flush>
    ${list.loaded.value && !list.ids.value.length
      ? html`<${EmptyState} title="No run yet">A webhook, a schedule or the command line starts one.<//>`
      : html`<${Table} caption="The latest runs" columns=${COLUMNS} ids=${list.ids.value} get=${list.get}
        onOpen=${(/** @type {string} */ id) => navigate(`/runs/${id}`)} />`}
  <//>`;
}
