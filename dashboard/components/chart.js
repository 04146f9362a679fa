/**
 * A chart over time or categories, drawn by uPlot, which is fetched when the first chart appears.
 * A chart is a picture to a screen reader: `label` says what is in it, and the same numbers should
 * also be on the page as text or table.
 */
import { effect, html, useEffect, useRef } from '../lib.js';
import { loadStyle } from '../styles.js';
import { theme } from '../store/theme.js';

/** @type {Promise<any> | null} */
let library = null;
const loadLibrary = () => (library ??= Promise.all([
  import('../vendor/uplot.js'), loadStyle('/vendor/uplot.css'),
]).then(([module]) => module.default));

/** The value of a colour of the theme in force, for what has no CSS. @param {string} name */
export function themeColor(name) {
  const probe = document.createElement('i');
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/**
 * @param {{label: string, data: any[][], options: (uPlot: any) => any, height?: number}} props
 *   `data` as uPlot takes it; `options` without sizes, read anew when the theme changes
 */
export function Chart({ label, data, options, height = 200 }) {
  const holder = useRef(/** @type {HTMLElement | null} */ (null));
  const chart = useRef(/** @type {any} */ (null));
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    let gone = false;
    /** @type {(() => void) | null} */
    let stopTheme = null;
    const watcher = new ResizeObserver(([entry]) => {
      chart.current?.setSize({ width: Math.floor(entry.contentRect.width), height });
    });
    loadLibrary().then((uPlot) => {
      if (gone || !holder.current) return;
      stopTheme = effect(() => {
        void theme.value;
        chart.current?.destroy();
        const width = holder.current?.clientWidth || 600;
        chart.current = new uPlot({ ...options(uPlot), width, height }, latest.current, holder.current);
      });
      watcher.observe(holder.current);
    });
    return () => {
      gone = true;
      stopTheme?.();
      watcher.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, []);
  useEffect(() => chart.current?.setData(data), [data]);

  return html`<div class="chart" role="img" aria-label=${label} style=${{ minHeight: `${height}px` }}
    ref=${holder}></div>`;
}

/** Axes, grid and cursor as all charts here have them. */
export function chartFrame() {
  const axis = {
    stroke: themeColor('text-3'), font: '12px "Geist Variable", system-ui, sans-serif',
    grid: { stroke: themeColor('line-soft'), width: 1 }, ticks: { show: false },
  };
  return {
    axes: [{ ...axis, size: 30, grid: { show: false } }, { ...axis, size: 44 }],
    legend: { show: false },
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    padding: [8, 8, 0, 0],
  };
}
