/** Which rows of a long list are in sight. Pure; all rows have one height. */

/**
 * @param {number} top how far the list is scrolled, pixels
 * @param {number} height of what is in sight, pixels
 * @param {number} row height of a row, pixels
 * @param {number} count of rows
 * @param {number} [spare] rows that are kept above and below
 * @returns {{first: number, last: number, offset: number, total: number}} rows first to last - 1,
 *   drawn `offset` pixels from the top of a list `total` pixels high
 */
export function visibleRows(top, height, row, count, spare = 12) {
  const from = Math.floor(Math.max(0, top) / row) - spare;
  const first = Math.min(Math.max(0, from), Math.max(0, count - 1));
  const last = Math.min(count, Math.ceil((Math.max(0, top) + height) / row) + spare);
  return { first, last: Math.max(last, Math.min(count, first)), offset: first * row, total: count * row };
}

/**
 * Where to scroll so that a row is in sight; null when it is already.
 * @param {number} index @param {number} top @param {number} height @param {number} row
 */
export function scrollFor(index, top, height, row) {
  if (index * row < top) return index * row;
  if ((index + 1) * row > top + height) return (index + 1) * row - height;
  return null;
}

/** Whether the end is in sight, give or take a row. @param {number} top @param {number} height @param {number} total @param {number} row */
export function atEnd(top, height, total, row) {
  return top + height >= total - row;
}
