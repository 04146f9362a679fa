/** The log of a run: it follows, it can be searched, and only the lines in sight are drawn. */
import { html, pure, useEffect, useLayoutEffect, useRef, useSignal } from '../lib.js';
import { Button, CopyButton, EmptyState, ErrorState } from '../components/basics.js';
import { Icon } from '../components/icon.js';
import { clock, count, dateTime } from '../pure/format.js';
import { nextError, pretty, textOf, toneOf } from '../pure/log_lines.js';
import { isFinal } from '../pure/states.js';
import { atEnd, scrollFor, visibleRows } from '../pure/virtual.js';
import { setQuery } from '../router.js';
import { download } from '../store/api.js';
import { useKeys } from '../store/keyboard.js';
import { announce, toast } from '../store/notices.js';

const ROW = 24;
/** Rows share this many elements, so that scrolling changes texts and makes nothing new. */
const SLOTS = 512;
const LEVELS = [['', 'All levels'], ['info', 'Info and above'], ['warn', 'Warnings and errors'], ['error', 'Errors']];

/** @param {{store: any, step: any, query: Record<string, string>}} props */
export function LogPanel({ store, step, query }) {
  const { logs } = store;
  const level = query.level ?? '';
  const text = query.find ?? '';
  const follow = useSignal(true);
  const active = useSignal(-1);
  const view = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    active.value = -1;
    logs.filter({ level, query: text, step: step?.id ?? '' });
  }, [logs, level, text, step?.id]);
  const show = (/** @type {number} */ row) => {
    const box = view.current;
    if (!box || row < 0) return;
    follow.value = false;
    active.value = row;
    const top = scrollFor(row, box.scrollTop, box.clientHeight, ROW);
    if (top !== null) box.scrollTop = row * ROW - box.clientHeight / 2;
  };
  const toError = () => {
    const row = nextError((index) => logs.at(index), logs.count, active.value);
    if (row < 0) toast('No line is an error.');
    else {
      show(row);
      announce(`Error: ${textOf(logs.at(row).message)}`);
    }
  };
  const toEnd = () => {
    follow.value = true;
    if (view.current) view.current.scrollTop = view.current.scrollHeight;
  };
  useKeys({ e: toError, f: toEnd });
  return html`<div class="logs">
    <${LogBar} store=${store} step=${step} level=${level} text=${text} toError=${toError} follow=${follow} toEnd=${toEnd} />
    <${LogBody} store=${store} view=${view} follow=${follow} active=${active} show=${show} />
    <${LineDetail} logs=${logs} active=${active} />
  </div>`;
}

/** @param {any} props */
function LogBar({ store, step, level, text, toError, follow, toEnd }) {
  const { logs } = store;
  void logs.revision.value;
  const errors = logs.errors.value;
  return html`<div class="log-bar">
    <label class="search grow-1"><span class="visually-hidden">Search in this log</span><${Icon} name="search" />
      <input type="search" data-search value=${text} placeholder="Search in this log" autocomplete="off" spellcheck="false"
        onInput=${(/** @type {any} */ event) => setQuery({ find: event.target.value })} />
    </label>
    <label><span class="visually-hidden">Level</span>
      <select value=${level} onChange=${(/** @type {any} */ event) => setQuery({ level: event.target.value })}>
        ${LEVELS.map(([value, label]) => html`<option key=${value} value=${value}>${label}</option>`)}
      </select>
    </label>
    ${step && html`<${Button} small icon="cross" onClick=${() => setQuery({ step: null })} aria-label="Show the lines of all steps">${step.job_name ?? 'Step'}<//>`}
    <${Button} small icon="alert" disabled=${!errors} onClick=${toError} title="Next error (e)">${errors ? count(errors) : 'No'} ${errors === 1 ? 'error' : 'errors'}<//>
    <${Button} small icon="down" aria-pressed=${follow.value} onClick=${follow.value ? () => (follow.value = false) : toEnd} title="Follow the end (f)">Follow<//>
    <${Button} variant="ghost" small icon="download" aria-label="Download the log" title="Download the log"
      onClick=${() => download(`/api/runs/${store.id}/logs.ndjson`, `run-${store.id}.ndjson`).catch((error) => toast(error.message, { tone: 'bad' }))} />
  </div>`;
}

/** @param {any} props */
function LogBody({ store, view, follow, active, show }) {
  const { logs } = store;
  const top = useSignal(0);
  const height = useSignal(600);
  void logs.revision.value;
  const rows = logs.count;
  useLayoutEffect(() => {
    const box = view.current;
    const watcher = new ResizeObserver(() => (height.value = box.clientHeight));
    watcher.observe(box);
    return () => watcher.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (follow.value && view.current) view.current.scrollTop = rows * ROW;
  }, [rows, follow.value, height.value]);
  const scrolled = () => {
    const box = view.current;
    const before = top.peek();
    top.value = box.scrollTop;
    // Only a scroll upwards is the reader's wish to stay.
    if (box.scrollTop < before - 1 && !atEnd(box.scrollTop, box.clientHeight, rows * ROW, ROW)) follow.value = false;
    else if (atEnd(box.scrollTop, box.clientHeight, rows * ROW, 2)) follow.value = true;
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const page = Math.max(1, Math.floor(height.peek() / ROW) - 2);
    const moves = /** @type {Record<string, number>} */ ({ ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -rows, End: rows });
    if (!(event.key in moves) || event.metaKey || event.ctrlKey || event.altKey) return;
    event.preventDefault();
    show(Math.max(0, Math.min(rows - 1, active.peek() + moves[event.key])));
  };
  const { first, last, offset, total } = visibleRows(top.value, height.value, ROW, rows);
  const lines = [];
  for (let row = first; row < last; row += 1) lines.push(row);
  return html`<div class="log-view" ref=${view} tabindex="0" role="region" aria-label="Lines of the log" onScroll=${scrolled} onKeyDown=${keys}>
    <div class="log-total" style=${{ height: `${total}px` }}>
      <div class="log-window" style=${{ transform: `translateY(${offset}px)` }}>
        ${lines.map((row) => html`<${LogLine} key=${row % SLOTS} line=${logs.at(row)} row=${row} chosen=${row === active.value} show=${show} />`)}
      </div>
    </div>
    <${LogState} store=${store} rows=${rows} />
  </div>`;
}

/** @param {{line: any, row: number, chosen: boolean, show: (row: number) => void}} props */
const LogLine = pure(({ line, row, chosen, show }) => html`<div class=${`log-line ${toneOf(line.level)} ${chosen ? 'chosen' : ''}`} onClick=${() => show(row)}>
    <span class="log-time">${clock(line.timestamp)}</span>
    <span class="log-level">${line.level}</span>
    <span class="log-source">${line.source}</span>
    <span class="log-text">${textOf(line.message)}</span>
  </div>`);

/** @param {{store: any, rows: number}} props */
function LogState({ store, rows }) {
  const { logs } = store;
  const total = logs.total.value;
  if (logs.error.value) return html`<${ErrorState} error=${logs.error.value} retry=${() => logs.load()} />`;
  if (logs.loading.value && total && logs.lines.length < total) {
    return html`<p class="log-note" role="status"><span class="spinner" aria-hidden="true"></span> ${count(logs.lines.length)} of ${count(total)} lines</p>`;
  }
  if (rows || logs.loading.value) return null;
  if (logs.lines.length) return html`<${EmptyState} icon="filter" title="No line fits">Change the level, the step or the text.<//>`;
  const open = store.run.value && !isFinal(store.run.value.state);
  return html`<${EmptyState} icon="runs" title="No line yet">${open ? 'Lines show up here as they come.' : 'This run wrote nothing.'}<//>`;
}

/** @param {{logs: any, active: any}} props */
function LineDetail({ logs, active }) {
  const row = active.value;
  void logs.revision.value;
  if (row < 0 || row >= logs.count) return null;
  const line = logs.at(row);
  const text = pretty(line.message);
  return html`<div class="line-detail" role="region" aria-label="The chosen line">
    <header><span class="note">${line.level} · ${line.source} · ${dateTime(line.timestamp)} · version ${line.version}</span>
      <${CopyButton} text=${text} label="Copy the line" />
      <${Button} variant="ghost" small icon="cross" aria-label="Close the line" onClick=${() => (active.value = -1)} />
    </header>
    <pre tabindex="0">${text}</pre>
  </div>`;
}
