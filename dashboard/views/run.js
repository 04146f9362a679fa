/** One run: what it is, what it did, and how it goes on. */
import { html, useEffect, useLayoutEffect, useMemo, useRef } from '../lib.js';
import { ErrorState, Skeleton } from '../components/basics.js';
import { stepLook, stepState } from '../pure/states.js';
import { setQuery } from '../router.js';
import { announce } from '../store/notices.js';
import { RunStore } from '../store/run.js';
import { heading } from '../shell.js';
import { DataPanel } from './run_data.js';
import { RunGraph } from './run_graph.js';
import { RunHead } from './run_head.js';
import { HistoryPanel } from './run_history.js';
import { LogPanel } from './run_logs.js';
import { Timeline } from './run_timeline.js';

const TABS = [
  { name: 'logs', label: 'Log' },
  { name: 'data', label: 'Data' },
  { name: 'history', label: 'History' },
];

/** @param {{params: {id: string}, query: Record<string, string>}} props */
export default function Run({ params, query }) {
  const store = useMemo(() => new RunStore(params.id), [params.id]);
  useEffect(() => store.start(), [store]);
  const run = store.run.value;
  const details = store.details.value;
  const name = details?.workflow?.name;
  useEffect(() => {
    heading.value = name ? `Run of ${name}` : null;
  }, [name]);
  useAnnounced(run, store.steps.value);
  const grid = useFittingPanel(Boolean(run && details));
  if (!run || !details) {
    if (store.error.value) return html`<${ErrorState} error=${store.error.value} retry=${() => store.load()} />`;
    return html`<${Skeleton} lines=${9} />`;
  }
  const steps = store.steps.value;
  const chosen = steps.find((step) => step.id === query.step) ?? null;
  const tab = TABS.some((one) => one.name === query.tab) ? query.tab : 'logs';
  const choose = (/** @type {string | null} */ id) => setQuery({ step: id === query.step ? null : id });
  return html`<div class="view run-view">
    <${RunHead} run=${run} details=${details} steps=${steps} chosen=${chosen} />
    <div class="run-grid" ref=${grid}>
      <div class="run-left">
        <${RunGraph} run=${run} steps=${steps} graph=${details.graph} chosen=${chosen} choose=${choose} />
        <${Timeline} run=${run} steps=${steps} graph=${details.graph} chosen=${chosen} choose=${choose} />
      </div>
      <section class="card flush run-panel" aria-label="Log, data and history">
        <${Tabs} tab=${tab} store=${store} />
        <div class="tab-body" role="tabpanel" id="run-tab" aria-labelledby=${`tab-${tab}`}>
          ${tab === 'logs' && html`<${LogPanel} store=${store} step=${chosen} query=${query} />`}
          ${tab === 'data' && html`<${DataPanel} store=${store} step=${chosen} query=${query} />`}
          ${tab === 'history' && html`<${HistoryPanel} store=${store} />`}
        </div>
      </section>
    </div>
  </div>`;
}

/** @param {{tab: string, store: RunStore}} props */
function Tabs({ tab, store }) {
  const errors = store.logs.errors.value;
  const odd = store.remarks.value.length + (store.details.value?.gaps?.length ?? 0);
  const marks = /** @type {Record<string, any>} */ ({
    logs: errors ? html`<span class="tab-mark bad">${errors}<span class="visually-hidden"> errors</span></span>` : null,
    history: odd ? html`<span class="tab-mark warn">${odd}<span class="visually-hidden"> remarks</span></span>` : null,
  });
  const move = (/** @type {KeyboardEvent} */ event) => {
    const step = /** @type {Record<string, number>} */ ({ ArrowRight: 1, ArrowLeft: -1 })[event.key];
    if (!step) return;
    event.preventDefault();
    const index = TABS.findIndex((one) => one.name === tab);
    const next = TABS[(index + step + TABS.length) % TABS.length].name;
    setQuery({ tab: next === 'logs' ? null : next });
    requestAnimationFrame(() => document.getElementById(`tab-${next}`)?.focus());
  };
  return html`<div class="tabs" role="tablist" onKeyDown=${move}>
    ${TABS.map(({ name, label }) => html`<button type="button" role="tab" key=${name} id=${`tab-${name}`}
      aria-selected=${name === tab} aria-controls="run-tab" tabindex=${name === tab ? 0 : -1}
      onClick=${() => setQuery({ tab: name === 'logs' ? null : name })}>${label}${marks[name]}</button>`)}
  </div>`;
}

/** The end of the log is in sight without scrolling the page: the panel is as high as there is room. @param {boolean} shown */
function useFittingPanel(shown) {
  const grid = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => {
    const box = grid.current;
    if (!box) return undefined;
    const fit = () => {
      const top = box.getBoundingClientRect().top + window.scrollY;
      box.style.setProperty('--panel-top', `${Math.round(top)}px`);
    };
    const watcher = new ResizeObserver(fit);
    watcher.observe(/** @type {Element} */ (box.previousElementSibling));
    fit();
    return () => watcher.disconnect();
  }, [shown]);
  return grid;
}

/** What a glance would notice is also said. @param {any} run @param {any[]} steps */
function useAnnounced(run, steps) {
  const last = steps.at(-1);
  const text = last && `${last.job_name ?? 'A step'}: ${stepLook(stepState(last)).label}`;
  useEffect(() => {
    if (text) announce(text);
  }, [text]);
  useEffect(() => {
    if (run) announce(`The run is ${run.state}`);
  }, [run?.state]);
}
