/** What narrows the list; all of it is in the URL. */
import { html, useEffect, useRef } from '../lib.js';
import { Button } from '../components/basics.js';
import { Icon } from '../components/icon.js';
import { count } from '../pure/format.js';
import { toggleState } from '../pure/run_list.js';
import { href } from '../pure/route.js';
import { STATES, lookOf } from '../pure/states.js';
import { setQuery } from '../router.js';
import { workflows } from '../store/workflows.js';

const FILTERS = ['state', 'workflow', 'worker', 'range', 'from', 'to', 'q'];
const TYPING = 300;
/** States that are offered even while no run is in them. */
const USUAL = ['available', 'claimed', 'started', 'success', 'failed', 'lost'];

/** @param {Record<string, string>} query */
export const hasFilters = (query) => FILTERS.some((name) => query[name]);

/** @param {{path: string, query: Record<string, string>}} route */
export function withoutFilters({ path, query }) {
  return href(path, Object.fromEntries(Object.entries(query).filter(([name]) => !FILTERS.includes(name))));
}

/** @param {{query: Record<string, string>, counts: Record<string, number> | null}} props */
export function FilterBar({ query, counts }) {
  return html`<div class="filters" role="search" aria-label="Filter the runs">
    <div class="filter-row">
      <${Search} value=${query.q ?? ''} />
      <${WorkflowSelect} value=${query.workflow ?? ''} project=${query.project} />
      <${Range} value=${query.range ?? ''} />
      ${query.worker && html`<${Button} icon="cross" onClick=${() => setQuery({ worker: null })}
        aria-label=${`Stop filtering by worker ${query.worker}`}>${query.worker}<//>`}
      ${hasFilters(query) && html`<${Button} variant="ghost" onClick=${() => setQuery(Object.fromEntries(FILTERS.map((name) => [name, null])))}>Clear<//>`}
      <${Button} class="follow" aria-pressed=${Boolean(query.follow)} icon="play"
        title="Show new runs at once, instead of waiting for you"
        onClick=${() => setQuery({ follow: query.follow ? null : '1' })}>Follow<//>
    </div>
    <div class="chips" role="group" aria-label="States">
      ${STATES.filter((state) => USUAL.includes(state) || counts?.[state] || (query.state ?? '').split(',').includes(state)).map((state) => html`<${Chip} key=${state} state=${state} chosen=${query.state} value=${counts?.[state]} />`)}
    </div>
  </div>`;
}

/** @param {{value: string}} props */
function Search({ value }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const timer = useRef(/** @type {any} */ (null));
  useEffect(() => {
    if (field.current && document.activeElement !== field.current) field.current.value = value;
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const typed = (/** @type {any} */ event) => {
    const text = event.target.value;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setQuery({ q: text.trim() }), TYPING);
  };
  return html`<label class="search grow-1">
    <span class="visually-hidden">Search in errors and logs</span>
    <${Icon} name="search" />
    <input type="search" data-search ref=${field} defaultValue=${value} placeholder="Search in errors and logs"
      onInput=${typed} autocomplete="off" spellcheck="false" />
    <kbd class="wide-only" aria-hidden="true">/</kbd>
  </label>`;
}

/** @param {{value: string, project?: string}} props */
function WorkflowSelect({ value, project }) {
  const shown = workflows.value.filter((one) => !project || one.project_id === project);
  return html`<label><span class="visually-hidden">Workflow</span>
    <select value=${value} onChange=${(/** @type {any} */ event) => setQuery({ workflow: event.target.value })}>
      <option value="">All workflows</option>
      ${shown.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}
    </select>
  </label>`;
}

/** @param {{value: string}} props */
function Range({ value }) {
  return html`<label><span class="visually-hidden">Time</span>
    <select value=${value} onChange=${(/** @type {any} */ event) => setQuery({ range: event.target.value, from: null, to: null })}>
      <option value="">Any time</option>
      <option value="1h">Last hour</option>
      <option value="24h">Last 24 hours</option>
      <option value="7d">Last 7 days</option>
      <option value="30d">Last 30 days</option>
    </select>
  </label>`;
}

/** @param {{state: string, chosen?: string, value?: number}} props */
function Chip({ state, chosen, value }) {
  const { label, tone, icon, hint } = lookOf(state);
  const pressed = (chosen ?? '').split(',').includes(state);
  return html`<button type="button" class=${`chip ${tone}`} aria-pressed=${pressed} title=${hint}
    onClick=${() => setQuery({ state: toggleState(chosen, state) })}>
    <${Icon} name=${icon} size=${14} />${label}
    ${value !== undefined && html`<span class="chip-count">${count(value)}</span>`}
  </button>`;
}
