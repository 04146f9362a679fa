/** The keys that the help shows. Pure. */

/** @typedef {{keys: string[], does: string}} Shortcut */

/** What the help shows, by group. @type {{title: string, shortcuts: Shortcut[]}[]} */
export const SHORTCUTS = [
  {
    title: 'Everywhere',
    shortcuts: [
      { keys: ['/'], does: 'Search' },
      { keys: ['?'], does: 'Show these keys' },
      { keys: ['Esc'], does: 'Close, or leave the search' },
      { keys: ['g', 'o'], does: 'Go to Overview' },
      { keys: ['g', 'r'], does: 'Go to Runs' },
      { keys: ['g', 'w'], does: 'Go to Workflows' },
      { keys: ['g', 'p'], does: 'Go to Pipelines' },
      { keys: ['g', 'h'], does: 'Go to Health' },
    ],
  },
  {
    title: 'In a table',
    shortcuts: [
      { keys: ['j', '↓'], does: 'Next row' },
      { keys: ['k', '↑'], does: 'Row before' },
      { keys: ['Enter'], does: 'Open' },
      { keys: ['x'], does: 'Select' },
      { keys: ['n'], does: 'Show what is new' },
    ],
  },
  {
    title: 'In the log of a run',
    shortcuts: [
      { keys: ['e'], does: 'Jump to the next error' },
      { keys: ['f'], does: 'Follow the end' },
    ],
  },
];
