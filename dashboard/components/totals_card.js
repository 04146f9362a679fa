/** Totals per unit and scope, as bars to compare and as a table to read. */
import { html, useSignal } from '../lib.js';
import { moduleTitle } from '../pure/pipelines.js';
import { bars, exact, SCOPES, totalRows, weight } from '../pure/totals.js';
import { Button, Card, EmptyState } from './basics.js';

const MOST_BARS = 12;
const MOST_ROWS = 50;

/** @param {{year: number, units: any[], modules: any[]}} props */
export function TotalsCard({ year, units, modules }) {
  const { rows, sum } = totalRows(units, modules);
  if (rows.length === 0) {
    return html`<${Card} title="Totals">
      <${EmptyState} icon="pipelines" title=${`No totals of ${year}`}>
        They appear once data was uploaded and computed.
      <//>
    <//>`;
  }
  const shown = bars(rows, MOST_BARS);
  return html`<${Card} title="Totals" note=${`${weight(sum.total)} CO₂e in ${year}`}>
    <div class="totals">
      <figure class="bars" role="img" aria-label=${`Totals per unit and scope; the largest is ${shown[0].unit} with ${weight(shown[0].total)}.`}>
        <ul class="legend" aria-hidden="true">
          ${SCOPES.map((scope, at) => html`<li key=${scope.key}><i class=${`scope-${at + 1}`}></i>${scope.label}</li>`)}
        </ul>
        <div class="bar-rows" aria-hidden="true">
          ${shown.map((row) => html`<div class="bar-row" key=${row.unit}>
            <span class="bar-name" title=${row.name}>${row.unit}</span>
            <span class="bar">${row.parts.map((part, at) => part > 0 && html`<i key=${at} class=${`scope-${at + 1}`}
              style=${{ width: `${part}%` }} title=${`${SCOPES[at].label}: ${weight(row.scopes[at])}`}></i>`)}</span>
            <span class="bar-total">${weight(row.total)}</span>
          </div>`)}
        </div>
        ${rows.length > MOST_BARS && html`<figcaption class="note">The ${MOST_BARS} largest of ${rows.length}; the table has all.</figcaption>`}
      </figure>
      <${TotalsTable} rows=${rows} sum=${sum} modules=${modules} />
    </div>
  <//>`;
}

/** @param {any} props */
function TotalsTable({ rows, sum, modules }) {
  const all = useSignal(false);
  const shown = all.value ? rows : rows.slice(0, MOST_ROWS);
  const numbers = (/** @type {any} */ row) => html`
    ${row.modules.map((/** @type {any} */ value, /** @type {number} */ at) => html`<td class="num wide-only" key=${`m${at}`}>${exact(value)}</td>`)}
    ${row.scopes.map((/** @type {any} */ value, /** @type {number} */ at) => html`<td class="num" key=${`s${at}`}>${exact(value)}</td>`)}
    <td class="num"><strong>${exact(row.total)}</strong></td>`;
  return html`<div class="table-wrap" tabindex="0" role="region" aria-label="Totals per unit, in kg CO₂e">
    <table>
      <caption class="visually-hidden">Totals per unit, in kg of CO₂ equivalents</caption>
      <thead><tr>
        <th scope="col">Unit</th>
        ${modules.map((/** @type {any} */ module) => html`<th scope="col" class="num wide-only" key=${module.id}>${moduleTitle(module.name)}</th>`)}
        ${SCOPES.map((scope) => html`<th scope="col" class="num" key=${scope.key}>${scope.label}</th>`)}
        <th scope="col" class="num">Total, kg</th>
      </tr></thead>
      <tbody>
        ${shown.map((/** @type {any} */ row) => html`<tr key=${row.unit}>
          <th scope="row" class="unit">${row.unit}${row.name && html` <span class="note">${row.name}</span>`}</th>${numbers(row)}
        </tr>`)}
      </tbody>
      <tfoot><tr><th scope="row" class="unit">All units</th>${numbers(sum)}</tr></tfoot>
    </table>
    ${rows.length > shown.length && html`<${Button} small variant="ghost" onClick=${() => (all.value = true)}>Show all ${rows.length} units<//>`}
  </div>`;
}
