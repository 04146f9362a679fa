/** Placeholder of the view. */
import { html } from '../lib.js';
import { EmptyState } from '../components/basics.js';

export default function View() {
  return html`<${EmptyState} icon="health" title="Nothing is here yet" />`;
}
