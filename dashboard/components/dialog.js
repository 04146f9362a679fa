/** A modal dialog: the browser's own, so focus stays inside and Escape closes. */
import { html, useEffect, useRef } from '../lib.js';
import { Button } from './basics.js';

let count = 0;

/**
 * @param {{title: string, onClose: () => void, children?: any, footer?: any, wide?: boolean,
 *   closable?: boolean}} props without `closable`, only an answer ends it
 */
export function Dialog({ title, onClose, children, footer, wide = false, closable = true }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const id = useRef('');
  if (!id.current) {
    count += 1;
    id.current = `dialog-${count}`;
  }
  useEffect(() => {
    const dialog = element.current;
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    if (dialog && !dialog.open) dialog.showModal();
    return () => {
      dialog?.close();
      if (before?.isConnected) before.focus();
    };
  }, []);
  const cancelled = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (closable) onClose();
  };
  const clicked = (/** @type {Event} */ event) => {
    if (closable && event.target === element.current) onClose();
  };
  return html`<dialog ref=${element} class=${wide ? 'wide' : ''} aria-labelledby=${id.current}
    onCancel=${cancelled} onClick=${clicked}>
    <div class="dialog-frame">
      <header>
        <h2 id=${id.current}>${title}</h2>
        ${closable && html`<${Button} variant="ghost" small icon="cross" aria-label="Close" onClick=${onClose} />`}
      </header>
      <div class="dialog-body">${children}</div>
      ${footer && html`<footer>${footer}</footer>`}
    </div>
  </dialog>`;
}

/**
 * @param {{title: string, children?: any, action: string, danger?: boolean, busy?: boolean,
 *   onConfirm: () => void, onClose: () => void}} props
 */
export function Confirm({ title, children, action, danger = false, busy = false, onConfirm, onClose }) {
  const footer = html`
    <${Button} onClick=${onClose}>Keep as it is<//>
    <${Button} variant=${danger ? 'danger' : 'primary'} busy=${busy} onClick=${onConfirm}>${action}<//>
  `;
  return html`<${Dialog} title=${title} onClose=${onClose} footer=${footer}>${children}<//>`;
}
