/** Totals per unit and scope: what the chart and the table of a year show. Pure. */

/** @typedef {Record<string, any> | null} Stats */
/** @typedef {{unit: string, name: string, report: Stats, modules: Record<string, Stats>}} Unit */
/** @typedef {{label: string, key: 'scope1' | 'scope2' | 'scope3'}} Scope */

/** @type {Scope[]} */
export const SCOPES = [
  { key: 'scope1', label: 'Scope 1' },
  { key: 'scope2', label: 'Scope 2' },
  { key: 'scope3', label: 'Scope 3' },
];

/** A total as a number; nothing computed yet is 0. @param {Stats | undefined} stats @param {string} key */
export const amount = (stats, key) => Number(stats?.[key] ?? 0);

/**
 * One row per unit, and the sum of all of them.
 * @param {Unit[]} units
 * @param {{id: number}[]} modules
 */
export function totalRows(units, modules) {
  const rows = units.map((unit) => ({
    unit: unit.unit,
    name: unit.name,
    modules: modules.map((module) => {
      const stats = unit.modules[module.id];
      return stats ? amount(stats, 'total') : null;
    }),
    scopes: SCOPES.map((scope) => amount(unit.report, scope.key)),
    total: amount(unit.report, 'total'),
  }));
  const add = (/** @type {(number | null)[][]} */ lists) =>
    (lists[0] ?? []).map((_, at) => lists.reduce((sum, list) => sum + (list[at] ?? 0), 0));
  return {
    rows,
    sum: {
      modules: add(rows.map((row) => row.modules)),
      scopes: add(rows.map((row) => row.scopes)),
      total: rows.reduce((sum, row) => sum + row.total, 0),
    },
  };
}

/**
 * The bars of a chart, largest first: each part as a percentage of the longest bar.
 * @param {{unit: string, name: string, scopes: number[], total: number}[]} rows
 * @param {number} most bars
 */
export function bars(rows, most) {
  const sorted = [...rows].sort((a, b) => b.total - a.total || a.unit.localeCompare(b.unit));
  const longest = Math.max(...sorted.map((row) => row.total), 0);
  return sorted.slice(0, most).map((row) => ({
    ...row,
    parts: row.scopes.map((part) => (longest > 0 ? (100 * part) / longest : 0)),
  }));
}

/**
 * Kilograms of CO2 equivalents: `975 kg`, `1.23 t`, at most three figures that count.
 * @param {number | null | undefined} kg
 */
export function weight(kg) {
  if (kg === null || kg === undefined || Number.isNaN(kg)) return '–';
  if (Math.abs(kg) >= 1e6) return `${figures(kg / 1e6)} kt`;
  return Math.abs(kg) >= 1e4 ? `${figures(kg / 1e3)} t` : `${figures(kg)} kg`;
}

/** @param {number} value */
function figures(value) {
  const size = Math.abs(value);
  const digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2;
  return group(value.toFixed(digits));
}

/** A number of a table: one decimal, thin groups. @param {number | null | undefined} value */
export function exact(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  return group(value.toFixed(1));
}

/** @param {string} text */
function group(text) {
  const [whole, part] = text.split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
  return part ? `${grouped}.${part}` : grouped;
}
