/** What the connection is worth, always in sight. */
import { html, useEffect, useRef } from '../lib.js';
import { clock, duration } from '../pure/format.js';
import { now } from '../store/clock.js';
import { retryNow, status } from '../store/connection.js';
import { announce } from '../store/notices.js';
import { signInReason } from '../store/session.js';

/** @type {Record<string, {label: string, hint: string}>} */
const WORDS = {
  connecting: { label: 'Connecting', hint: 'The connection is being opened.' },
  live: { label: 'Live', hint: 'What you see is what is.' },
  behind: { label: 'Catching up', hint: 'What was missed is being fetched.' },
  offline: { label: 'Offline', hint: 'What you see may be old. It is tried again by itself.' },
};

/** Shown when it lasts, so that an ordinary start is calm. */
export function ConnectionChip() {
  const { state, since } = status.value;
  const refused = Boolean(signInReason.value);
  const words = refused
    ? { label: 'Signed out', hint: 'Nothing new comes until you sign in.' } : WORDS[state];
  const offline = state === 'offline' && !refused;
  const told = useRef('');
  useEffect(() => {
    if (told.current && told.current !== words.label) announce(`Connection: ${words.label}`);
    told.current = words.label;
  }, [words.label]);
  return html`<div class="connection" data-state=${refused ? 'refused' : state} title=${words.hint}>
    <span class="connection-dot" aria-hidden="true"></span>
    <span>${words.label}${offline && since ? html` <span class="since">since ${clock(since).slice(0, 8)}</span>` : ''}</span>
    ${offline && html`<button type="button" class="link" onClick=${retryNow}>Retry now</button>`}
  </div>`;
}

/** Across the top while what is shown may be old. */
export function StaleBanner() {
  const { state, since } = status.value;
  if (signInReason.value || state !== 'offline' || !since) return null;
  const passed = now.value - since;
  if (passed < 3000) return null;
  return html`<div class="banner warn" role="status">
    Offline for ${duration(Math.floor(passed / 1000) * 1000).replace(/\.\d+/, '')}.
    What you see is from ${clock(since).slice(0, 8)}; it is tried again by itself.
  </div>`;
}
