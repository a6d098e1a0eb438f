// In-band tags over gRPC: who is told keys, when, and that nobody else is.
import { parseAddress } from '@ringfence/proto/address.js';
import { ExplainRequest } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import { AgentStatus, TagMode, UnenrollOutcome } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import { Verdict, WorkloadKind } from '@ringfence/proto/gen/ringfence/v1/common.js';
import { afterEach, expect, test } from 'vitest';
import { call } from '../testing/admin-client.js';
import { Harness } from '../testing/harness.js';
import type { SimulatedAgent } from '../testing/simulated-agent.js';

let rf: Harness;
afterEach(() => rf.dispose());

const CAPABLE = { facts: { features: ['syn_tags', 'syn_tags_write'] } };
const newest = (agent: SimulatedAgent) => agent.tags.at(-1);
const epochs = (agent: SimulatedAgent) => newest(agent)?.keys.map(({ epoch }) => epoch);
const { TAG_MODE_OFF: OFF, TAG_MODE_PEERS: PEERS, TAG_MODE_ANYWHERE: ANYWHERE } = TagMode;

test('keys, go to agents that know them, after Welcome; the same to all, over a restart too', async () => {
  rf = await Harness.start();
  const [a, b, old] = [await rf.agent('a', CAPABLE), await rf.agent('b', CAPABLE), await rf.agent('old')];
  for (const agent of [a, b]) await agent.until(() => agent.tags.length === 1, 'keys');
  expect(newest(a)?.mode).toBe(PEERS);
  expect(epochs(a)).toHaveLength(2);
  expect(newest(b)?.keys).toEqual(newest(a)?.keys);
  expect(Math.abs(Number(newest(a)?.nowMs) - Date.now())).toBeLessThan(60_000);
  await call(rf.admin.tags, rf.admin.tags.rotateTagKeys, {});
  await a.until(() => a.tags.length === 2, 'rotated keys');
  expect(old.tags).toEqual([]);
  await rf.restart();
  const again = await rf.agent(a.credentials, CAPABLE);
  await again.until(() => again.tags.length === 1, 'keys after the restart');
  expect(newest(again)?.keys).toEqual(newest(a)?.keys);
});

test('the switch, reaches hosts at once, stays over a restart, and is in the audit log', async () => {
  rf = await Harness.start(['--tags', 'off']);
  const { tags } = rf.admin;
  const agent = await rf.agent('a', CAPABLE);
  await agent.until(() => agent.tags.length === 1, 'the switch');
  expect(newest(agent)).toMatchObject({ mode: OFF, keys: [] });
  expect((await call(tags, tags.setTagMode, { mode: ANYWHERE })).mode).toBe(ANYWHERE);
  await agent.until(() => agent.tags.length === 2, 'keys');
  expect(newest(agent)).toMatchObject({ mode: ANYWHERE });
  expect(epochs(agent)).toHaveLength(2);
  await expect(call(tags, tags.setTagMode, { mode: 9 as TagMode })).rejects.toThrow('found mode 9');
  await rf.restart();
  expect((await call(rf.admin.tags, rf.admin.tags.getTags, {})).mode).toBe(ANYWHERE);
  const { entries } = await call(rf.admin.audit, rf.admin.audit.list, {
    filter: { actions: ['tags.'], actor: '', object: '', hostId: '', keyId: '', sinceMs: 0n },
    limit: 10,
    before: 0n,
  });
  expect(entries.map(({ action, text }) => [action, text])).toEqual([['tags.mode', 'in-band tags: anywhere']]);
});

test('a host that is removed, knows no key of the next epoch', async () => {
  rf = await Harness.start();
  const [kept, gone] = [await rf.agent('kept', CAPABLE), await rf.agent('gone', CAPABLE)];
  for (const agent of [kept, gone]) await agent.until(() => agent.tags.length === 1, 'keys');
  const { hosts } = rf.admin;
  await call(hosts, hosts.remove, {
    hostId: 'gone',
    reason: '',
    outcome: UnenrollOutcome.UNENROLL_OUTCOME_KEEP,
  });
  await kept.until(() => kept.tags.length === 2, 'new keys');
  expect(epochs(kept)).toEqual(epochs(gone));
  expect(newest(kept)?.keys[1]?.key).not.toEqual(newest(gone)?.keys[1]?.key);
  const { nextFromMs } = await call(rf.admin.tags, rf.admin.tags.getTags, {});
  expect(Number(nextFromMs) - Date.now()).toBeLessThanOrEqual(30_000);
});

test('what became of tags, is told by host; keys are neither told nor logged', async () => {
  rf = await Harness.start();
  const agent = await rf.agent('a', CAPABLE);
  await rf.agent('old');
  await agent.until(() => agent.tags.length === 1, 'keys');
  agent.send({ body: { $case: 'status', value: AgentStatus.fromPartial({ tags: { valid: 7n, replayed: 2n } }) } });
  const read = () => call(rf.admin.tags, rf.admin.tags.getTags, {});
  let state = await read();
  for (const deadline = Date.now() + 10_000; state.hosts[0]?.tallies?.valid === 0n && Date.now() < deadline; )
    state = await read();
  expect(state.hosts.map(({ hostId, capable, writes }) => [hostId, capable, writes])).toEqual([
    ['a', true, true],
    ['old', false, false],
  ]);
  expect(state.hosts[0]?.tallies).toMatchObject({ valid: 7n, replayed: 2n, invalid: 0n });
  expect([state.epoch, state.overlapMs]).toEqual([newest(agent)?.keys[0]?.epoch, 300_000n]);
  await call(rf.admin.tags, rf.admin.tags.rotateTagKeys, {});
  await agent.until(() => agent.tags.length === 2, 'new keys');
  const log = rf.logged.join('');
  const told = JSON.stringify(state, (_, value) => (typeof value === 'bigint' ? `${value}` : value));
  for (const { key } of agent.tags.flatMap(({ keys }) => keys)) {
    for (const text of [log, told]) {
      for (const form of ['hex', 'base64'] as const) expect(text).not.toContain(Buffer.from(key).toString(form));
      expect(text).not.toContain([...key].join(','));
    }
  }
});

test('explain, knows that a tag tells two behind one address apart', async () => {
  rf = await Harness.start();
  const at = (text: string) => [{ ip: Buffer.from(parseAddress(text) ?? []), space: '' }];
  const service = (name: string, text: string) => ({
    localId: `cgroup:${name}`,
    name,
    kind: WorkloadKind.WORKLOAD_KIND_CGROUP,
    addresses: at(text),
  });
  const a = await rf.agent('a', CAPABLE);
  a.sendInventory([service('good', '192.0.2.1'), service('bad', '192.0.2.1')]);
  const b = await rf.agent('b', CAPABLE);
  b.sendInventory([service('web', '192.0.2.2')]);
  await a.until(() => a.assignments.size === 2, 'assignments');
  await b.until(() => b.assignments.size === 1, 'assignments');
  for (const [id, role] of [
    ['a/cgroup:good', 'good'],
    ['a/cgroup:bad', 'bad'],
    ['b/cgroup:web', 'web'],
  ] as const)
    await rf.setLabels(id, { role });
  await rf.applyPolicy(
    'modes:\n  - id: all\n    match: role=web\n    mode: enforce\nrules:\n  - id: r\n    service: tcp/80\n    providedBy: role=web\n    usedBy: role=good\n',
  );
  const explain = async (source: string, protocol: number) => {
    const end = (value: string) => ({ end: { $case: 'workload', value } }) as const;
    const request = ExplainRequest.fromPartial({ source: end(source), destination: end('web'), protocol, port: 80 });
    const { inbound, notes } = await call(rf.admin.policy, rf.admin.policy.explain, request);
    return [Verdict[inbound?.verdict ?? 0]?.slice(8), notes.filter((note) => note.includes('share'))];
  };
  const byTag = ['2 workloads share the source address: the tag in the SYN says which of them calls.'];
  const shared = ['2 workloads share the source address: allowed when one of them is.'];
  expect(await explain('good', 6)).toEqual(['ALLOWED', byTag]);
  expect(await explain('bad', 6)).toEqual(['BLOCKED', byTag]);
  await call(rf.admin.tags, rf.admin.tags.setTagMode, { mode: OFF });
  expect(await explain('bad', 6)).toEqual(['ALLOWED', shared]);
});
