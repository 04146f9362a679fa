/**
 * One run, live: what was fetched, then every change with a higher version. The history, gaps and
 * remarks are the server's to tell, and are fetched again shortly after something happened.
 */
import { batch, signal } from '../lib.js';
import { mergeRun, mergeStep, upsertRemark } from '../pure/run_state.js';
import { getJson } from './api.js';
import { subscribe } from './connection.js';
import { whenMissed } from './feed.js';
import { inNextFrame, throttled } from './frames.js';
import { LogStore } from './logs.js';

const REFRESH = 1500;

export class RunStore {
  /** @param {string} id */
  constructor(id) {
    this.id = id;
    this.run = signal(/** @type {any} */ (null));
    this.steps = signal(/** @type {any[]} */ ([]));
    this.remarks = signal(/** @type {any[]} */ ([]));
    /** What else the server says: workflow, graph, history, gaps, lease. */
    this.details = signal(/** @type {any} */ (null));
    this.error = signal(/** @type {any} */ (null));
    /** Grows when a dataclip changed, such as when it was wiped. */
    this.clips = signal(0);
    this.logs = new LogStore(id);
    this.version = 0;
    this.stopped = false;
    this.refresh = throttled(() => this.load(), REFRESH);
  }

  /** @returns {() => void} ends it */
  start() {
    /** @type {(() => void)[]} */
    const stops = [whenMissed(() => this.load())];
    this.load().then(() => {
      if (this.stopped || this.error.peek()) return;
      this.logs.load();
      stops.push(this.follow());
    });
    return () => {
      this.stopped = true;
      this.logs.stop();
      this.refresh.cancel();
      for (const stop of stops) stop();
    };
  }

  async load() {
    try {
      const answer = await getJson(`/api/runs/${this.id}`);
      if (!this.stopped) batch(() => this.take(answer));
    } catch (problem) {
      // What is shown stays; only a run that never came is an error of the view.
      if (!this.run.peek()) this.error.value = problem;
    }
  }

  /** @param {any} answer */
  take(answer) {
    const asOf = Number(answer.cursor ?? answer.run.version ?? 0);
    const { run, steps, remarks, ...details } = answer;
    this.details.value = details;
    this.error.value = null;
    if (asOf < this.version) return;
    this.version = asOf;
    this.run.value = mergeRun(this.run.peek(), run);
    this.steps.value = steps ?? [];
    this.remarks.value = remarks ?? [];
  }

  follow() {
    const seen = (/** @type {any} */ payload) => {
      this.version = Math.max(this.version, Number(payload.version ?? 0));
    };
    const change = (/** @type {(payload: any) => void} */ apply) => (/** @type {any} */ payload) => {
      seen(payload);
      inNextFrame(() => apply(payload));
    };
    return subscribe(`run:${this.id}`, {
      params: () => ({ since: this.version }),
      onJoin: (reply, again) => {
        const exact = reply?.complete === true;
        if (again && !exact) this.logs.load();
        if (!exact) this.load();
      },
      on: {
        'run:updated': change(({ run }) => {
          this.run.value = mergeRun(this.run.peek(), run);
          this.refresh();
        }),
        'step:started': change(({ step }) => this.onStep(step)),
        'step:completed': change(({ step }) => this.onStep(step)),
        'run:remark': change(({ remark }) => {
          this.remarks.value = upsertRemark(this.remarks.peek(), remark);
          this.refresh();
        }),
        'dataclip:updated': change(() => (this.clips.value += 1)),
        logs: (payload) => {
          seen(payload);
          this.logs.push(payload.logs);
        },
        'logs:available': (payload) => {
          seen(payload);
          this.logs.load();
        },
      },
    });
  }

  /** @param {any} step */
  onStep(step) {
    this.steps.value = mergeStep(this.steps.peek(), step);
    this.refresh();
  }
}
