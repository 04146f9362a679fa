/** Asks for a token; the view beneath keeps its place. */
import { html, useSignal } from '../lib.js';
import { me, signIn, signInReason } from '../store/session.js';
import { Button } from './basics.js';
import { Dialog } from './dialog.js';

/** @type {Record<string, {title: string, text: string}>} */
const REASONS = {
  missing: {
    title: 'Sign in',
    text: 'Paste a user token, or open the link that carries one. It stays in this tab.',
  },
  expired: {
    title: 'Your session has ended',
    text: 'The token is past its time. Paste a new one and go on where you are.',
  },
  refused: {
    title: 'The token was refused',
    text: 'The server does not take it any more. Paste another one and go on where you are.',
  },
};

export default function SignIn() {
  const text = useSignal('');
  const reason = signInReason.value;
  if (!reason) return null;
  const words = REASONS[reason] ?? REASONS.missing;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    signIn(text.value);
    text.value = '';
  };
  const known = me.value?.subject;
  return html`<${Dialog} key=${reason} title=${words.title} closable=${false} onClose=${() => {}}>
    <form class="stack" onSubmit=${submit}>
      <p class="note" role=${reason === 'missing' ? undefined : 'alert'}>${words.text}</p>
      <label class="field">
        <span>Token${known ? ` of ${known}` : ''}</span>
        <textarea rows="4" class="mono" autocomplete="off" spellcheck="false" autofocus
          value=${text.value} placeholder="eyJhbGciOi…"
          onInput=${(/** @type {any} */ event) => (text.value = event.target.value)}
          onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === 'Enter' && submit(event)}></textarea>
      </label>
      <p class="note">Make one with <code>channel-server token --project NAME</code>.</p>
      <div class="actions"><${Button} type="submit" variant="primary" disabled=${!text.value.trim()}>Sign in<//></div>
    </form>
  <//>`;
}
