/** What is seldom needed is fetched when it is. */
import { html, useEffect, useSignal } from '../lib.js';

/** @param {{when: boolean, load: () => Promise<{default: any}>}} props */
export function Late({ when, load }) {
  const part = useSignal(/** @type {any} */ (null));
  useEffect(() => {
    if (when && !part.peek()) load().then((module) => (part.value = { component: module.default }), () => {});
  }, [when]);
  return when && part.value ? html`<${part.value.component} />` : null;
}
