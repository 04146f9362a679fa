/** Throughput and failures over the last hour. */
import { html, useMemo, useSignal } from '../lib.js';
import { Card } from '../components/basics.js';
import { Chart, chartFrame, themeColor } from '../components/chart.js';
import { count, plural } from '../pure/format.js';
import { chartColumns } from '../pure/overview.js';

/** @param {{minutes: {minute: string, finished: number, failed: number}[]}} props */
export function Throughput({ minutes }) {
  const pointed = useSignal(/** @type {number | null} */ (null));
  const key = JSON.stringify(minutes);
  const data = useMemo(() => chartColumns(minutes), [key]);
  const total = minutes.reduce((sum, one) => sum + one.finished, 0);
  const failed = minutes.reduce((sum, one) => sum + one.failed, 0);
  const here = pointed.value === null ? null : minutes[pointed.value];
  const time = here && new Date(here.minute).toTimeString().slice(0, 5);
  const note = here
    ? `${time} · ${count(here.finished)} finished, ${count(here.failed)} failed`
    : `${plural(total, 'run')} finished, ${count(failed)} failed`;
  const options = (/** @type {any} */ uPlot) => chartOptions(uPlot, (index) => (pointed.value = index));
  const legend = html`<span class="legend"><i class="legend-accent"></i>finished <i class="legend-bad"></i>failed</span>`;
  return html`<${Card} title="Last hour" note=${note} actions=${legend} class="throughput">
    <${Chart} data=${data} options=${options} height=${236}
      label=${`Runs per minute over the last hour: ${count(total)} finished, ${count(failed)} failed`} />
  <//>`;
}

/** @param {any} uPlot @param {(index: number | null) => void} point */
function chartOptions(uPlot, point) {
  const bars = uPlot.paths.bars({ size: [0.72, 14], radius: 0.25 });
  const series = (/** @type {string} */ fill) => ({
    fill, stroke: fill, width: 0, paths: bars, points: { show: false },
  });
  const frame = chartFrame();
  return {
    ...frame,
    scales: { x: { range: (/** @type {any} */ _u, /** @type {number} */ min, /** @type {number} */ max) => [min - 40, max + 40] }, y: { range: (/** @type {any} */ _u, /** @type {number} */ _min, /** @type {number} */ max) => [0, Math.max(4, Math.ceil(max * 1.15))] } },
    axes: [
      { ...frame.axes[0], values: (/** @type {any} */ _u, /** @type {number[]} */ at) => at.map((one) => new Date(one * 1000).toTimeString().slice(0, 5)), space: 70 },
      { ...frame.axes[1], incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000], space: 40 },
    ],
    series: [{}, series(themeColor('accent-line')), series(themeColor('bad-fill'))],
    hooks: { setCursor: [(/** @type {any} */ u) => point(u.cursor.idx ?? null)] },
  };
}
