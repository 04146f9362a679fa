/** The workers that are connected, and what they hold. */
import { html } from '../lib.js';
import { Badge, Card, EmptyState, RelativeTime } from '../components/basics.js';
import { count } from '../pure/format.js';
import { href } from '../pure/route.js';

/** @param {{workers: any[]}} props */
export function Workers({ workers }) {
  const online = workers.filter((worker) => worker.online !== false).length;
  return html`<${Card} title="Workers" note=${`${count(online)} connected`} class="workers">
    ${workers.length
      ? html`<ul class="worker-list">${workers.map((worker) => html`<${Worker} key=${worker.id} worker=${worker} />`)}</ul>`
      : html`<${EmptyState} icon="worker" title="No worker is connected">Runs wait in the queue until one comes.<//>`}
  <//>`;
}

/** @param {{worker: any}} props */
function Worker({ worker }) {
  const { name, version, capacity, runs_held: held, online } = worker;
  const share = capacity ? Math.min(100, (held / capacity) * 100) : 0;
  return html`<li class="worker">
    <div class="worker-name">
      <span class=${`presence ${online === false ? 'off' : 'on'}`} aria-hidden="true"></span>
      <a href=${href('/runs', { worker: name })}>${name ?? worker.id}</a>
      ${version && html`<code>${version}</code>`}
      ${online === false && html`<${Badge} tone="warn">gone <${RelativeTime} time=${worker.seen_at} /><//>`}
    </div>
    <div class="worker-load">
      ${capacity && html`<span class="meter" aria-hidden="true"><i style=${{ width: `${share}%` }}></i></span>`}
      <span>${count(held)}${capacity ? html` <span class="faint">of ${count(capacity)}</span>` : ` ${held === 1 ? 'run' : 'runs'}`}</span>
    </div>
  </li>`;
}
