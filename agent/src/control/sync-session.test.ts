import { parseAddress } from '@ringfence/proto/address.js';
import {
  AgentMessage,
  AgentStatus,
  Hello,
  Inventory,
  Logins,
  TagKeys,
  UnenrollOutcome,
  Update,
} from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { bindingToWire } from '@ringfence/proto/instructions.js';
import { describe, expect, it } from 'vitest';
import { emptyInstructions, type Instructions } from '../desired/instructions.js';
import type { Applied } from '../enforcement.js';
import type { RolloutTerms } from './rollout.js';
import { SyncSession } from './sync-session.js';

function rig(start: { revision?: number; answer?: Applied; logins?: readonly string[] } = {}) {
  let inForce: Instructions = { ...emptyInstructions(), revision: start.revision ?? 0 };
  const answers: Applied[] = [];
  const sent: string[] = [];
  const logins = start.logins?.length
    ? Logins.create({ source: 'utmp', users: start.logins.map((user) => ({ user })) })
    : undefined;
  const applied: { terms: RolloutTerms; epoch: string; bindings: number }[] = [];
  const session = new SyncSession({
    send: (message: AgentMessage) => {
      AgentMessage.encode(message).finish();
      const body = message.body;
      if (body?.$case === 'ack') sent.push(`ack ${body.value.revision}`);
      else if (body?.$case === 'nack')
        sent.push(`nack ${body.value.revision} ${body.value.code} ${body.value.table}`.trim());
      else sent.push(body?.$case ?? '?');
    },
    hello: () => Hello.create({ protocol: 1, revision: BigInt(inForce.revision) }),
    inventory: () => Inventory.create({ full: true }),
    logins: () => logins,
    onPairAgain: (localIds) => sent.push(`pair again ${localIds}`),
    onUnenroll: async (outcome) => {
      sent.push(`leave ${outcome}`);
    },
    onTags: ({ keys }) => sent.push(`tags ${keys.map(({ epoch }) => epoch)}`),
    status: () => AgentStatus.create({}),
    inForce: () => inForce,
    apply: async (next, epoch, terms) => {
      const answer = answers.shift() ?? { kind: 'ok' as const };
      if (answer.kind === 'ok') {
        inForce = next;
        applied.push({ terms, epoch, bindings: next.bindings.size });
      }
      return answer;
    },
    onWelcome: () => {},
  });
  const welcome = (resumed: boolean) =>
    session.receive({ body: { $case: 'welcome', value: { hostId: 'h', epoch: 'e2', resumed } } });
  const update = (partial: Parameters<typeof Update.create>[0]) =>
    session.receive({ body: { $case: 'update', value: Update.create(partial) } });
  const take = () => sent.splice(0);
  return { session, welcome, update, take, applied, answers, inForce: () => inForce };
}

const binding = (last: number, identity = 5) =>
  bindingToWire({
    space: '',
    address: parseAddress(`10.0.0.${last}`) as Uint8Array,
    identity,
    shared: [],
    unmanaged: false,
  });

describe('SyncSession', () => {
  it('says Hello, then everything it has, and acknowledges a full state of several chunks once', async () => {
    const { session, welcome, update, take, applied } = rig();
    session.start();
    await welcome(false);
    await update({ revision: 5n, full: true, more: true, bindings: [binding(1)] });
    expect(take()).toEqual(['hello', 'inventory', 'status']);
    await update({ revision: 5n, bindings: [binding(2)] });
    expect(take()).toEqual(['ack 5']);
    expect(applied).toEqual([{ epoch: 'e2', bindings: 2, terms: { confirmWithinMs: 0, confirmedPolicyVersion: 0 } }]);
  });

  it('tells who is logged in after Welcome, and not before', async () => {
    const { session, welcome, take } = rig({ logins: ['anna'] });
    session.start();
    session.sendLogins(Logins.create({ source: 'utmp' }));
    await welcome(false);
    session.sendLogins(Logins.create({ source: 'utmp' }));
    expect(take()).toEqual(['hello', 'inventory', 'logins', 'status', 'logins']);
  });

  it('is asked to report again and told to leave; what it does not know of leaving keeps the policy', async () => {
    const { session, welcome, take } = rig();
    const unenroll = (outcome: UnenrollOutcome) => session.receive({ body: { $case: 'unenroll', value: { outcome } } });
    await expect(unenroll(UnenrollOutcome.UNENROLL_OUTCOME_OPEN)).rejects.toThrow(/wanted Welcome first/);
    await welcome(false);
    take();
    await session.receive({ body: { $case: 'pairAgain', value: { localIds: ['container:a', 'container:b'] } } });
    const { UNENROLL_OUTCOME_OPEN, UNENROLL_OUTCOME_REMOVE, UNENROLL_OUTCOME_UNSPECIFIED, UNRECOGNIZED } =
      UnenrollOutcome;
    for (const outcome of [UNENROLL_OUTCOME_OPEN, UNENROLL_OUTCOME_REMOVE, UNENROLL_OUTCOME_UNSPECIFIED, UNRECOGNIZED])
      await unenroll(outcome);
    expect(take()).toEqual([
      'pair again container:a,container:b',
      'leave open',
      'leave remove',
      'leave keep',
      'leave keep',
    ]);
  });

  it('hands on keys of tags, once it is open; they are no revision and get no answer', async () => {
    const { session, welcome, take } = rig();
    const tags = (epoch: number) =>
      session.receive({
        body: { $case: 'tags', value: TagKeys.fromPartial({ keys: [{ epoch, key: Buffer.alloc(16) }] }) },
      });
    await expect(tags(1)).rejects.toThrow(/found TagKeys, wanted Welcome first/);
    await welcome(false);
    take();
    await tags(2);
    expect(take()).toEqual(['tags 2']);
  });

  it('goes on with deltas after a resumed Welcome', async () => {
    const { welcome, update, take, inForce } = rig({ revision: 7 });
    await welcome(true);
    await update({ revision: 9n, bindings: [binding(1)] });
    expect(take().at(-1)).toBe('ack 9');
    expect(inForce().revision).toBe(9);
  });

  it('asks for a resync when a delta comes where a full state was due', async () => {
    const { welcome, update, take } = rig({ revision: 7 });
    await welcome(false);
    take();
    await update({ revision: 9n, more: true });
    await update({ revision: 9n });
    expect(take()).toEqual(['resync']);
    await update({ revision: 10n, full: true });
    expect(take()).toEqual(['ack 10']);
  });

  it('asks for a resync when revisions go backwards or chunks are mixed, and passes over deltas until a full state', async () => {
    const { welcome, update, take, inForce } = rig({ revision: 7 });
    await welcome(true);
    take();
    await update({ revision: 6n });
    expect(take()).toEqual(['resync']);
    await update({ revision: 8n, full: true, more: true, bindings: [binding(1)] });
    await update({ revision: 9n });
    expect(take()).toEqual(['resync']);
    await update({ revision: 10n, full: true });
    expect(take()).toEqual(['ack 10']);
    expect(inForce().bindings.size).toBe(0);
  });

  it('refuses what the kernel cannot hold, naming the table, and keeps what was in force', async () => {
    const { welcome, update, take, answers, inForce } = rig({ revision: 7 });
    await welcome(true);
    take();
    answers.push({ kind: 'refused', code: 'RF_MAP_FULL', table: 'rf_peers', message: 'full', restored: true });
    await update({ revision: 8n, bindings: [binding(1)] });
    expect(take()).toEqual(['nack 8 RF_MAP_FULL rf_peers']);
    expect(inForce().revision).toBe(7);
    await update({ revision: 9n, full: true });
    expect(take()).toEqual(['ack 9']);
  });

  it('refuses content that contradicts itself once, not once per chunk', async () => {
    const { welcome, update, take } = rig();
    await welcome(false);
    take();
    await update({ revision: 3n, full: true, more: true, bindings: [binding(1, 0)] });
    await update({ revision: 3n, more: true });
    await update({ revision: 3n });
    expect(take()).toEqual(['nack 3 RF_UPDATE_INVALID']);
    await update({ revision: 4n, full: true, bindings: [{ key: { space: '', ip: Buffer.alloc(5) }, identity: 1 }] });
    expect(take()).toEqual(['nack 4 RF_UPDATE_INVALID']);
  });

  it('keeps the terms of a rollout over its chunks', async () => {
    const { welcome, update, applied } = rig();
    await welcome(false);
    await update({ revision: 3n, full: true, more: true, confirmWithinMs: 5000 });
    await update({ revision: 3n });
    await update({ revision: 4n, confirmedPolicyVersion: 2 });
    expect(applied.map((a) => a.terms)).toEqual([
      { confirmWithinMs: 5000, confirmedPolicyVersion: 0 },
      { confirmWithinMs: 0, confirmedPolicyVersion: 2 },
    ]);
  });

  it('ends the stream on an Update before Welcome, a second Welcome, or an unknown message', async () => {
    const { session, welcome, update } = rig();
    await expect(update({ revision: 1n, full: true })).rejects.toMatchObject({ code: 'RF_STREAM' });
    await welcome(true);
    await expect(welcome(true)).rejects.toMatchObject({ code: 'RF_STREAM' });
    await expect(session.receive({ body: undefined })).rejects.toMatchObject({ code: 'RF_STREAM' });
  });

  it('sends changes only after Welcome: the first inventory says all', async () => {
    const { session, welcome, take } = rig();
    session.sendInventory(Inventory.create({}));
    session.sendStatus(AgentStatus.create({}));
    expect(take()).toEqual([]);
    await welcome(true);
    session.sendInventory(Inventory.create({}));
    expect(take()).toEqual(['inventory', 'status', 'inventory']);
  });

  it('refuses a revision beyond what it can count by its own number, in a message that can be sent', async () => {
    const { session, welcome, update, take, inForce } = rig();
    session.start();
    await welcome(false);
    take();
    for (const revision of [2n ** 64n - 1n, 2n ** 53n + 1n]) {
      await update({ revision, full: true });
      expect(take()).toEqual([`nack ${revision} RF_UPDATE_INVALID`]);
    }
    await update({ revision: 3n, full: true });
    expect(take()).toEqual(['ack 3']);
    expect(inForce().revision).toBe(3);
  });
});
