/** A module of a year: what it adds up to, what state that is in, and what can be done about it. */
import { html, useEffect, useSignal } from '../lib.js';
import { badgesOf, hasData, moduleTitle, recalculation, sentence } from '../pure/pipelines.js';
import { amount, weight } from '../pure/totals.js';
import { postJson } from '../store/api.js';
import { toast } from '../store/notices.js';
import { failedMessages, hasError, isFinished } from '../store/pipeline_stream.js';
import { pipelineState, usePipelineStream } from '../store/pipelines.js';
import { canAct } from '../store/session.js';
import { Badge, Button, Card, RelativeTime } from './basics.js';
import { DiagnosticBadge } from './diagnostic.js';

/**
 * @param {{module: any, year: number, units: any[], needed: boolean, onFinished: () => void,
 *   onUpload: () => void}} props `onFinished` is called when its pipeline has ended
 */
export function ModuleCard({ module, year, units, needed, onFinished, onUpload }) {
  const pipelineId = pipelineState.getPipelineId(module.id, year);
  const stream = usePipelineStream(pipelineId);
  const finished = isFinished(stream);
  const state = {
    hasData: hasData(units, module.id), needsRecalculation: needed, pipelineId, finished,
    told: Boolean(stream?.pipeline),
    hasError: hasError(stream), progress: stream?.progress,
  };
  useEffect(() => {
    if (pipelineId && finished) onFinished();
  }, [pipelineId, finished]);
  // None is not the same as not yet known.
  const known = pipelineState.isLoaded(module.id, year) && (!pipelineId || state.told);
  const title = moduleTitle(module.name);
  const shown = units.map((unit) => unit.modules[module.id]).filter(Boolean);
  const total = shown.reduce((sum, stats) => sum + amount(stats, 'total'), 0);
  const entries = shown.reduce((sum, stats) => sum + amount(stats, 'entry_count'), 0);
  const computed = shown.map((stats) => stats.computed_at).sort().at(-1);
  const badges = badgesOf(state);
  return html`<${Card} title=${title} class="module" id=${`module-${module.id}`}>
    <div class="module-badges">
      ${badges.map((badge) => (badge.diagnostic
        ? html`<${DiagnosticBadge} key=${badge.key} label=${badge.label} tone=${badge.tone}
            icon=${badge.icon} pipelineId=${/** @type {string} */ (pipelineId)} stream=${stream} />`
        : html`<${Badge} key=${badge.key} tone=${badge.tone} icon=${badge.icon}>${badge.label}<//>`))}
      ${badges.length === 0 && (known
        ? html`<${Badge} tone="good" icon="check">Up to date<//>`
        : html`<${Badge} tone="neutral" icon="dot">Checking…<//>`)}
    </div>
    <p class="visually-hidden" aria-live="polite">${known && sentence(title, state)}</p>
    <p class="module-total">${state.hasData ? weight(total) : '–'} <span>CO₂e</span></p>
    <p class="note">
      ${entries === 1 ? '1 entry' : `${entries} entries`}
      ${computed && html` · computed <${RelativeTime} time=${computed} />`}
    </p>
    ${finished && failedMessages(stream).map((message) => html`<p class="module-error" key=${message}>${message}</p>`)}
    <${Actions} module=${module} year=${year} state=${state} onUpload=${onUpload} />
  <//>`;
}

/** @param {any} props */
function Actions({ module, year, state, onUpload }) {
  const busy = useSignal(false);
  if (!canAct.value) return null;
  const action = recalculation(state);
  async function recalculate() {
    busy.value = true;
    try {
      const made = await postJson('/api/pipelines/dispatch', { module: module.id, year, recalculate: true });
      pipelineState.setPipelineId(module.id, year, made.pipeline_id);
    } catch (error) {
      toast(/** @type {Error} */ (error).message, { tone: 'bad' });
    } finally {
      busy.value = false;
    }
  }
  return html`<div class="actions">
    ${action && html`<${Button} small variant="primary" icon="retry" busy=${busy.value} onClick=${recalculate}>${action}<//>`}
    <${Button} small icon="upload" onClick=${onUpload}>Upload<span class="visually-hidden"> for ${moduleTitle(module.name)}</span><//>
  </div>`;
}
