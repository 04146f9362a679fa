/** How JSON is shown. Pure. */

/** @param {any} value @returns {'null' | 'array' | 'object' | 'string' | 'number' | 'boolean'} */
export function kindOf(value) {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'array';
  return /** @type {any} */ (typeof value);
}

/** @param {any} value an object or a list @returns {[string, any][]} */
export function entriesOf(value) {
  return Array.isArray(value) ? value.map((item, index) => [String(index), item]) : Object.entries(value);
}

/** @param {any} value */
export function summaryOf(value) {
  const size = Array.isArray(value) ? value.length : Object.keys(value).length;
  const [one, many] = Array.isArray(value) ? ['item', 'items'] : ['field', 'fields'];
  const braces = Array.isArray(value) ? '[ ]' : '{ }';
  return size ? `${braces} ${size} ${size === 1 ? one : many}` : braces.replace(' ', '');
}
