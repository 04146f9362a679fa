import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  badgesOf, hasData, jobLine, jobTone, kindLabel, moduleTitle, needing, recalculation, sentence,
  stepLabel,
} from '../pure/pipelines.js';

const calm = {
  hasData: true, needsRecalculation: false, pipelineId: null, told: true, finished: false,
  hasError: false,
};
const labels = (state) => badgesOf({ ...calm, ...state }).map((badge) => badge.label);

test('a module that is up to date has no badge and no button', () => {
  assert.deepEqual(labels({}), []);
  assert.equal(recalculation(calm), null);
  assert.equal(sentence('Buildings', calm), 'Buildings: up to date');
});

test('badges come in their order: incomplete, needed, then running or failed', () => {
  const progress = { phase: 2, phases_total: 3, phase_label: 'emissions', done: false, has_error: false };
  assert.deepEqual(
    labels({ hasData: false, needsRecalculation: true, pipelineId: 'p', progress }),
    ['No data yet', 'Recalculation needed', 'Recalculating · step 2/3 · emissions'],
  );
  assert.deepEqual(
    labels({ needsRecalculation: true, pipelineId: 'p', finished: true, hasError: true }),
    ['Recalculation needed', 'Last recalculation failed'],
  );
});

test('a pipeline of which nothing was told yet is neither running nor well', () => {
  assert.deepEqual(labels({ pipelineId: 'p', told: false }), ['Checking…']);
  assert.equal(recalculation({ ...calm, needsRecalculation: true, pipelineId: 'p', told: false }), null);
});

test('all badges about a pipeline are one place that changes', () => {
  const keys = [{ told: false }, {}, { finished: true, hasError: true }].map((state) =>
    badgesOf({ ...calm, pipelineId: 'p', ...state })[0].key);
  assert.deepEqual(keys, ['pipeline', 'pipeline', 'pipeline']);
});

test('while it runs, an error of a job is not yet the last word', () => {
  assert.deepEqual(labels({ pipelineId: 'p', hasError: true }), ['Recalculating…']);
});

test('a pipeline that ended well leaves no badge, even while it is still the one to show', () => {
  assert.deepEqual(labels({ pipelineId: 'p', finished: true }), []);
});

test('only badges about a pipeline have a diagnostic', () => {
  const all = { ...calm, hasData: false, needsRecalculation: true, pipelineId: 'p' };
  assert.deepEqual(badgesOf(all).map((badge) => badge.diagnostic), [false, false, true]);
});

test('the button is hidden while running and without data, says Retry after a failure', () => {
  const failed = { ...calm, pipelineId: 'p', finished: true, hasError: true };
  assert.equal(recalculation({ ...calm, needsRecalculation: true }), 'Recalculate');
  assert.equal(recalculation(failed), 'Retry');
  assert.equal(recalculation({ ...failed, hasData: false }), null);
  assert.equal(recalculation({ ...calm, needsRecalculation: true, pipelineId: 'p' }), null);
});

test('a step is named by its number and what it does', () => {
  const progress = { phase: 3, phases_total: 3, phase_label: 'aggregation', done: false, has_error: false };
  assert.equal(stepLabel(progress), 'Recalculating · step 3/3 · totals');
  assert.equal(stepLabel({ ...progress, phase_label: 'other' }), 'Recalculating · step 3/3 · other');
  assert.equal(stepLabel(null), 'Recalculating…');
});

test('a job is one line and one colour', () => {
  const job = { job_id: 1, job_type: 'aggregation', state: 'FINISHED', result: 'WARNING', status_message: null };
  assert.equal(jobLine(job), 'aggregation · FINISHED · WARNING');
  assert.equal(jobLine({ ...job, state: 'RUNNING', result: null }), 'aggregation · RUNNING');
  assert.deepEqual(
    [
      job,
      { ...job, result: 'ERROR' },
      { ...job, state: 'RUNNING', result: null },
      { ...job, state: 'NOT_STARTED', result: null },
    ].map(jobTone),
    ['good', 'bad', 'info', 'neutral'],
  );
});

test('modules with data, and those that need a recalculation, are told from what the server says', () => {
  const units = [{ modules: { 3: { entry_count: 2 }, 5: { entry_count: 0 }, 8: null } }];
  assert.deepEqual([3, 5, 8, 9].map((module) => hasData(units, module)), [true, false, false, false]);
  const statuses = [
    { module_type_id: 3, needs_recalculation: false }, { module_type_id: 5, needs_recalculation: true },
  ];
  assert.deepEqual([...needing(statuses)], [5]);
  assert.equal(needing(null).size, 0);
});

test('names are shown as people write them', () => {
  assert.equal(moduleTitle('process_emissions'), 'Process emissions');
  assert.equal(kindLabel('factor_ingest'), 'Factor file');
  assert.equal(kindLabel('cron_trigger'), 'Cron trigger');
});
