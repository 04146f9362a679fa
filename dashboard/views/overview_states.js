/** Runs by state, each a link to its list. */
import { html } from '../lib.js';
import { Card } from '../components/basics.js';
import { Icon } from '../components/icon.js';
import { count } from '../pure/format.js';
import { href } from '../pure/route.js';
import { STATES, isFinal, lookOf } from '../pure/states.js';

/** @param {{runs: Record<string, number>, project?: string}} props */
export function StateBar({ runs, project }) {
  const shown = STATES.filter((state) => runs[state] || ['available', 'claimed', 'started', 'success', 'failed', 'lost'].includes(state));
  const most = Math.max(1, ...shown.map((state) => runs[state] ?? 0));
  return html`<${Card} title="Runs by state" note="open now, ended in the last hour" class="states">
    <ul class="state-list">
      ${shown.map((state) => html`<li key=${state}><${StateRow} state=${state} value=${runs[state] ?? 0} most=${most} project=${project} /></li>`)}
    </ul>
  <//>`;
}

/** @param {{state: string, value: number, most: number, project?: string}} props */
function StateRow({ state, value, most, project }) {
  const { label, tone, icon, hint } = lookOf(state);
  const range = isFinal(state) ? '1h' : null;
  return html`<a class=${`state-row ${tone} ${value ? '' : 'none'}`} href=${href('/runs', { state, range, project })} title=${hint}>
    <${Icon} name=${icon} size=${16} />
    <span class="state-label">${label}</span>
    <span class="meter" aria-hidden="true"><i style=${{ width: `${(value / most) * 100}%` }}></i></span>
    <strong>${count(value)}</strong>
  </a>`;
}
