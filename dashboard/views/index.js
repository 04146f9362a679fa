/**
 * The one list of views. To add one: a module here whose default export is a component of
 * `{params, query}`, and an entry below. See "How to add a view" in docs/dashboard.md.
 *
 * @typedef {object} View
 * @property {string} name of the route
 * @property {string} path `:part` matches one part of the path
 * @property {string} title of the document and the heading
 * @property {string} [nav] label in the navigation; a view without one is reached by links
 * @property {string} [icon] see components/icon.js
 * @property {string} [key] the letter that goes there after `g`
 * @property {string} [style] a style sheet that it alone needs
 * @property {() => Promise<{default: Function}>} load fetched when it is first shown
 */

/** @type {View[]} */
export const VIEWS = [
  {
    name: 'overview', path: '/', title: 'Overview', nav: 'Overview', icon: 'overview', key: 'o',
    load: () => import('./overview.js'),
  },
  {
    name: 'runs', path: '/runs', title: 'Runs', nav: 'Runs', icon: 'runs', key: 'r',
    load: () => import('./runs.js'),
  },
  { name: 'run', path: '/runs/:id', title: 'Run', style: '/css/run.css', load: () => import('./run.js') },
  {
    name: 'workflows', path: '/workflows', title: 'Workflows', nav: 'Workflows',
    icon: 'workflows', key: 'w', load: () => import('./workflows.js'),
  },
  {
    name: 'pipelines', path: '/pipelines', title: 'Pipelines', nav: 'Pipelines',
    icon: 'pipelines', key: 'p', style: '/css/pipelines.css', load: () => import('./pipelines.js'),
  },
  {
    name: 'health', path: '/health', title: 'Health', nav: 'Health', icon: 'health', key: 'h',
    style: '/css/health.css', load: () => import('./health.js'),
  },
];
