/** The workflow as a graph; its nodes light up as steps start and end. */
import { html, useEffect, useMemo, useSignal } from '../lib.js';
import { Card, Skeleton } from '../components/basics.js';
import { between, duration, shortAdaptor } from '../pure/format.js';
import { edgePath } from '../pure/graph.js';
import { litGraph } from '../pure/run_state.js';
import { stepLook, stepState } from '../pure/states.js';
import { now } from '../store/clock.js';

const WIDTH = 172;
const HEIGHT = 54;
const TRIGGER = 116;

/** @type {Promise<any> | null} */
let library = null;
const loadLibrary = () => (library ??= import('../vendor/dagre.js'));

/**
 * Where the nodes are; only the shape of the workflow matters for it.
 * @param {any} dagre @param {any} lit
 */
function layout(dagre, lit) {
  const graph = new dagre.Graph({ multigraph: true });
  graph.setGraph({ rankdir: 'TB', nodesep: 28, ranksep: 34, marginx: 6, marginy: 6 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of lit.nodes) {
    graph.setNode(node.id, { width: node.kind === 'trigger' ? TRIGGER : WIDTH, height: node.kind === 'trigger' ? 36 : HEIGHT });
  }
  for (const edge of lit.edges) graph.setEdge(edge.from, edge.to, { width: edge.label ? 74 : 0, height: edge.label ? 18 : 0, labelpos: 'c' }, edge.id);
  dagre.layout(graph);
  const { width, height } = graph.graph();
  return {
    width, height,
    node: (/** @type {string} */ id) => graph.node(id),
    edge: (/** @type {any} */ edge) => graph.edge({ v: edge.from, w: edge.to, name: edge.id }),
  };
}

/** @param {{run: any, steps: any[], graph: any, chosen: any, choose: (id: string) => void}} props */
export function RunGraph({ run, steps, graph, chosen, choose }) {
  const dagre = useSignal(/** @type {any} */ (null));
  useEffect(() => {
    loadLibrary().then((module) => (dagre.value = module));
  }, []);
  const lit = litGraph(graph, run, steps);
  const places = useMemo(() => dagre.value && layout(dagre.value, lit), [dagre.value, JSON.stringify(graph)]);
  const done = lit.nodes.filter((node) => node.step?.finished_at).length;
  const jobs = lit.nodes.filter((node) => node.kind === 'job').length;
  return html`<${Card} title="Workflow" note=${`${done} of ${jobs} jobs ended`} class="graph-card">
    ${!places ? html`<${Skeleton} lines=${4} />` : html`<div class="graph">
      <svg viewBox=${`0 0 ${places.width} ${places.height}`} width=${places.width} height=${places.height}
        role="group" aria-label="The workflow">
        <defs>
          ${['', 'taken'].map((kind) => html`<marker key=${kind} id=${`arrow${kind}`} class=${`arrow ${kind}`} viewBox="0 0 8 8" refX="6.500" refY="4"
            markerWidth="7" markerHeight="7" orient="auto"><path d="M1 1l6 3-6 3z" /></marker>`)}
        </defs>
        ${lit.edges.map((/** @type {any} */ edge) => html`<${Edge} key=${edge.id} edge=${edge} line=${places.edge(edge)} />`)}
        ${lit.nodes.map((node) => html`<${Node} key=${node.id} node=${node} at=${places.node(node.id)}
          chosen=${Boolean(node.step) && node.step.id === chosen?.id} choose=${choose} />`)}
      </svg>
    </div>`}
  <//>`;
}

/** @param {{edge: any, line: any}} props */
function Edge({ edge, line }) {
  if (!line) return null;
  const kind = edge.taken ? 'taken' : '';
  return html`<g class=${`edge ${kind} ${edge.enabled ? '' : 'disabled'}`}>
    <path d=${edgePath(line.points)} marker-end=${`url(#arrow${kind})`} />
    ${edge.label && html`<g transform=${`translate(${line.x} ${line.y})`}>
      <rect x="-37" y="-10" width="74" height="20" rx="10" /><text dy="4">${edge.label}</text>
    </g>`}
  </g>`;
}

/** @param {{node: any, at: any, chosen: boolean, choose: (id: string) => void}} props */
function Node({ node, at, chosen, choose }) {
  if (node.kind === 'trigger') {
    return html`<g class=${`node trigger ${node.lit ? 'lit' : ''}`} transform=${`translate(${at.x - at.width / 2} ${at.y - at.height / 2})`}>
      <rect width=${at.width} height=${at.height} rx="18" /><text x=${at.width / 2} y="23" text-anchor="middle">${node.name}</text>
    </g>`;
  }
  const state = stepState(node.step);
  const { label, tone } = stepLook(state);
  const open = () => node.step && choose(node.step.id);
  const key = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    open();
  };
  const button = node.step
    ? { role: 'button', tabindex: 0, 'aria-pressed': chosen, onClick: open, onKeyDown: key } : { role: 'img', 'aria-label': `${node.name}: ${label}` };
  return html`<g class=${`node job ${tone} ${state} ${chosen ? 'chosen' : ''}`} ...${button}
    transform=${`translate(${at.x - at.width / 2} ${at.y - at.height / 2})`}>
    <rect width=${WIDTH} height=${HEIGHT} rx="12" />
    <circle cx="22" cy="28" r="10" />
    <path class="sign" transform="translate(14 20)" d=${SIGNS[state] ?? SIGNS[tone] ?? ''} />
    <text class="node-name" x="42" y="25">${clip(node.name, 17)}</text>
    <text class="node-note" x="42" y="42"><${NodeNote} node=${node} state=${state} /></text>
    ${node.step && html`<text class="unseen">${label}</text>`}
  </g>`;
}

/** @param {{node: any, state: string}} props */
function NodeNote({ node, state }) {
  const adaptor = clip(shortAdaptor(node.adaptor).replace(/@latest$/, ''), 18);
  if (!node.step) return adaptor;
  const { started_at: begin, finished_at: end } = node.step;
  const took = duration(between(begin, end, state === 'running' ? now.value : Date.parse(end ?? begin)));
  return `${clip(adaptor, 10)} · ${took}`;
}

/** Drawn into a circle of 16 by 16. @type {Record<string, string>} */
const SIGNS = {
  good: 'M4.500 8.300l2.300 2.300 4.500-5', bad: 'M5.300 5.300l5.400 5.400M10.700 5.300l-5.400 5.400',
  warn: 'M8 4.500v4.200M8 11.200v.1', running: 'M6.500 5v6l5-3z', cancel: 'M5.500 8h5',
};

/** @param {string} text @param {number} most */
function clip(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
