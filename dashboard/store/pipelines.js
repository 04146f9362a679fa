/** The pipelines of the page: both stores, wired to the HTTP API and to the socket. */
import { useEffect, useMemo } from '../lib.js';
import { getJson } from './api.js';
import { subscribe } from './connection.js';
import { PipelineStateStore } from './pipeline_state.js';
import { PipelineStreamStore, PipelineSubscriber } from './pipeline_stream.js';
import { signInReason, token } from './session.js';

const UPDATE = 'pipeline-update';

export const pipelineState = new PipelineStateStore((year, modules) =>
  getJson('/api/pipelines/active', { year, modules: modules.join(',') }));

/** The channel of a pipeline; each join of it answers with a snapshot. */
class ChannelSource {
  /** @param {string} id @param {(update: any) => void} onUpdate */
  constructor(id, onUpdate) {
    this.close = subscribe(`pipeline:${id}`, { on: { [UPDATE]: onUpdate }, onJoin: onUpdate });
  }
}

export const pipelineStreams = new PipelineStreamStore({
  fetchSnapshot: (id) => getJson(`/api/pipelines/${id}`),
  Source: ChannelSource,
});

/**
 * A pipeline, live, for the component that calls this; null while nothing is known of it.
 * @param {string | null} id
 */
export function usePipelineStream(id) {
  const subscriber = useMemo(() => new PipelineSubscriber(pipelineStreams), []);
  useEffect(() => {
    if (!id) return undefined;
    subscriber.subscribe(id);
    return () => subscriber.unsubscribe(id);
  }, [id]);
  useEffect(() => () => subscriber.release(), []);
  return id ? pipelineStreams.state(id).value : null;
}

/**
 * Follows the modules of a year: which pipeline each of them has, whoever started it.
 * @param {number | null} year
 * @param {number[]} modules
 * @param {() => void} onReturn called when the connection is back, for what no channel tells
 */
export function useModules(year, modules, onReturn) {
  const ready = Boolean(token.value) && !signInReason.value;
  useEffect(() => {
    if (!year || !ready || modules.length === 0) return undefined;
    pipelineState.loadFor(year, modules).catch(() => {});
    const ends = modules.map((module) =>
      subscribe(`module:${year}:${module}`, {
        on: { [UPDATE]: (update) => pipelineState.setPipelineId(module, year, update.pipeline_id) },
        onJoin: (reply, again) => {
          pipelineState.setPipelineId(module, year, reply.pipeline_id);
          if (again) onReturn();
        },
      }));
    return () => ends.forEach((end) => end());
  }, [year, modules.join(), ready]);
}
