/**
 * What every other module takes from the vendored libraries, in one place: components are written
 * as tagged templates (`html`), state is held in signals.
 */
import { h } from './vendor/preact.js';
import htm from './vendor/htm.js';

export const html = htm.bind(h);
export { Component, Fragment, render } from './vendor/preact.js';
export {
  useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState,
} from './vendor/preact-hooks.js';
export {
  batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect,
} from './vendor/signals.js';
