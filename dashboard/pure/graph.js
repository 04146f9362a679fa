/** How the edge of a graph is drawn. Pure. */

/**
 * A smooth line through the points of a layout.
 * @param {{x: number, y: number}[]} points at least two
 */
export function edgePath(points) {
  const round = (/** @type {number} */ value) => Math.round(value * 10) / 10;
  const [first, ...rest] = points;
  const parts = [`M${round(first.x)} ${round(first.y)}`];
  for (let i = 0; i < rest.length - 1; i += 1) {
    const at = rest[i];
    const next = rest[i + 1];
    const last = i === rest.length - 2;
    const end = last ? next : { x: (at.x + next.x) / 2, y: (at.y + next.y) / 2 };
    parts.push(`Q${round(at.x)} ${round(at.y)} ${round(end.x)} ${round(end.y)}`);
  }
  if (rest.length === 1) parts.push(`L${round(rest[0].x)} ${round(rest[0].y)}`);
  return parts.join('');
}
