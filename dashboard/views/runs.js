/** The live list of runs. */
import { html, useEffect, useMemo, useSignal } from '../lib.js';
import { Badge, Button, EmptyState, ErrorState, Skeleton } from '../components/basics.js';
import { runColumns } from '../components/run_columns.js';
import { Table } from '../components/table.js';
import { count, plural } from '../pure/format.js';
import { navigate, route } from '../router.js';
import { changes } from '../store/feed.js';
import { throttled } from '../store/frames.js';
import { useKeys } from '../store/keyboard.js';
import { announce } from '../store/notices.js';
import { RunList } from '../store/runs.js';
import { canAct } from '../store/session.js';
import { loadWorkflows } from '../store/workflows.js';
import { BulkBar } from './runs_bulk.js';
import { FilterBar, hasFilters, withoutFilters } from './runs_filters.js';

const COLUMNS = runColumns('state', 'name', 'error', 'worker', 'queued', 'duration');
const COUNTS_EVERY = 5000;

/** @param {{query: Record<string, string>}} props */
export default function Runs({ query }) {
  const { follow, ...filters } = query;
  const key = JSON.stringify(filters);
  const list = useMemo(() => new RunList(filters), [key]);
  useEffect(() => {
    loadWorkflows(true);
    return list.start();
  }, [list]);
  useEffect(() => {
    list.follow = Boolean(follow);
    if (follow) list.showFresh();
  }, [list, follow]);
  useCounts(list);
  const chosen = useSignal(/** @type {Set<string>} */ (new Set()));
  const everything = useSignal(false);
  useEffect(() => {
    chosen.value = new Set();
    everything.value = false;
  }, [list]);
  useKeys({ n: () => showNew(list), Escape: () => (chosen.value = new Set()) });

  return html`<div class="view runs-view">
    <${FilterBar} query=${query} counts=${list.counts.value} />
    <section class="card flush runs-card" aria-label="Runs" aria-busy=${list.loading.value}>
      <${NewRows} list=${list} />
      <${Rows} list=${list} chosen=${chosen} everything=${everything} query=${query} />
      <${Foot} list=${list} />
    </section>
    <${BulkBar} list=${list} chosen=${chosen} everything=${everything} />
  </div>`;
}

/** The counts of states are fetched again while things happen, but seldom. @param {RunList} list */
function useCounts(list) {
  useEffect(() => {
    const refresh = throttled(() => list.recount(), COUNTS_EVERY);
    const stop = changes.subscribe((value) => {
      if (value && list.loaded.peek()) refresh();
    });
    return () => {
      stop();
      refresh.cancel();
    };
  }, [list]);
}

/** @param {RunList} list */
function showNew(list) {
  const fresh = list.fresh.peek().length;
  if (!fresh) return;
  list.showFresh();
  window.scrollTo({ top: 0, behavior: 'smooth' });
  announce(`${plural(fresh, 'new run')} shown`);
  requestAnimationFrame(() => {
    const first = /** @type {HTMLElement | null} */ (document.querySelector('.runs-card tr[data-id]'));
    first?.focus({ preventScroll: true });
  });
}

/** @param {{list: RunList}} props */
function NewRows({ list }) {
  const fresh = list.fresh.value.length;
  if (!fresh) return null;
  return html`<div class="new-rows"><button type="button" class="pill" onClick=${() => showNew(list)}>
    ${plural(fresh, 'new run')} <kbd aria-hidden="true">n</kbd></button></div>`;
}

/** @param {{list: RunList, chosen: any, everything: any, query: Record<string, string>}} props */
function Rows({ list, chosen, everything, query }) {
  const ids = list.ids.value;
  if (!list.loaded.value) {
    if (list.error.value) return html`<${ErrorState} error=${list.error.value} retry=${() => list.reload()} />`;
    return html`<div class="card-body"><${Skeleton} lines=${9} /></div>`;
  }
  if (!ids.length) {
    const filtered = hasFilters(query);
    return html`<${EmptyState} icon=${filtered ? 'filter' : 'runs'} title=${filtered ? 'No run fits' : 'No run yet'}
      action=${filtered && html`<${Button} onClick=${() => navigate(withoutFilters(route.value))}>Clear the filters<//>`}>
      ${filtered ? 'Runs that fit show up here by themselves.' : 'A webhook, a schedule or the command line starts one.'}
    <//>`;
  }
  const selection = canAct.value ? selectionOf(ids, chosen, everything) : undefined;
  return html`
    ${list.error.value && html`<p class="banner bad" role="alert">${list.error.value.message}</p>`}
    <${Table} caption="Runs, newest first" columns=${COLUMNS} ids=${ids} get=${list.get} selection=${selection}
      onOpen=${(/** @type {string} */ id) => navigate(`/runs/${id}`)} />`;
}

/** @param {string[]} ids @param {any} chosen @param {any} everything */
function selectionOf(ids, chosen, everything) {
  const set = chosen.value;
  const shown = ids.filter((id) => set.has(id)).length;
  const change = (/** @type {Set<string>} */ next) => {
    chosen.value = next;
    everything.value = false;
  };
  return {
    has: (/** @type {string} */ id) => set.has(id),
    toggle(/** @type {string} */ id) {
      const next = new Set(chosen.peek());
      if (!next.delete(id)) next.add(id);
      change(next);
    },
    all: () => change(shown === ids.length ? new Set() : new Set(ids)),
    state: /** @type {'none' | 'some' | 'all'} */ (!shown ? 'none' : shown === ids.length ? 'all' : 'some'),
  };
}

/** @param {{list: RunList}} props */
function Foot({ list }) {
  const total = list.total.value;
  const shown = list.ids.value.length;
  if (!list.loaded.value || !shown) return null;
  return html`<footer class="list-foot">
    <span class="note">${count(shown)}${total === null ? '' : ` of ${count(Math.max(total, shown))}`} shown</span>
    ${list.next.value
      ? html`<${Button} small busy=${list.loading.value} onClick=${() => list.more()}>Show more<//>`
      : html`<${Badge}>That is all<//>`}
  </footer>`;
}
