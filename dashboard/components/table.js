/**
 * A table of rows that are read from signals: a change renders its own row and no other. One row is
 * in the tab order; arrows, j and k move, Home and End jump, Enter opens, Space or x selects.
 */
import { html, useRef, useSignal } from '../lib.js';

/**
 * @template T
 * @typedef {object} Column
 * @property {string} key
 * @property {any} label
 * @property {(row: T) => any} render
 * @property {string} [class] `num` aligns numbers, `grow` takes the room, `wide-only` hides on narrow screens
 */
/**
 * @template T
 * @typedef {object} TableProps
 * @property {string} caption read out, not shown
 * @property {Column<T>[]} columns
 * @property {string[]} ids in their order
 * @property {(id: string) => T} get called while a row renders, so it may read signals
 * @property {(id: string) => void} [onOpen]
 * @property {(id: string) => string} [link] where the row leads; opened by onOpen or the browser
 * @property {{has: (id: string) => boolean, toggle: (id: string) => void, all: () => void, state: 'none' | 'some' | 'all'}} [selection]
 * @property {(id: string) => string} [rowClass]
 * @property {any} [class]
 */

/** @param {TableProps<any>} props */
export function Table({ caption, columns, ids, get, onOpen, selection, rowClass, class: extra = '' }) {
  const active = useSignal(/** @type {string | null} */ (null));
  const body = useRef(/** @type {HTMLElement | null} */ (null));
  const tabStop = active.value && ids.includes(active.value) ? active.value : ids[0];

  /** @param {number} index */
  function focusRow(index) {
    const id = ids[Math.max(0, Math.min(ids.length - 1, index))];
    active.value = id;
    const row = /** @type {HTMLElement | null} */ (body.current?.querySelector(`[data-id="${CSS.escape(id)}"]`) ?? null);
    row?.focus({ preventScroll: true });
    row?.scrollIntoView({ block: 'nearest' });
  }

  /** @param {KeyboardEvent} event */
  function onKeyDown(event) {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    const row = /** @type {HTMLElement} */ (event.target).closest('tr[data-id]');
    const id = row?.getAttribute('data-id');
    if (!id) return;
    const onRow = event.target === row;
    const index = ids.indexOf(id);
    const moves = /** @type {Record<string, number>} */ ({
      ArrowDown: index + 1, j: index + 1, ArrowUp: index - 1, k: index - 1, Home: 0,
      End: ids.length - 1,
    });
    if (event.key in moves) focusRow(moves[event.key]);
    else if (event.key === 'Enter' && onRow && onOpen) onOpen(id);
    else if ((event.key === 'x' || (event.key === ' ' && onRow)) && selection) selection.toggle(id);
    else return;
    event.preventDefault();
  }

  return html`<div class=${`table-wrap ${extra}`}>
    <table onKeyDown=${onKeyDown}>
      <caption class="visually-hidden">${caption}</caption>
      <thead>
        <tr>
          ${selection && html`<th class="check" scope="col"><input type="checkbox"
            aria-label="Select all shown" checked=${selection.state === 'all'}
            indeterminate=${selection.state === 'some'} onChange=${selection.all} /></th>`}
          ${columns.map((column) => html`<th key=${column.key} scope="col" class=${column.class}>${column.label}</th>`)}
        </tr>
      </thead>
      <tbody ref=${body}>
        ${ids.map((id) => html`<${Row} key=${id} id=${id} columns=${columns} get=${get}
          tabStop=${id === tabStop} onOpen=${onOpen} selection=${selection}
          selected=${selection?.has(id) ?? false} rowClass=${rowClass} active=${active} />`)}
      </tbody>
    </table>
  </div>`;
}

/** @param {any} props */
function Row({ id, columns, get, tabStop, onOpen, selection, selected, rowClass, active }) {
  const row = get(id);
  /** @param {MouseEvent} event */
  function onClick(event) {
    if (/** @type {Element} */ (event.target).closest('a, button, input')) return;
    if (window.getSelection()?.toString()) return;
    onOpen?.(id);
  }
  return html`<tr data-id=${id} tabindex=${tabStop ? 0 : -1} onClick=${onClick}
    onFocus=${() => (active.value = id)}
    class=${`${onOpen ? 'opens' : ''} ${selected ? 'selected' : ''} ${rowClass?.(id) ?? ''}`}>
    ${selection && html`<td class="check"><input type="checkbox" tabindex="-1" checked=${selected}
      aria-label="Select this row" onChange=${() => selection.toggle(id)} /></td>`}
    ${columns.map((/** @type {any} */ column) => html`<td key=${column.key} class=${column.class}>${row && column.render(row)}</td>`)}
  </tr>`;
}
