import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bars, exact, totalRows, weight } from '../pure/totals.js';

const stats = (scope1, scope3) => ({ scope1, scope2: 0, scope3, total: scope1 + scope3 });
const units = [
  { unit: 'U-100', name: 'Fluids', report: stats(625, 350), modules: { 3: stats(400, 0), 5: stats(0, 350) } },
  { unit: 'U-200', name: 'Glass', report: stats(179.5, 0), modules: { 3: stats(123.5, 0), 5: null } },
  { unit: 'U-300', name: '', report: null, modules: {} },
];
const modules = [{ id: 3 }, { id: 5 }];

test('one row per unit, and their sum; what was never computed is not zero', () => {
  const { rows, sum } = totalRows(units, modules);
  assert.deepEqual(rows.map((row) => row.modules), [[400, 350], [123.5, null], [null, null]]);
  assert.deepEqual(rows[0].scopes, [625, 0, 350]);
  assert.deepEqual(sum, { modules: [523.5, 350], scopes: [804.5, 0, 350], total: 1154.5 });
  assert.deepEqual(totalRows([], modules), { rows: [], sum: { modules: [], scopes: [], total: 0 } });
});

test('bars are sorted, bounded, and measured by the longest', () => {
  const shown = bars(totalRows(units, modules).rows, 2);
  assert.deepEqual(shown.map((row) => row.unit), ['U-100', 'U-200']);
  assert.equal(Math.round(shown[0].parts.reduce((a, b) => a + b)), 100);
  assert.equal(Math.round(shown[1].parts[0]), 18);
  assert.deepEqual(bars(totalRows([units[2]], modules).rows, 2)[0].parts, [0, 0, 0]);
});

test('weights have a unit that fits and at most three figures', () => {
  assert.deepEqual(
    [0, 0.5, 23.456, 975, 9999, 12345.6, 4.2e6, null].map(weight),
    ['0 kg', '0.50 kg', '23.5 kg', '975 kg', '9\u202f999 kg', '12.3 t', '4.20 kt', '–'],
  );
});

test('numbers of tables have one decimal and thin groups', () => {
  assert.deepEqual([0, 179.5, 1234567.89, null].map(exact), ['0.0', '179.5', '1\u202f234\u202f567.9', '–']);
});
