/** The steps over time. */
import { html } from '../lib.js';
import { Card, EmptyState } from '../components/basics.js';
import { duration } from '../pure/format.js';
import { isFinal, stepLook } from '../pure/states.js';
import { ticks, timeline } from '../pure/timeline.js';
import { now } from '../store/clock.js';

/** @param {{run: any, steps: any[], graph: any, chosen: any, choose: (id: string) => void}} props */
export function Timeline({ run, steps, graph, chosen, choose }) {
  const present = isFinal(run.state) ? Date.parse(run.finished_at ?? run.inserted_at) : now.value;
  const shown = timeline(run, steps, present);
  const span = shown.end - shown.start;
  const names = new Map((graph?.jobs ?? []).map((/** @type {any} */ job) => [job.id, job.name]));
  return html`<${Card} title="Timeline" note=${steps.length ? duration(span) : ''} class="timeline-card">
    <div class="gantt">
      <div class="gantt-row gantt-wait">
        <span class="gantt-name faint">Queue</span>
        <span class="gantt-track">
          <i class="bar queue" style=${place(shown.queued)} title="Waited for a worker"></i>
          <i class="bar prepare" style=${place(shown.prepared)} title="Prepared by the worker"></i>
        </span>
        <span class="gantt-time faint">${duration(span * ((shown.queued.width + shown.prepared.width) / 100))}</span>
      </div>
      ${shown.steps.map(({ step, bar, ms, state }) => {
        const name = step.job_name ?? names.get(step.job_id) ?? 'Step';
        const { tone, label } = stepLook(state);
        return html`<button type="button" key=${step.id} class="gantt-row" aria-pressed=${chosen?.id === step.id}
          onClick=${() => choose(step.id)} title=${step.error_message ?? label}>
          <span class="gantt-name">${name}<span class="visually-hidden">, ${label},</span></span>
          <span class="gantt-track" aria-hidden="true"><i class=${`bar ${tone}`} style=${place(bar)}></i></span>
          <span class="gantt-time">${duration(ms)}</span>
        </button>`;
      })}
      <div class="gantt-axis" aria-hidden="true">
        ${ticks(span, 4).map((at) => html`<span key=${at} style=${{ left: `${(at / span) * 100}%` }}>${at ? duration(at).replace(/\.0+ /, ' ') : '0'}</span>`)}
      </div>
    </div>
    ${!steps.length && html`<${EmptyState} icon="clock" title="No step yet">Steps show up here as they start.<//>`}
  <//>`;
}

/** @param {{left: number, width: number}} bar */
function place({ left, width }) {
  return { left: `${left}%`, width: `${width}%` };
}
