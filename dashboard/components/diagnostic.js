/**
 * A badge that says more when it is looked at: opens on hover and on focus, stays open while either
 * is inside, so that the button in it can be reached by Tab; Escape closes it.
 */
import { html, useLayoutEffect, useRef, useSignal } from '../lib.js';
import { jobLine, jobTone } from '../pure/pipelines.js';
import { Badge, CopyButton, RelativeTime } from './basics.js';

let count = 0;

/**
 * @param {{label: string, tone: string, icon?: string, pipelineId: string,
 *   stream: import('../store/pipeline_stream.js').StreamState | null}} props
 */
export function DiagnosticBadge({ label, tone, icon, pipelineId, stream }) {
  const id = useRef('');
  if (!id.current) id.current = `diagnostic-${(count += 1)}`;
  const hovered = useSignal(false);
  const focused = useSignal(false);
  const dismissed = useSignal(false);
  const button = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const open = (hovered.value || focused.value) && !dismissed.value;

  /** @param {KeyboardEvent} event */
  function onKeyDown(event) {
    if (event.key !== 'Escape' || !open) return;
    event.stopPropagation();
    dismissed.value = true;
    button.current?.focus();
  }
  /** @param {FocusEvent} event */
  function onFocusOut(event) {
    const holder = /** @type {HTMLElement} */ (event.currentTarget);
    if (holder.contains(/** @type {Node | null} */ (event.relatedTarget))) return;
    focused.value = false;
    if (!hovered.value) dismissed.value = false;
  }
  function onPointerLeave() {
    hovered.value = false;
    if (!focused.value) dismissed.value = false;
  }

  return html`<div class="diagnostic" onKeyDown=${onKeyDown}
    onFocusIn=${() => (focused.value = true)} onFocusOut=${onFocusOut}
    onPointerEnter=${() => (hovered.value = true)} onPointerLeave=${onPointerLeave}>
    <button type="button" class="badge-button" ref=${button} aria-expanded=${open}
      aria-describedby=${open ? `${id.current}-what` : undefined}
      onClick=${() => (dismissed.value = false)}>
      <${Badge} tone=${tone} icon=${icon} pulse=${tone === 'active'}>${label}<//>
    </button>
    ${open && html`<${Panel} id=${id.current} pipelineId=${pipelineId} stream=${stream} />`}
  </div>`;
}

/** @param {any} props */
function Panel({ id, pipelineId, stream }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => {
    const panel = element.current;
    if (!panel) return;
    // Kept inside the window, wherever its badge is.
    const over = panel.getBoundingClientRect().right - (document.documentElement.clientWidth - 16);
    if (over > 0) panel.style.marginLeft = `${-over}px`;
  }, []);
  const jobs = stream?.jobs ?? [];
  return html`<div class="diagnostic-panel" ref=${element} role="group" aria-label="Diagnostic">
    <div class="diagnostic-box">
      <div class="diagnostic-head" id=${`${id}-what`}>
        <span class="note">Pipeline</span>
        <code>${pipelineId}</code>
        <${CopyButton} text=${pipelineId} label="Copy the id of the pipeline" />
      </div>
      ${jobs.length === 0
        ? html`<p class="note">Waiting for the first update…</p>`
        : html`<ul>${jobs.map((/** @type {any} */ job) => html`<${JobRow} key=${job.job_id} job=${job} />`)}</ul>`}
    </div>
  </div>`;
}

/** @param {{job: import('../pure/pipelines.js').Job}} props */
export function JobRow({ job }) {
  const tone = jobTone(job);
  return html`<li class=${`job ${tone}`}>
    <span class="job-dot" aria-hidden="true"></span>
    <div>
      <p class="job-line">${jobLine(job)}</p>
      ${job.status_message && html`<p class="job-message">${job.status_message}</p>`}
      ${(job.started_at || job.finished_at) && html`<p class="note">
        ${job.started_at && html`Started <${RelativeTime} time=${job.started_at} />`}
        ${job.started_at && job.finished_at && ' · '}
        ${job.finished_at && html`Finished <${RelativeTime} time=${job.finished_at} />`}
      </p>`}
    </div>
  </li>`;
}
