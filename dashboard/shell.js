/** The frame around every view: navigation, connection, who is signed in. */
import { effect, html, signal, useEffect } from './lib.js';
import { Button, ErrorState, Skeleton } from './components/basics.js';
import { ConnectionChip, StaleBanner } from './components/connection.js';
import { Icon } from './components/icon.js';
import { Late } from './components/late.js';
import { Toasts } from './components/toasts.js';
import { route, setQuery } from './router.js';
import { helpOpen } from './store/keyboard.js';
import { me, signInReason, signOut } from './store/session.js';
import { theme, toggleTheme } from './store/theme.js';
import { loadStyle } from './styles.js';
import { VIEWS } from './views/index.js';

/** Components of the views that were fetched. @type {Map<string, any>} */
const loaded = new Map();
const arrivals = signal(0);
const failure = signal(/** @type {any} */ (null));

const loadSignIn = () => import('./components/sign_in.js');
const loadShortcuts = () => import('./components/shortcuts.js');

/** @param {import('./views/index.js').View} view */
async function load(view) {
  try {
    failure.value = null;
    const [module] = await Promise.all([view.load(), view.style && loadStyle(view.style)]);
    loaded.set(view.name, module.default);
  } catch (error) {
    failure.value = error;
  }
  arrivals.value += 1;
}

/** What a view calls its page; the title of the route until it says so. */
export const heading = signal(/** @type {string | null} */ (null));

effect(() => {
  const view = VIEWS.find((one) => one.name === route.value.name);
  document.title = `${heading.value ?? view?.title ?? 'Not found'} · channel server`;
});

function Navigation() {
  const here = route.value.name;
  const project = route.value.query.project;
  return html`<nav class="side" aria-label="Views">
    <a class="brand" href="/" aria-label="channel server, overview">
      <svg width="28" height="28" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="9" fill="var(--accent)" /><path d="M7 20c3.200 0 3.600-8 6.500-8s3.200 8 6 8c2.200 0 2.900-4 5.500-4" fill="none" stroke="var(--on-accent)" stroke-width="2.800" stroke-linecap="round" /></svg>
      <span>channel server</span>
    </a>
    <ul>
      ${VIEWS.filter((view) => view.nav).map((view) => html`<li key=${view.name}>
        <a href=${project ? `${view.path}?project=${project}` : view.path}
          aria-current=${here === view.name || (here === 'run' && view.name === 'runs') ? 'page' : undefined}>
          <${Icon} name=${view.icon ?? 'dot'} size=${20} /><span>${view.nav}</span>
        </a>
      </li>`)}
    </ul>
    <${Account} />
  </nav>`;
}

/** @param {{class?: string}} props */
function ThemeButton({ class: extra = '' }) {
  const dark = theme.value === 'dark';
  return html`<${Button} variant="ghost" class=${extra} icon=${dark ? 'sun' : 'moon'} onClick=${toggleTheme}
    aria-label=${dark ? 'Use the light theme' : 'Use the dark theme'} title=${dark ? 'Light theme' : 'Dark theme'} />`;
}

function Account() {
  return html`<div class="account">
    ${me.value && html`<p title=${me.value.subject}><strong>${me.value.subject}</strong><span>${me.value.role}</span></p>`}
    <div class="account-actions">
      <${ThemeButton} />
      <${Button} variant="ghost" icon="help" onClick=${() => (helpOpen.value = true)} aria-label="Show the keys" title="Keys (?)" class="wide-only" />
      ${me.value && html`<${Button} variant="ghost" icon="exit" onClick=${signOut} aria-label="Sign out" title="Sign out" />`}
    </div>
  </div>`;
}

function ProjectSelect() {
  const projects = me.value?.projects ?? [];
  if (projects.length === 0) return null;
  if (projects.length === 1) return html`<span class="project-name">${projects[0].name}</span>`;
  return html`<label class="select"><span class="visually-hidden">Project</span>
    <select value=${route.value.query.project ?? ''}
      onChange=${(/** @type {any} */ event) => setQuery({ project: event.target.value, cursor: null })}>
      <option value="">All projects</option>
      ${projects.map((project) => html`<option key=${project.id} value=${project.id}>${project.name}</option>`)}
    </select>
  </label>`;
}

function Current() {
  void arrivals.value;
  const { name, params, query } = route.value;
  const view = VIEWS.find((one) => one.name === name);
  useEffect(() => {
    heading.value = null;
    if (view && !loaded.has(view.name)) load(view);
  }, [name]);
  if (!view) {
    return html`<div class="empty"><p class="empty-title">There is nothing here</p>
      <p class="note">No view has this address.</p><a class="button secondary" href="/">To the overview</a></div>`;
  }
  const View = loaded.get(name);
  if (View) return html`<${View} key=${name + JSON.stringify(params)} params=${params} query=${query} />`;
  if (failure.value) return html`<${ErrorState} error=${failure.value} retry=${() => load(view)} />`;
  return html`<${Skeleton} lines=${6} />`;
}

export function Shell() {
  const { name } = route.value;
  const title = heading.value ?? VIEWS.find((one) => one.name === name)?.title ?? 'Not found';
  const waiting = signInReason.value === 'missing';
  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => {
      event.preventDefault();
      document.getElementById('main')?.focus();
    }}>Skip to the content</a>
    <div class="frame">
      <${Navigation} />
      <div class="page">
        <header class="top">
          <h1>${title}</h1>
          <div class="top-side"><${ProjectSelect} /><${ConnectionChip} /><${ThemeButton} class="narrow-only" /></div>
        </header>
        <${StaleBanner} />
        <main id="main" tabindex="-1">${waiting ? null : html`<${Current} />`}</main>
      </div>
    </div>
    <${Late} when=${Boolean(signInReason.value)} load=${loadSignIn} />
    <${Late} when=${helpOpen.value} load=${loadShortcuts} />
    <${Toasts} />`;
}
