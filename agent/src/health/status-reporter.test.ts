import { AgentStatus } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { expect, test } from 'vitest';
import { ManualTimers } from '../testing/manual-timers.js';
import { StatusReporter } from './status-reporter.js';

function rig() {
  const timers = new ManualTimers();
  const sent: number[] = [];
  const controller = { open: true, sendStatus: () => sent.push(timers.now()) };
  const at = { session: controller as typeof controller | undefined };
  const reporter = new StatusReporter({ timers, session: () => at.session, status: () => AgentStatus.create() });
  return { timers, sent, controller, at, reporter };
}

test('a burst of changes is one status; without changes there is one every ten seconds', async () => {
  const { timers, sent, reporter } = rig();
  reporter.tick();
  expect(sent).toHaveLength(1);
  for (let change = 0; change < 5; change += 1) reporter.soon();
  expect(sent).toHaveLength(1);
  await timers.advance(200);
  expect(sent).toHaveLength(2);
  for (let second = 0; second < 9; second += 1) {
    await timers.advance(1000);
    reporter.tick();
  }
  expect(sent).toHaveLength(2);
  await timers.advance(1000);
  reporter.tick();
  expect(sent).toHaveLength(3);
});

test('nothing goes to a controller that is away or not ready, and the next change is told again', async () => {
  const { timers, sent, controller, at, reporter } = rig();
  at.session = undefined;
  reporter.soon();
  await timers.advance(200);
  at.session = controller;
  controller.open = false;
  reporter.soon();
  await timers.advance(200);
  expect(sent).toEqual([]);
  controller.open = true;
  reporter.soon();
  await timers.advance(200);
  expect(sent).toHaveLength(1);
});

test('what was to be told soon is not told after the end', async () => {
  const { timers, sent, reporter } = rig();
  reporter.soon();
  reporter.stop();
  await timers.advance(1000);
  expect(sent).toEqual([]);
});
