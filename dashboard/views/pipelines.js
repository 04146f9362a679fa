/** Pipelines: the modules of a year, what they add up to, and what computes it. */
import { html, useEffect, useMemo, useSignal } from '../lib.js';
import { Button, Card, EmptyState, ErrorState, Skeleton } from '../components/basics.js';
import { ModuleCard } from '../components/module_card.js';
import { RecentPipelines } from '../components/recent_pipelines.js';
import { TotalsCard } from '../components/totals_card.js';
import { UploadDialog } from '../components/upload_dialog.js';
import { needing } from '../pure/pipelines.js';
import { setQuery } from '../router.js';
import { getJson } from '../store/api.js';
import { throttled } from '../store/frames.js';
import { pipelineState, useModules } from '../store/pipelines.js';
import { useResource } from '../store/resource.js';
import { canAct, me } from '../store/session.js';

const THIS_YEAR = new Date().getFullYear();
const RELOAD = 400;
const LISTED = 15;

/** @param {number} year @param {AbortSignal} signal */
async function fetchYear(year, signal) {
  const [totals, statuses, listed] = await Promise.all([
    getJson('/api/emissions/totals', { year }, signal),
    getJson('/api/pipelines/recalculation-status', { year }, signal),
    getJson('/api/pipelines', { year, limit: LISTED }, signal),
  ]);
  return { year, totals, needed: needing(statuses), pipelines: listed.pipelines };
}

/** @param {{query: Record<string, string>}} props */
export default function Pipelines({ query }) {
  if (me.value && me.value.tenants === null) {
    return html`<${EmptyState} icon="pipelines" title="This token is not for pipelines">
      Make one with <code>channel-server token --tenant NAME</code>.
    <//>`;
  }
  return html`<${Year} year=${Number(query.year) || THIS_YEAR} chosen=${Boolean(query.year)} />`;
}

/** @param {{year: number, chosen: boolean}} props */
function Year({ year, chosen }) {
  const found = useResource(`pipelines ${year}`, (signal) => fetchYear(year, signal));
  const uploading = useSignal(/** @type {number | null} */ (null));
  const { totals, needed, pipelines, year: shownYear } = found.data.value ?? {};
  const modules = totals?.modules ?? [];
  const ids = modules.map((/** @type {any} */ module) => module.id);
  const reload = useMemo(() => throttled(found.reload, RELOAD), [found]);
  const refresh = useMemo(() => async () => {
    reload();
    await pipelineState.loadFor(year, ids).catch(() => {});
  }, [reload, ids.join()]);
  useModules(year, ids, refresh);
  useEffect(() => reload.cancel, [reload]);

  const latest = totals?.years[0];
  useEffect(() => {
    // Nobody chose a year, and this one has nothing: show the latest that has.
    if (!chosen && latest && !totals.years.includes(year)) setQuery({ year: latest });
  }, [chosen, latest, year]);

  if (found.error.value && !totals) return html`<${ErrorState} error=${found.error.value} retry=${found.reload} />`;
  if (!totals || shownYear !== year) return html`<${Card}><${Skeleton} lines=${6} /><//>`;
  return html`<div class="view pipelines">
    <div class="toolbar">
      <${YearSelect} year=${year} years=${totals.years} />
      ${canAct.value && html`<${Button} variant="primary" icon="upload" onClick=${() => (uploading.value = ids[0])}>Upload a file<//>`}
    </div>
    <div class="modules">
      ${modules.map((/** @type {any} */ module) => html`<${ModuleCard} key=${module.id} module=${module} year=${year}
        units=${totals.units} needed=${needed.has(module.id)} onFinished=${refresh}
        onUpload=${() => (uploading.value = module.id)} />`)}
    </div>
    <${TotalsCard} year=${year} units=${totals.units} modules=${modules} />
    <${RecentPipelines} pipelines=${pipelines} modules=${modules} />
    ${uploading.value !== null && html`<${UploadDialog} modules=${modules} module=${uploading.value} year=${year}
      onClose=${() => (uploading.value = null)} />`}
  </div>`;
}

/** @param {{year: number, years: number[]}} props */
function YearSelect({ year, years }) {
  const all = [...new Set([...years, year, THIS_YEAR])].sort((a, b) => b - a);
  return html`<label class="select"><span>Year</span>
    <select value=${year} onChange=${(/** @type {any} */ event) => setQuery({ year: event.target.value })}>
      ${all.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}
    </select>
  </label>`;
}
