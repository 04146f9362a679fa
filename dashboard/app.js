/** Where the page begins. */
import { html, render } from './lib.js';
import { startRouter } from './router.js';
import { Shell } from './shell.js';
import { startClock } from './store/clock.js';
import { startConnection } from './store/connection.js';
import { startFeed } from './store/feed.js';
import { startKeyboard } from './store/keyboard.js';
import { restoreSession } from './store/session.js';

restoreSession();
startRouter();
startKeyboard();
startClock();
startConnection();
startFeed();
render(html`<${Shell} />`, /** @type {HTMLElement} */ (document.getElementById('app')));
