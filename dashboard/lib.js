/**
 * What every other module takes from the vendored libraries, in one place: components are written
 * as tagged templates (`html`), state is held in signals.
 */
import { Component, h } from './vendor/preact.js';
import htm from './vendor/htm.js';

export const html = htm.bind(h);
export { Component, Fragment, render } from './vendor/preact.js';
export {
  useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState,
} from './vendor/preact-hooks.js';
export {
  batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect,
} from './vendor/signals.js';

/**
 * A component that renders again only when one of its properties is another one. It must not read
 * signals: their changes would not render it.
 * @template P
 * @param {(props: P) => any} draw
 */
export function pure(draw) {
  return class Pure extends Component {
    /** @param {any} next */
    shouldComponentUpdate(next) {
      for (const name in next) if (next[name] !== this.props[name]) return true;
      return false;
    }

    /** @param {any} props */
    render(props) {
      return draw(props);
    }
  };
}
